//! A journal that cannot be used.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use integration::{Listener, Random, Session, Watched, Way, finish};
use nix::sys::signal::{Signal, kill};

use crate::{
    detached::{submit, submit_command},
    support::{SYSTEM_FAILURE, assert_says, log, only_command, start_witness},
};

/// Bytes of a page of the journal: SQLite's own choice.
const PAGE: usize = 4096;

/// A session with one finished job, whose gateway has left the journal closed.
fn session_with_closed_journal() -> Session {
    let session = Session::new("probe *\nwitness\n");
    session.bash(Way::Preloaded, "env probe before").expect_success("a job");
    session.ask(["stop"]).expect_success("stop");
    session
}

fn journal(session: &Session) -> PathBuf {
    session.state().join("journal.sqlite")
}

fn write_at(session: &Session, offset: usize, bytes: &[u8]) {
    let file = File::options().write(true).open(journal(session)).expect("a journal is there");
    file.write_all_at(bytes, offset as u64).expect("it is writable");
}

fn noise(length: usize) -> Vec<u8> {
    let mut random = Random::new(1);
    (0..length).map(|_| random.below(256) as u8).collect()
}

#[test]
fn one_of_a_newer_version() {
    let session = session_with_closed_journal();
    // Where the header of an SQLite file has the number that `PRAGMA user_version` sets.
    write_at(&session, 60, &99_u32.to_be_bytes());
    let before = fs::read(journal(&session)).expect("a journal is there");

    let start = || session.command(Way::Preloaded, "env", ["probe", "x"]);
    let ran = finish(&mut start()).expect_success("run-here");
    assert!(!ran.stdout.is_empty(), "the command ran: {ran}");
    let journal_path = journal(&session);
    let parts = ["newer", "99", journal_path.to_str().expect("plain"), "REDIRECTOR_STATE_DIR"];
    assert_says(&ran, &parts);

    let failed = finish(start().env("REDIRECTOR_ON_FAILURE", "fail"));
    assert_eq!(failed.status.code(), SYSTEM_FAILURE, "{failed}");
    assert!(failed.stdout.is_empty(), "the command did not run: {failed}");
    assert_says(&failed, &parts);
    let asked = session.ask(["jobs"]);
    assert_eq!(asked.status.code(), SYSTEM_FAILURE, "{asked}");
    assert_says(&asked, &parts);

    assert!(fs::read(journal(&session)).expect("still there") == before, "it was not touched");
}

/// The file's name, if one was set aside.
fn set_aside(session: &Session) -> Option<PathBuf> {
    let entries = fs::read_dir(session.state()).expect("a state directory");
    let mut names = entries.map(|entry| entry.expect("readable").path());
    names.find(|path| {
        let name = path.file_name().expect("entries have names").to_string_lossy().into_owned();
        name.starts_with("journal.sqlite.damaged")
            && !name.ends_with("-wal")
            && !name.ends_with("-shm")
    })
}

#[track_caller]
fn assert_set_aside(session: &Session, damaged: &[u8]) {
    let finished = session.bash(Way::Preloaded, "env probe after").expect_success("a job");
    assert!(!finished.complaint().contains("running 'probe' here"), "{finished}");
    let jobs = session.commands();
    assert_eq!(jobs.len(), 1, "a new journal, with what came after: {jobs:?}");
    let aside = set_aside(session).expect("the damaged journal is kept");
    assert!(fs::read(&aside).expect("readable") == damaged, "it is kept as it was");
    let aside = aside.to_string_lossy().into_owned();
    assert!(
        finished.complaint().contains(&aside) || log(session).contains(&aside),
        "nobody is told where it is: neither the client's user nor the log's reader.\n\
         {finished}\nlog: {}",
        log(session)
    );
}

#[test]
fn noise_in_its_first_page() {
    let session = session_with_closed_journal();
    write_at(&session, 0, &noise(PAGE));
    let damaged = fs::read(journal(&session)).expect("a journal is there");
    assert_set_aside(&session, &damaged);
}

