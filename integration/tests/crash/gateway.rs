//! A gateway that is killed at a hundred moments.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use integration::{Random, Session, begin};
use nix::sys::signal::{Signal, kill};

use crate::{
    check,
    killer::{Victim, kill_again_and_again},
    load,
};

const SEEDS: u64 = 10;
const KILLS: usize = 10;

/// Pieces of load at the same time.
const WORKERS: usize = 4;

/// Pieces of load at least: every kind in every way.
const LEAST: usize = 18;

/// Sets the flag when dropped, also by a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_kills_under_a_mixed_load() {
    for seed in 1..=SEEDS {
        let session = Session::new(load::WHITELIST);
        load::write_scripts(&session);
        let (killing_is_over, load_failed) = (AtomicBool::new(false), AtomicBool::new(false));
        let next = AtomicUsize::new(0);
        let expected = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _over = SetAtEnd(&killing_is_over);
                let mut random = Random::new(seed);
                let victim = Victim::Gateway;
                kill_again_and_again(&session, victim, KILLS, &mut random, &load_failed);
            });
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let failed = SetAtEnd(&load_failed);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= LEAST && killing_is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        let came = load::work(&session, number);
                        expected.lock().expect("no worker panics with it").extend(came);
                    }
                    std::mem::forget(failed);
                });
            }
        });
        check::check(&session, seed, &expected.into_inner().expect("as above"));
    }
}

/// Whoever comes next finds the gateway that they were starting, or starts another.
#[test]
fn clients_that_are_killed_while_they_start_a_gateway() {
    /// Starting one takes about so long, in microseconds.
    const START: u64 = 15_000;
    for seed in 1..=5 {
        let session = Session::new("");
        let mut random = Random::new(seed);
        for _ in 0..10 {
            let client = begin(&mut session.redirector(["submit", "--", "true"]));
            // The moment is what is random, so this waits for a time and not for an event.
            std::thread::sleep(Duration::from_micros(random.below(START)));
            let _through_already = kill(client.pid(), Signal::SIGKILL);
            client.finish();
            let next = session.ask(["submit", "--wait", "--", "true"]);
            next.expect_success(&format!("seed {seed}: the next client"));
            session.gateway().kill();
        }
    }
}
