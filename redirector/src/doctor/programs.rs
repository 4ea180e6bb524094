//! The programs that the whitelist names: where they are, and in which version.

use super::{Finding, conversation::Conversation};
use crate::{
    agent::examine::{Ran, version},
    client::run::find_program,
    model::{Text, file_name},
    node::mapping::Mapping,
};

/// A whitelisted program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// As rules have it: a name or a path.
    pub name: Text,
    /// Where it is on this computer.
    pub here: Option<Text>,
    /// What it says of its version here, if it was asked.
    pub version: Option<Version>,
}

/// What is known of a program on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is there.
    pub path: Text,
    /// What it says of its version there, if it was asked.
    pub version: Option<Version>,
}

/// What a program says of its version; `None`: it does not say.
pub(super) type Version = Option<String>;

/// Looks for `names` on this computer.
pub(super) async fn look_here(names: Vec<Text>, with_versions: bool) -> Vec<Program> {
    let environment: Vec<Text> =
        std::env::vars_os().map(super::entry).chain(["REDIRECTOR_OFF=1".into()]).collect();
    let mut programs = Vec::with_capacity(names.len());
    for name in names {
        let here = name.as_path().to_str().and_then(find_program);
        let here = here.map(|path| Text::from(path.as_bytes()));
        let said = match &here {
            Some(path) if with_versions => {
                Some(version(path.as_path(), &environment).await.ok().and_then(first_line))
            }
            _ => None,
        };
        programs.push(Program { name, here, version: said });
    }
    programs
}

/// What `program` may be called on a host: as the gateway looks for it, else by its name.
pub(super) fn names_there(program: &Program, mapping: &Mapping) -> [Text; 2] {
    let path = program.here.as_ref().unwrap_or(&program.name);
    crate::agent::probe::names(&mapping.program(path))
}

/// Asks the programs on a host for their versions.
pub(super) async fn ask_versions(
    found: &mut [Option<Found>],
    environment: &[Text],
    conversation: &mut Conversation,
) {
    for program in found.iter_mut().flatten() {
        let asked = conversation.version(program.path.clone(), environment.to_vec()).await;
        program.version = Some(asked.ok().and_then(first_line));
    }
}

/// What a program has said of its version. Many that do not know the question do say something,
/// but do not end with success.
fn first_line(ran: Ran) -> Version {
    let said = if ran.output.trim().is_empty() { ran.complaint } else { ran.output };
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    line.filter(|_| ran.is_success).map(str::to_owned)
}

/// Judges what is on this computer: a line for all, because a whitelist may name hundreds.
pub(super) fn judge_here(programs: &[Program]) -> Option<Finding> {
    let found = programs.iter().filter(|program| program.here.is_some()).count();
    (!programs.is_empty()).then(|| {
        let count = programs.len();
        let found = format!("{found} of {count} whitelisted names are installed here");
        Finding::ok("programs", found)
    })
}

