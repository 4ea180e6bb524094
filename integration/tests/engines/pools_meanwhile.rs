//! What can be seen of redirected commands while they run: bytes that are on their way between two
//! allocations, and the jobs that the engine lists.

use std::{collections::BTreeSet, fs};

use integration::{EngineLab, Session, Way};
use redirector::engine::batch::Mark;

use crate::{
    pools::{PER_JOB, PILOT, assert_nothing_left},
    pools_faults::{begin_script, wait_until},
};

/// Nobody waits for long until they are given back.
fn brief_pilots() -> String {
    PILOT.replace("\"5s\"", "\"1s\"")
}

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
    for (settings, of_reader) in [(PER_JOB, "p"), (&*brief_pilots(), "q")] {
        let whitelist = format!("sh pool=p\nbash pool={of_reader}\n");
        let session = Session::on_engine(&lab, &whitelist, settings);
        add_another_pool(&session);
        session.bash(Way::Plain, "mkfifo heard").expect_success("mkfifo");
        let pipe = format!("{WRITER} | {READER}");
        let done = session.bash(Way::Preloaded, &pipe).expect_success("the pipe");
        assert_eq!(done.text(), "first\nheard first\n", "{settings}");
        let used: BTreeSet<_> = session.commands().into_iter().map(|job| job.node).collect();
        assert_eq!(used.len(), 2, "{settings}: {used:?}");
        assert_nothing_left(&lab);
    }
}

/// The name, the state and the gateway's mark of each job that the engine lists.
fn listed_with_marks(lab: &EngineLab) -> Vec<(String, String, Mark)> {
    let listed = lab.client("squeue", &["--noheader", "--format=%j|%T|%k"]).text();
    let read = |line: &str| {
        let [name, state, comment] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let mark = comment.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        (name.to_owned(), state.to_owned(), mark)
    };
    listed.lines().map(read).collect()
}

#[test]
fn squeue_shows_the_jobs_of_a_pipeline_while_it_runs() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    for (settings, programs) in [(PER_JOB, &["cat", "wc"][..]), (&*brief_pilots(), &[])] {
        let session = Session::on_engine(&lab, "cat pool=p\nwc pool=p\n", settings);
        session.bash(Way::Plain, "mkfifo go").expect_success("mkfifo");
        let running = begin_script(&session, "cat go | wc -c");
        wait_until(|| {
            let jobs = session.commands();
            jobs.len() == 2 && jobs.iter().all(|job| job.state == "running")
        });

        let all = listed_with_marks(&lab);
        assert_eq!(all.len(), programs.len().max(1), "{settings}: {all:?}");
        assert!(all.iter().all(|(_, state, _)| state == "RUNNING"), "{settings}: {all:?}");
        for program in programs {
            assert!(all.iter().any(|(name, ..)| name.contains(program)), "{program}: {all:?}");
        }
        let gateways: BTreeSet<_> = all.iter().map(|(.., mark)| &mark.gateway).collect();
        assert_eq!(gateways.len(), 1, "{settings}: {all:?}");
        let marked: BTreeSet<_> = all.iter().map(|(.., mark)| mark.allocation.clone()).collect();
        let used: BTreeSet<_> = session.commands().into_iter().filter_map(|job| job.node).collect();
        assert_eq!(marked, used, "{settings}");

        session.bash(Way::Plain, "echo 12345 >go").expect_success("go");
        assert_eq!(running.finish().expect_success("the pipe").text(), "6\n", "{settings}");
        assert_nothing_left(&lab);
    }
}
