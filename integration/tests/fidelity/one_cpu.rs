//! Jobs that need each other to go on, on a node that has room for one.

use std::fs;

use integration::{Session, Settings, Way, assert_same};

const ONE_CPU: Settings = Settings { cpus: 1 };

#[test]
fn jobs_that_are_joined_by_pipes() {
    let whitelist = "yes cpus=1\nhead cpus=1\ncat cpus=1\ncksum cpus=1\n";
    for (stages, script) in [
        (3, "yes | head -c 2000000 | cksum"),
        (12, "yes | cat | cat | cat | cat | cat | cat | cat | cat | cat | head -c 2000000 | cksum"),
    ] {
        for way in Way::REDIRECTED {
            let session = Session::with_settings(whitelist, ONE_CPU);
            let plain = session.bash(Way::Plain, script);
            assert_same(&format!("{script}, {way:?}"), &plain, &session.bash(way, script));
            assert_eq!(session.commands().len(), stages, "{script}, {way:?}");
        }
    }
}

/// Between the two jobs stand processes that are none: no pipe is common to both.
#[test]
fn jobs_that_are_joined_through_other_processes() {
    let script = "yes | head -c 2000000 | tr y z | cksum";
    for way in Way::REDIRECTED {
        let session = Session::with_settings("yes cpus=1\ncksum cpus=1\n", ONE_CPU);
        let plain = session.bash(Way::Plain, script);
        assert_same(&format!("{script}, {way:?}"), &plain, &session.bash(way, script));
        assert_eq!(session.commands().len(), 2, "{way:?}");
    }
}

/// A make that is a job starts a make that is a job, three deep, and the innermost starts a job.
#[test]
fn jobs_that_wait_for_jobs_they_started() {
    let whitelist = "make * cpus=1 nested\nprobe * cpus=1\n";
    let script = "make -s -f one.mk";
    let files = [
        ("one.mk", "all:\n\t@make -s -f two.mk\n"),
        ("two.mk", "all:\n\t@make -s -f three.mk; echo status $$?\n"),
        ("three.mk", "all:\n\t@probe innermost\n"),
    ];
    for way in Way::REDIRECTED {
        let session = Session::with_settings(whitelist, ONE_CPU);
        for (name, content) in files {
            fs::write(session.directory().join(name), content).expect("writable");
        }
        let plain = session.bash(Way::Plain, script).expect_success("nested makes");
        assert_same(&format!("nested makes, {way:?}"), &plain, &session.bash(way, script));

        let jobs = session.commands();
        assert_eq!(jobs.len(), 4, "{way:?}: {jobs:?}");
        let mut job = jobs.iter().find(|job| job.program() == "probe").expect("the innermost job");
        for _ in 0..3 {
            let spawner = jobs.iter().find(|other| Some(&other.id) == job.spawned_by.as_ref());
            let spawner = spawner.unwrap_or_else(|| panic!("{way:?}: who spawned {job:?}?"));
            assert_eq!(spawner.program(), "make", "{way:?}: {job:?}");
            assert_eq!(spawner.run, job.run, "{way:?}: {job:?}");
            job = spawner;
        }
    }
}

/// A whitelisted make whose recipes are whitelisted pipes, more of them at a time than fit.
#[test]
fn a_parallel_make_of_pipes() {
    let whitelist = "make * cpus=1 nested\nyes cpus=1\nhead cpus=1\ncksum cpus=1\n";
    let makefile = "all: a b c d\na b c d:\n\t@yes | head -c 300000 | cksum >$@\n";
    let script = "rm -f a b c d; make -s -j4 -f pipes.mk && cat a b c d";
    let session = Session::with_settings(whitelist, ONE_CPU);
    fs::write(session.directory().join("pipes.mk"), makefile).expect("writable");
    let plain = session.bash(Way::Plain, script).expect_success("make -j4");
    assert_same("make -j4 of pipes", &plain, &session.bash(Way::Preloaded, script));
    assert_eq!(session.commands().len(), 1 + 4 * 3);
}
