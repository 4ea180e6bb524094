//! What sbatch is told.

use std::{ffi::OsString, os::unix::ffi::OsStrExt, path::Path};

use crate::{engine::batch::Request, model::Text};

/// The arguments of sbatch for `request`, whose script goes to its standard input.
pub(super) fn arguments(request: &Request) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["--parsable", "--no-requeue"].map(OsString::from).into();
    all.append(&mut of_allocation(request));
    all.push(with_bytes("--chdir=", request.directory.as_os_str().as_bytes()));
    all.push(with_bytes("--output=", &file_name_pattern(&request.output)));
    all.extend(request.options.arguments.iter().map(OsString::from));
    all
}

/// What sbatch and salloc are told alike.
pub(super) fn of_allocation(request: &Request) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let mut option = |name: &str, value: &[u8]| {
        words.push(with_bytes(&format!("--{name}="), value));
    };
    option("job-name", request.safe_name("").as_bytes());
    option("comment", request.mark.to_string().as_bytes());
    option("nodes", b"1");
    option("ntasks", b"1");
    option("cpus-per-task", request.cpus.to_string().as_bytes());
    if let Some(mem) = request.mem_mb() {
        option("mem", format!("{mem}M").as_bytes());
    }
    if let Some(minutes) = request.minutes() {
        option("time", minutes.to_string().as_bytes());
    }
    if let Some(gres) = gres(request) {
        option("gres", gres.as_bytes());
    }
    let options = &request.options;
    for (name, value) in [
        ("partition", &options.partition),
        ("account", &options.account),
        ("qos", &options.qos),
        ("constraint", &options.constraint),
        ("licenses", &options.licenses),
    ] {
        if let Some(value) = value {
            option(name, value.as_bytes());
        }
    }
    if options.exclusive == Some(true) {
        words.push("--exclusive".into());
    }
    words
}

/// One word: an option and its value, which need not be UTF-8.
pub(super) fn with_bytes(option: &str, value: &[u8]) -> OsString {
    Text([option.as_bytes(), value].concat()).as_path().into()
}

/// The graphics processors and whatever else is generic.
pub(super) fn gres(request: &Request) -> Option<String> {
    let gpus = (request.gpus > 0).then(|| format!("gpu:{}", request.gpus));
    let all: Vec<_> = gpus.into_iter().chain(request.options.gres.clone()).collect();
    (!all.is_empty()).then(|| all.join(","))
}

/// The path as Slurm takes it: `%` begins what it puts something in for.
pub(super) fn file_name_pattern(path: &Path) -> Vec<u8> {
    let mut pattern = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        pattern.extend(if *byte == b'%' { &b"%%"[..] } else { std::slice::from_ref(byte) });
    }
    pattern
}

/// The id in what `sbatch --parsable` prints, `ID` or `ID;CLUSTER`, perhaps after lines of a
/// site's filter.
pub(super) fn id(printed: &str) -> Option<&str> {
    let last = printed.lines().rev().find(|line| !line.trim().is_empty())?;
    let id = last.split(';').next().unwrap_or_default().trim();
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::batch::request::tests::small;

    #[test]
    fn sbatch_is_told_what_is_asked_for() {
        let mut request = small();
        request.cpus = 4;
        request.mem = Some(3 << 30);
        request.walltime = Some(Duration::from_secs(90));
        request.gpus = 2;
        request.output = "/tmp/50%/out".into();
        request.options.gres = Some("tmp:10".to_owned());
        request.options.partition = Some("long".to_owned());
        request.options.exclusive = Some(true);
        request.options.arguments = vec!["--nice=100".to_owned()];
        let words: Vec<_> =
            arguments(&request).into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(
            words,
            [
                "--parsable",
                "--no-requeue",
                "--job-name=run.rule",
                "--comment=redirector/g1/7",
                "--nodes=1",
                "--ntasks=1",
                "--cpus-per-task=4",
                "--mem=3072M",
                "--time=2",
                "--gres=gpu:2,tmp:10",
                "--partition=long",
                "--exclusive",
                "--chdir=/tmp",
                "--output=/tmp/50%%/out",
                "--nice=100"
            ]
        );
    }

    #[test]
    fn ids_are_read_with_and_without_a_cluster() {
        assert_eq!(id("12\n"), Some("12"));
        assert_eq!(id("12;testbed\n"), Some("12"));
        assert_eq!(id("welcome to our filter\n12\n"), Some("12"));
        for none in ["", "\n", "Submitted batch job", "12x"] {
            assert_eq!(id(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            id(&text);
        }
    }
}
