//! A mixed load: whatever there is of jobs, each kind again and again.
//!
//! Jobs are scripts whose first argument is their tag. They add it, as one line, to the file
//! `ran`, each time that they are started.

use std::process::Command;

use integration::{Finished, Session, Way, finish};

use crate::check::Expected;

/// The jobs' programs.
const SCRIPTS: [(&str, &str); 5] = [
    ("step", r#"exit "$2""#),
    ("feed", "seq 2000"),
    ("sink", "wc -l"),
    ("nest", r#"./step "$1.1" 0; ./step "$1.2" 5; echo $?; exit 3"#),
    ("again", r#"mkdir "first.$1" 2>/dev/null && exit 9; exit 0"#),
];

/// What a client says that runs a command itself.
const RAN_HERE: &str = "' here, not as a job: ";

/// The whitelist that makes jobs of them.
pub(crate) const WHITELIST: &str = "step\nfeed\nsink\nnest nested\nagain retries=exit:1\n";

/// Writes the scripts into the session's directory.
pub(crate) fn write_scripts(session: &Session) {
    use std::os::unix::fs::PermissionsExt;
    for (name, body) in SCRIPTS {
        let file = session.directory().join(name);
        let content = format!("#!/bin/sh\necho \"$1\" >>ran\n{body}\n");
        std::fs::write(&file, content).expect("the session's directory is writable");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("just made");
    }
}

/// One piece of the load: what to do, and what is to come of it.
type Piece = fn(&Work) -> Vec<Expected>;

const PIECES: [Piece; 9] =
    [pipe, nested, failing, retried, detached, array, chain, detached_retried, detached_pipeline];

/// Does the piece with this number, and checks what its clients see.
#[track_caller]
pub(crate) fn work(session: &Session, number: usize) -> Vec<Expected> {
    let way = Way::REDIRECTED[number / PIECES.len() % Way::REDIRECTED.len()];
    PIECES[number % PIECES.len()](&Work { session, number, way })
}

struct Work<'a> {
    session: &'a Session,
    number: usize,
    way: Way,
}

impl Work<'_> {
    fn tag(&self, part: &str) -> String {
        format!("{}{part}", self.number)
    }

    /// Runs a pipeline, in which `{}` is the number of this piece; whether all of it became jobs.
    #[track_caller]
    fn run(&self, script: &str, status: i32, output: &str) -> bool {
        let script = script.replace("{}", &self.number.to_string());
        let mut command = self.session.command(self.way, "bash", ["-c", &script]);
        let finished = finish(&mut command);
        self.check(&script, &finished, status, output)
    }

    /// Who gets no answer from several gateways in a row may run a command itself, and says so.
    #[track_caller]
    fn check(&self, what: &str, finished: &Finished, status: i32, output: &str) -> bool {
        let way = self.way;
        assert_eq!(finished.status.code(), Some(status), "{way:?} {what}: {finished}");
        assert_eq!(finished.text(), output, "{way:?} {what}: {finished}");
        let complaint = finished.complaint();
        let ran_here = complaint.lines().filter(|line| line.contains(RAN_HERE)).count();
        assert_eq!(ran_here, complaint.lines().count(), "{way:?} {what}: {finished}");
        complaint.is_empty()
    }

    /// Submits `command` and waits for `count` jobs; their first number.
    #[track_caller]
    fn submit(&self, options: &[&str], command: &[&str]) -> String {
        let mut submission: Command = self.session.redirector(["submit"]);
        let submitted = finish(submission.args(options).arg("--").args(command));
        submitted.expect_success(&format!("submit of {command:?}")).text().trim().to_owned()
    }

    #[track_caller]
    fn wait(&self, ids: &str, status: i32) {
        let waited = self.session.ask(["wait", ids]);
        assert_eq!(waited.status.code(), Some(status), "wait {ids}: {waited}");
    }
}

fn pipe(work: &Work) -> Vec<Expected> {
    let script = "set -o pipefail; ./feed {}.in | ./sink {}.out";
    let all_jobs = work.run(script, 0, "2000\n");
    [".in", ".out"].map(|part| Expected::leased(work.tag(part), "exited(0)", 1, all_jobs)).into()
}

fn nested(work: &Work) -> Vec<Expected> {
    let all_jobs = work.run("./nest {}", 3, "5\n");
    [("", "exited(3)"), (".1", "exited(0)"), (".2", "exited(5)")]
        .map(|(part, ending)| Expected::leased(work.tag(part), ending, 1, all_jobs))
        .into()
}

fn failing(work: &Work) -> Vec<Expected> {
    let all_jobs = work.run("./step {} 7", 7, "");
    vec![Expected::leased(work.tag(""), "exited(7)", 1, all_jobs)]
}

/// Into a file: what went into a pipe cannot be taken back, so that such a job is tried once.
fn retried(work: &Work) -> Vec<Expected> {
    let (tag, output) = (work.tag(""), work.session.directory().join(work.tag(".output")));
    let script = format!("./again {tag} >{tag}.output 2>&1");
    let finished = finish(&mut work.session.command(work.way, "bash", ["-c", &script]));
    let output = std::fs::read_to_string(output).expect("bash made it");
    // Then nobody tries it again.
    let all_jobs = !output.contains(RAN_HERE);
    let (status, attempts) = if all_jobs { (0, 2) } else { (9, 1) };
    assert_eq!(finished.status.code(), Some(status), "{tag}: {finished}\n{output}");
    vec![Expected::leased(tag, &format!("exited({status})"), attempts, all_jobs)]
}

fn detached(work: &Work) -> Vec<Expected> {
    let status = if work.number.is_multiple_of(2) { 0 } else { 4 };
    let tag = work.tag("");
    let id = work.submit(&[], &["./step", &tag, &status.to_string()]);
    work.wait(&id, status);
    vec![Expected::detached(tag, &format!("exited({status})"), 1)]
}

fn array(work: &Work) -> Vec<Expected> {
    let ids = work.submit(&["--array", "1-24"], &["./step", &work.tag(".{}"), "0"]);
    work.wait(&ids, 0);
    let element = |index| Expected::detached(work.tag(&format!(".{index}")), "exited(0)", 1);
    (1..=24).map(element).collect()
}

/// Three one after the other, of which the last fails, one for that case and one for the other.
fn chain(work: &Work) -> Vec<Expected> {
    let tag = |part: &str| work.tag(&format!(".{part}"));
    let link = |after: &str, part: &str, status: &str| {
        work.submit(&["--after", after], &["./step", &tag(part), status])
    };
    let first = work.submit(&[], &["./step", &tag("a"), "0"]);
    let second = link(&first, "b", "0");
    let third = link(&second, "c", "6");
    let rescue = link(&format!("{third}:fail"), "d", "0");
    let never = link(&third, "e", "0");
    work.wait(&rescue, 0);
    work.wait(&third, 6);
    work.wait(&never, 125);
    let ran = std::fs::read_to_string(work.session.directory().join("ran")).expect("jobs ran");
    let places = ["a", "b", "c", "d"].map(|part| ran.lines().position(|line| line == tag(part)));
    assert!(places.is_sorted(), "chain {}: their order: {places:?}", work.number);
    [("a", 0), ("b", 0), ("c", 6), ("d", 0)]
        .map(|(part, status)| Expected::detached(tag(part), &format!("exited({status})"), 1))
        .into_iter()
        .chain([Expected::detached(tag("e"), "cancelled", 0)])
        .collect()
}

fn detached_retried(work: &Work) -> Vec<Expected> {
    let tag = work.tag("");
    let id = work.submit(&["--retries", "exit:1"], &["./again", &tag]);
    work.wait(&id, 0);
    vec![Expected::detached(tag, "exited(0)", 2)]
}

fn detached_pipeline(work: &Work) -> Vec<Expected> {
    let script = format!("./feed {0}.in | ./sink {0}.out", work.number);
    let id = work.submit(&[], &["bash", "-c", &script]);
    work.wait(&id, 0);
    let logs = work.session.ask(["logs", &id]);
    let all_jobs = work.check("logs", &logs, 0, "2000\n");
    [".in", ".out"].map(|part| Expected::leased(work.tag(part), "exited(0)", 1, all_jobs)).into()
}
