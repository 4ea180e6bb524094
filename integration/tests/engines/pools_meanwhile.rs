//! What can be seen of redirected commands while they run: bytes on their way between allocations.

use std::{collections::BTreeSet, fs};

use integration::{EngineLab, Session, Way};

use crate::pools::{PER_JOB, PILOT, assert_nothing_left};

/// A pool `q` that is as `p` of `session` is.
fn add_another_pool(session: &Session) {
    let written = fs::read_to_string(session.configuration()).expect("it was just written");
    let (_, pool) = written.split_once("[[pools]]").expect("it has one");
    session.append_configuration(&format!("[[pools]]{}", pool.replacen("\"p\"", "\"q\"", 1)));
}

/// If what it writes came only at its end, both would wait for ever.
#[test]
fn a_reader_in_another_allocation_sees_a_line_while_its_writer_still_runs() {
    const WRITER: &str = "sh -c 'echo first; read -r said <heard; echo \"$said\"'";
    const READER: &str = "bash -c 'read -r line; echo \"heard $line\" >heard; echo \"$line\"; cat'";
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    // One pilot would have both of a pipe.
    for (settings, of_reader) in [(PER_JOB, "p"), (PILOT, "q")] {
        let whitelist = format!("sh pool=p\nbash pool={of_reader}\n");
        let session = Session::on_engine(&lab, &whitelist, settings);
        add_another_pool(&session);
        session.bash(Way::Plain, "mkfifo heard").expect_success("mkfifo");
        let pipe = format!("{WRITER} | {READER}");
        let done = session.bash(Way::Preloaded, &pipe).expect_success("the pipe");
        assert_eq!(done.text(), "first\nheard first\n", "{settings}");
        let used: BTreeSet<_> = session.commands().into_iter().map(|job| job.node).collect();
        assert_eq!(used.len(), 2, "{settings}: {used:?}");
        drop(session);
        assert_nothing_left(&lab);
    }
}
