//! `{…}` in the words of a template.

use std::{ffi::OsString, os::unix::ffi::OsStrExt, path::Path};

use crate::{
    engine::batch::{EngineJobId, Request},
    model::Text,
};

/// What `{name}` stands for.
pub(super) fn name(request: &Request) -> String {
    request.safe_name("/:@*\\\"'`$&|;<>()")
}

/// Who says what `name` stands for.
pub(super) fn setting_of(name: &str) -> &'static str {
    match name {
        "{mem_mb}" => "'mem=' to the rule of the job, or 'mem' to the pool if it is a pilot",
        "{time_min}" | "{time}" => "'walltime' to the pool, or 'time=' to the rule of the job",
        "{account}" => "'account' to the pool or to the rule of the job",
        "{qos}" => "'qos' to the pool or to the rule of the job",
        _ => "'partition' or 'queue' to the pool or to the rule of the job",
    }
}

/// What stands for what.
pub(super) struct Values {
    /// `None`: nobody has said what.
    values: Vec<(&'static str, Option<Vec<u8>>)>,
    ids: Vec<String>,
}

/// A word that is this becomes as many words as there are ids; within a longer word they get
/// commas between them.
const ALL_IDS: &str = "{ids}";

impl Values {
    /// For `submit`.
    pub(super) fn of_request(request: &Request, script: &Path) -> Self {
        let text = |text: String| Some(text.into_bytes());
        let path = |path: &Path| Some(path.as_os_str().as_bytes().to_vec());
        let minutes = request.minutes();
        let clock = minutes.map(|minutes| format!("{:02}:{:02}:00", minutes / 60, minutes % 60));
        let options = &request.options;
        let option = |option: &Option<String>| option.clone().and_then(text);
        let values = vec![
            ("{script}", path(script)),
            ("{name}", text(name(request))),
            ("{mark}", text(request.mark.to_string())),
            ("{cpus}", text(request.cpus.to_string())),
            ("{gpus}", text(request.gpus.to_string())),
            ("{mem_mb}", request.mem_mb().and_then(|mem| text(mem.to_string()))),
            ("{time_min}", minutes.and_then(|minutes| text(minutes.to_string()))),
            ("{time}", clock.and_then(text)),
            ("{output}", path(&request.output)),
            ("{directory}", path(&request.directory)),
            ("{partition}", option(&options.partition)),
            ("{queue}", option(&options.partition)),
            ("{account}", option(&options.account)),
            ("{qos}", option(&options.qos)),
        ];
        Self { values, ids: Vec::new() }
    }

    /// For `status` and `cancel`.
    pub(super) fn of_jobs(jobs: &[EngineJobId]) -> Self {
        let ids: Vec<_> = jobs.iter().map(|id| id.0.clone()).collect();
        let first = ids.first().cloned().unwrap_or_default();
        let values =
            vec![("{id}", Some(first.into_bytes())), (ALL_IDS, Some(ids.join(",").into_bytes()))];
        Self { values, ids }
    }

    /// A name in `template` that stands for nothing. What an engine would make of a word without it
    /// nobody knows: a limit of 0, or the next word as its value.
    pub(super) fn missing(&self, template: &[String]) -> Option<&'static str> {
        let is_used = |name: &str| template.iter().any(|word| word.contains(name));
        let mut missing = self.values.iter().filter(|(_, value)| value.is_none());
        missing.find(|(name, _)| is_used(name)).map(|(name, _)| *name)
    }

    /// The words with values in place of names. What is in a value stays as it is.
    pub(super) fn fill(&self, template: &[String]) -> Vec<OsString> {
        let fill = |word: &String| {
            if word == ALL_IDS {
                return self.ids.iter().map(OsString::from).collect();
            }
            vec![self.fill_word(word)]
        };
        template.iter().flat_map(fill).collect()
    }

    fn fill_word(&self, word: &str) -> OsString {
        let mut filled = Vec::new();
        let mut rest = word;
        while let Some(start) = rest.find('{') {
            filled.extend(&rest.as_bytes()[..start]);
            rest = &rest[start..];
            let named = self.values.iter().find(|(name, _)| rest.starts_with(name));
            let length = if let Some((name, value)) = named {
                filled.extend(value.iter().flatten());
                name.len()
            } else {
                filled.push(b'{');
                1
            };
            rest = &rest[length..];
        }
        filled.extend(rest.as_bytes());
        Text(filled).as_path().into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::batch::request::tests::small;

    fn fill(values: &Values, template: &str) -> Vec<String> {
        let template = shell_words::split(template).unwrap();
        values.fill(&template).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn names_are_replaced_within_their_words() {
        let mut request = small();
        request.name = "a 'b' {cpus} $(reboot)".to_owned();
        request.cpus = 4;
        request.mem = Some(1 << 30);
        request.walltime = Some(Duration::from_mins(90));
        let values = Values::of_request(&request, Path::new("/tmp/a script"));
        assert_eq!(
            fill(&values, "qsub -N {name} -l 'ncpus={cpus} mem={mem_mb}mb' -w {time} {script} {x}"),
            [
                "qsub",
                "-N",
                "a__b__{cpus}___reboot_",
                "-l",
                "ncpus=4 mem=1024mb",
                "-w",
                "01:30:00",
                "/tmp/a script",
                "{x}"
            ]
        );
    }

    #[test]
    fn ids_are_words_or_a_list() {
        let jobs = ["1.pbs", "2"].map(|id| EngineJobId(id.to_owned()));
        let values = Values::of_jobs(&jobs);
        assert_eq!(fill(&values, "qstat {ids}"), ["qstat", "1.pbs", "2"]);
        assert_eq!(fill(&values, "q --jobs={ids} {id}"), ["q", "--jobs=1.pbs,2", "1.pbs"]);
    }

    #[test]
    fn names_that_stand_for_nothing_are_found() {
        let mut request = small();
        let missing = |request: &Request, template: &str| {
            let values = Values::of_request(request, Path::new("/tmp/a script"));
            values.missing(&shell_words::split(template).unwrap())
        };
        assert_eq!(missing(&request, "qsub -N {name} -c {cpus} -g {gpus} {script}"), None);
        for (template, name) in [
            ("qsub -l walltime={time}", "{time}"),
            ("qsub -t {time_min}", "{time_min}"),
            ("qsub -l 'ncpus={cpus} mem={mem_mb}mb'", "{mem_mb}"),
            ("qsub -q {queue}", "{queue}"),
            ("qsub -A {account}", "{account}"),
        ] {
            assert_eq!(missing(&request, template), Some(name));
        }
        request.walltime = Some(Duration::from_mins(90));
        assert_eq!(missing(&request, "qsub -l walltime={time} -t {time_min}"), None);
    }
}
