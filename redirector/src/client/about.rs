//! What a client keeps in mind of the job that it has submitted, and what it calls it.

use crate::{
    config::OnFailure,
    model::{JobId, Kind, PoolChoice, PoolList, Rule, Spec},
};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The command's name.
    pub name: String,
    pub kind: Kind,
    pub may_be_retried: bool,
    /// The whitelist's line, if one made it a job.
    rule: Option<Rule>,
    /// The pools whose nodes it is to have, if it may not run here.
    pool: Option<String>,
}

impl About {
    pub(super) fn new(name: String, spec: &Spec) -> Self {
        let may_be_here = |pools: &PoolList| pools.iter().any(|it| *it == PoolChoice::Local);
        let elsewhere = spec.placement.pool.as_ref().filter(|pools| !may_be_here(pools));
        Self {
            name,
            kind: spec.kind,
            may_be_retried: !spec.retries.is_none(),
            rule: spec.rule.clone(),
            pool: elsewhere.map(ToString::to_string),
        }
    }

    /// `job 7 ('sort')`, or what is known of that.
    pub(super) fn label(&self, job: Option<JobId>) -> String {
        let name = &self.name;
        job.map_or_else(|| format!("'{name}'"), |job| format!("job {job} ('{name}')"))
    }

    /// What the person is to hear when it is not run, for `reason`.
    pub(super) fn refusal(&self, job: Option<JobId>, reason: &str) -> String {
        let rule = self.rule.as_ref().map_or_else(String::new, |rule| {
            let (pattern, file) = (rule.pattern.to_string_lossy(), rule.file.to_string_lossy());
            format!(" (rule '{pattern}', {file}:{})", rule.line)
        });
        format!("{}{rule} cannot run: {}", self.label(job), reason.trim_end())
    }

    /// What becomes of it when no gateway takes it, if that is `set`; and why, for the person.
    pub(super) fn without_gateway(&self, set: Option<OnFailure>) -> (OnFailure, String) {
        match (set, &self.pool) {
            (Some(set), _) => (set, format!("on_failure = \"{}\"", set.word())),
            (None, None) => (OnFailure::RunHere, "on_failure = \"run-here\"".to_owned()),
            (None, Some(pool)) => {
                let why = format!(
                    "it is for pool '{pool}'; with REDIRECTOR_ON_FAILURE=run-here it would run here"
                );
                (OnFailure::Fail, why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Placement;

    fn about(pool: Option<&str>) -> About {
        let placement = Placement { pool: pool.map(PoolList::from), ..Placement::default() };
        let rule = Rule { file: "/w/list".into(), line: 3, pattern: "sort -n".into() };
        About::new("sort".to_owned(), &Spec { placement, rule: Some(rule), ..Spec::default() })
    }

    #[test]
    fn a_refusal_names_the_job_and_its_rule() {
        assert_eq!(
            about(None).refusal(Some(JobId(7)), "no such partition\n"),
            "job 7 ('sort') (rule 'sort -n', /w/list:3) cannot run: no such partition"
        );
    }

    #[test]
    fn what_is_for_a_pool_runs_here_only_if_somebody_says_so() {
        let decided = |pool, set| about(pool).without_gateway(set).0;
        assert_eq!(decided(None, None), OnFailure::RunHere);
        assert_eq!(decided(Some("long"), None), OnFailure::Fail);
        assert_eq!(decided(Some("long,local"), None), OnFailure::RunHere);
        assert_eq!(decided(Some("long"), Some(OnFailure::RunHere)), OnFailure::RunHere);
        assert_eq!(decided(None, Some(OnFailure::Fail)), OnFailure::Fail);
    }
}