#[test]
fn noise_behind_its_first_page() {
    let session = session_with_closed_journal();
    let length = fs::metadata(journal(&session)).expect("a journal is there").len() as usize;
    write_at(&session, PAGE, &noise(length - PAGE));
    let damaged = fs::read(journal(&session)).expect("a journal is there");
    assert_set_aside(&session, &damaged);
}

#[test]
fn one_that_was_cut_short() {
    let session = session_with_closed_journal();
    let file = File::options().write(true).open(journal(&session)).expect("a journal is there");
    file.set_len(PAGE as u64 + 100).expect("it is writable");
    let damaged = fs::read(journal(&session)).expect("a journal is there");
    assert_set_aside(&session, &damaged);
}

#[test]
fn an_empty_one_is_a_new_one() {
    let session = session_with_closed_journal();
    fs::write(journal(&session), "").expect("writable");
    session.bash(Way::Preloaded, "env probe after").expect_success("a job");
    assert_eq!(session.commands().len(), 1);
}

/// The new gateway does not know the job. Its client must neither wait for ever nor run it again.
#[test]
fn one_that_is_lost_while_a_job_runs() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let first = session.gateway();
    // Stopped, it does not start a gateway that opens the journal before it is gone.
    kill(client.pid(), Signal::SIGSTOP).expect("the client is there");
    first.kill();
    for entry in fs::read_dir(session.state()).expect("a state directory") {
        let path = entry.expect("readable").path();
        if path.to_string_lossy().contains("journal.sqlite") {
            fs::remove_file(path).expect("nobody else removes it");
        }
    }
    kill(client.pid(), Signal::SIGCONT).expect("the client is there");
    witness.order("ping");
    // The client passes its SIGCONT on, before or after.
    witness.reports_until("pong");
    witness.order("exit 5");
    let process = Watched::new(client.pid().as_raw()).expect("not waited for yet");
    let ends = process.ends_within_seconds(10);
    if !ends {
        process.signal(Signal::SIGKILL);
    }
    let finished = client.finish();
    assert!(ends, "its client does not end: {finished}");
    assert_eq!(finished.status.code(), Some(5), "the job's own status: {finished}");
    assert_says(&finished, &["not journalled", "'witness'"]);
}

/// The agent still runs jobs of the journal that is lost, whose numbers are given out again.
#[test]
fn one_that_is_damaged_while_detached_jobs_run() {
    let session = Session::new("");
    let listener = Listener::new(&session.directory(), "socket");
    let script = "echo before; exec witness \"$0\"";
    let options = ["--array", "1-3", "--cpus", "0.1", "--", "sh", "-c", script, listener.path()];
    submit(&session, &options);
    let mut witnesses = [(); 3].map(|()| listener.accept());
    let (gateway, agent) = (session.gateway(), session.agent_if_running().expect("it runs them"));
    // Stopped, it does not start a gateway that opens the journal before it is damaged.
    agent.signal(Signal::SIGSTOP);
    gateway.kill();
    fs::remove_file(session.state().join("journal.sqlite-wal")).expect("nobody else removes it");
    write_at(&session, 0, &noise(PAGE));
    agent.signal(Signal::SIGCONT);
    for witness in &mut witnesses {
        assert_eq!(witness.next_report(), None, "nobody would hear how it ends");
    }
    for status in [3, 0, 4] {
        let script = format!("echo {status}; exit {status}");
        let ended = finish(&mut submit_command(&session, &["--wait", "--", "sh", "-c", &script]));
        assert_eq!(ended.status.code(), Some(status), "{ended}");
        let id = ended.text().trim().to_owned();
        assert_eq!(session.ask(["logs", &id]).text(), format!("{status}\n"));
        assert_eq!(session.records(&id)[0].attempts.len(), 1);
    }
    let aside = set_aside(&session).expect("the damaged journal is kept");
    assert!(log(&session).contains(&*aside.to_string_lossy()), "{}", log(&session));
    assert_eq!(session.jobs().len(), 3, "a new journal");
}

#[test]
fn one_that_is_readable_for_nobody_else() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    let mode = |path: PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).expect("there").permissions().mode() & 0o077
    };
    // Its files need no modes of their own: nobody else gets as far as them.
    assert_eq!(mode(session.state()), 0, "the state directory is the user's own");
    only_command(&session);
}