/// Judges a program on a host; `None` if it is on neither computer.
pub(super) fn judge(program: &Program, there: Option<&Found>) -> Option<Finding> {
    let check = format!("program {}", file_name(program.name.as_bytes()));
    let (here, there) = match (&program.here, there) {
        (None, None) => return None,
        (None, Some(there)) => {
            let path = there.path.to_string_lossy();
            let found = format!("{path}; not on this computer, so that nothing starts it");
            return Some(Finding::ok(check, found));
        }
        (Some(here), None) => {
            return Some(Finding::warning(
                check,
                format!("not there (here: {})", here.to_string_lossy()),
                "install it there, put it on the PATH of a log-in by ssh (setup does not count \
                 for that), or have 'path_map' say where it is; until then its jobs run elsewhere",
            ));
        }
        (Some(here), Some(there)) => (here, there),
    };
    let found = match (here.to_string_lossy(), there.path.to_string_lossy()) {
        (here, there) if here == there => there.into_owned(),
        (here, there) => format!("{there} (here: {here})"),
    };
    let said = |version: &Version| {
        version.as_ref().map_or_else(|| "says no version".to_owned(), |it| format!("says '{it}'"))
    };
    Some(match (&program.version, &there.version) {
        (Some(here), Some(there)) if here != there => Finding::warning(
            check,
            format!("{found} {}, here it {}", said(there), said(here)),
            "install the same version on both, or pin its jobs (host=, tags=): results may differ",
        ),
        (_, Some(there)) => Finding::ok(check, format!("{found} {}", said(there))),
        (_, None) => Finding::ok(check, found),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn program(here: Option<&str>, version: Option<&str>) -> Program {
        let version = version.map(|text| Some(text.to_owned()));
        Program { name: "bwa".into(), here: here.map(Text::from), version }
    }

    fn found(path: &str, version: Option<&str>) -> Found {
        Found { path: path.into(), version: version.map(|text| Some(text.to_owned())) }
    }

    #[test]
    fn a_program_has_to_be_there_if_it_is_here() {
        let here = program(Some("/usr/bin/bwa"), None);
        let finding = judge(&here, Some(&found("/usr/bin/bwa", None))).unwrap();
        assert_eq!((finding.verdict, &*finding.found), (Verdict::Ok, "/usr/bin/bwa"));
        let finding = judge(&here, Some(&found("/opt/bwa", None))).unwrap();
        assert_eq!(finding.found, "/opt/bwa (here: /usr/bin/bwa)");
        let finding = judge(&here, None).unwrap();
        assert_eq!((finding.verdict, &*finding.check), (Verdict::Warning, "program bwa"));
        let nowhere = program(None, None);
        assert_eq!(judge(&nowhere, None), None);
        assert_eq!(judge(&nowhere, Some(&found("/opt/bwa", None))).unwrap().verdict, Verdict::Ok);
    }

    #[test]
    fn versions_have_to_be_the_same() {
        let here = program(Some("/bin/bwa"), Some("bwa 1"));
        let finding = judge(&here, Some(&found("/bin/bwa", Some("bwa 1")))).unwrap();
        assert_eq!((finding.verdict, &*finding.found), (Verdict::Ok, "/bin/bwa says 'bwa 1'"));
        let finding = judge(&here, Some(&found("/bin/bwa", Some("bwa 2")))).unwrap();
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.found.contains("'bwa 2', here it says 'bwa 1'"), "{finding:?}");
        let silent = Found { version: Some(None), ..found("/bin/bwa", None) };
        assert_eq!(judge(&here, Some(&silent)).unwrap().verdict, Verdict::Warning);
    }

    #[test]
    fn a_version_is_the_first_line_of_an_answer() {
        let ran = |is_success, output: &str, complaint: &str| Ran {
            status: Some(String::new()),
            is_success,
            milliseconds: 1,
            output: output.to_owned(),
            complaint: complaint.to_owned(),
        };
        assert_eq!(first_line(ran(true, "\nbwa 1\nby", "noise")).as_deref(), Some("bwa 1"));
        assert_eq!(first_line(ran(true, "", "java 17\n")).as_deref(), Some("java 17"));
        assert_eq!(first_line(ran(false, "usage", "")), None);
        assert_eq!(first_line(ran(true, "", "")), None);
    }

    #[test]
    fn whatever_the_whitelist_names_is_looked_for() {
        let names = vec!["sh".into(), "no-such-program-anywhere".into(), Text(b"\xff".to_vec())];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let programs = runtime.block_on(look_here(names, false));
        let here: Vec<_> = programs.iter().map(|program| program.here.is_some()).collect();
        assert_eq!(here, [true, false, false]);
        let judged = judge_here(&programs).unwrap();
        assert!(judged.found.starts_with("1 of 3"), "{judged:?}");
        assert_eq!(judge_here(&[]), None);
    }
}
