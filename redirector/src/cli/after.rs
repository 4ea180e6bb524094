//! `--after 7`, `--after 7,9-12:any`: which jobs have to end first, and how.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::bail;

use super::ids::{self, IdRange};
use crate::model::{Condition, Dependency, JobId};

/// One value of `--after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct After {
    jobs: Vec<IdRange>,
    on: Condition,
}

impl FromStr for After {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (jobs, on) = match text.split_once(':') {
            None => (text, Condition::default()),
            Some((jobs, word)) => {
                let on = Condition::from_word(word);
                (jobs, on.ok_or_else(|| format!("expected ok, any or fail, found '{word}'"))?)
            }
        };
        Ok(Self { jobs: jobs.split(',').map(str::parse).collect::<Result<_, _>>()?, on })
    }
}

/// Each job once. Of two conditions for the same job the narrower one counts.
pub(super) fn dependencies(afters: &[After]) -> anyhow::Result<Vec<Dependency>> {
    let mut conditions: BTreeMap<JobId, Condition> = BTreeMap::new();
    for after in afters {
        for job in ids::all(&after.jobs)? {
            let before = conditions.insert(job, after.on).unwrap_or(Condition::Any);
            let narrower = match (before, after.on) {
                (Condition::Any, on) | (on, Condition::Any) => on,
                (before, on) if before == on => on,
                _ => bail!(
                    "job {job} cannot end both with success and without: \
                     '--after {job}:any' is for both"
                ),
            };
            conditions.insert(job, narrower);
        }
    }
    Ok(conditions.into_iter().map(|(job, on)| Dependency { job, on }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Result<Vec<(u64, Condition)>, String> {
        let afters: Result<Vec<After>, _> = texts.iter().map(|text| text.parse()).collect();
        let found = dependencies(&afters?).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|dependency| (dependency.job.0, dependency.on)).collect())
    }

    #[test]
    fn jobs_and_conditions() {
        use Condition::{Any, Fail, Ok as Success};
        assert_eq!(parsed(&["7"]), Ok(vec![(7, Success)]));
        assert_eq!(parsed(&["7:any"]), Ok(vec![(7, Any)]));
        assert_eq!(parsed(&["9,7:fail"]), Ok(vec![(7, Fail), (9, Fail)]));
        assert_eq!(parsed(&["7-8,7", "3:any"]), Ok(vec![(3, Any), (7, Success), (8, Success)]));
        assert_eq!(parsed(&["7:any", "7:fail"]), Ok(vec![(7, Fail)]));
        assert_eq!(parsed(&["7", "7:any"]), Ok(vec![(7, Success)]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (texts, part) in [
            (&[""][..], "found ''"),
            (&["7,"], "found ''"),
            (&["7:"], "ok, any or fail, found ''"),
            (&["7:never"], "found 'never'"),
            (&["7:ok:any"], "found 'ok:any'"),
            (&["9-7"], "'7-9' is meant"),
            (&["7", "7:fail"], "job 7 cannot end both"),
        ] {
            let error = parsed(texts).expect_err(texts[0]);
            assert!(error.contains(part), "{texts:?}: {error}");
        }
    }
}
