use super::*;
use crate::{
    agent::shepherds::ShepherdId,
    model::{JobId, Outcome, Timestamp, Usage},
};

const FIRST: AttemptId = AttemptId { job: JobId(7), number: 1 };

fn running() -> Running {
    let shepherd = ShepherdId::for_test(3);
    let (token, watched_limit, passed_on) = (None, None, None);
    let (is_nested, is_abandoned) = (false, false);
    Running { shepherd, token, peak: 500, is_nested, is_abandoned, watched_limit, passed_on }
}

fn ended() -> Ended {
    let (outcome, at) = (Outcome::Exited { exit_code: 0 }, Timestamp(1));
    let usage = Usage { max_rss: 300, ..Usage::default() };
    Ended { attempt: FIRST, outcome, usage, started: at, at, followed_by: None, passed_on: None }
}

#[test]
fn its_end_tells_which_signal_came_from_whoever_waits_for_it() {
    let mut attempts = Attempts::default();
    attempts.run(FIRST, running());
    attempts.running_mut(FIRST).expect("it runs").passed_on = Some(15);
    attempts.end(Box::new(ended()));
    assert_eq!(attempts.ended(FIRST).and_then(|ended| ended.passed_on), Some(15));
}

#[test]
fn an_attempt_is_known_until_its_end_is_acknowledged() {
    let mut attempts = Attempts::default();
    attempts.run(FIRST, running());
    attempts.acknowledge(FIRST);
    assert!(attempts.contains(FIRST), "one that runs cannot be acknowledged");
    assert_eq!(attempts.of(running().shepherd), Some(FIRST));

    attempts.end(Box::new(ended()));
    assert!(attempts.none_runs() && attempts.contains(FIRST));
    assert_eq!(attempts.unacknowledged().count(), 1);
    assert_eq!(attempts.of(running().shepherd), None);

    attempts.acknowledge(FIRST);
    assert!(attempts.is_empty() && attempts.ended(FIRST).is_none());
}

#[test]
fn promised_attempts_run_one_after_the_other() {
    let [second, third] = [2, 3].map(|number| AttemptId { number, ..FIRST });
    let shepherd = running().shepherd;
    let mut attempts = Attempts::default();
    attempts.run(FIRST, running());
    attempts.promise(second, running());
    attempts.promise(third, running());
    assert_eq!(attempts.promised_to(shepherd), [second, third]);
    assert!(attempts.running(second).is_none() && attempts.contains(second));
    assert_eq!(attempts.place_of(third), Some(shepherd));
    assert!(attempts.end_when_started(third, 50) && attempts.end_when_started(third, 70));
    assert!(!attempts.end_when_started(FIRST, 0), "it runs");

    assert_eq!(attempts.start_next(shepherd).unwrap().attempt, second);
    attempts.end(Box::new(Ended { followed_by: Some(second), ..ended() }));
    assert_eq!(attempts.of(shepherd), Some(second));
    assert_eq!(attempts.place_of(FIRST), Some(shepherd), "whoever has it now");
    assert_eq!(attempts.start_next(shepherd).unwrap().ending, Some(50));
    assert!(attempts.start_next(shepherd).is_none());
    assert_eq!(attempts.all_promised().count(), 0);
}

#[test]
fn a_promised_attempt_that_is_withdrawn_is_forgotten() {
    let [second, third] = [2, 3].map(|number| AttemptId { number, ..FIRST });
    let mut attempts = Attempts::default();
    attempts.run(FIRST, running());
    attempts.promise(second, running());
    attempts.promise(third, running());
    attempts.abandon(third);
    assert!(attempts.withdraw(second) && !attempts.withdraw(third), "nobody asks for it");
    assert!(!attempts.withdraw(FIRST) && attempts.contains(FIRST), "it runs");
    assert!(!attempts.contains(second) && attempts.all_promised().count() == 0);
    attempts.end(Box::new(ended()));
    assert_eq!(attempts.place_of(FIRST), None);
}

#[test]
fn an_abandoned_attempt_is_forgotten_when_it_ends() {
    let mut attempts = Attempts::default();
    attempts.run(FIRST, running());
    attempts.abandon(FIRST);
    assert!(attempts.contains(FIRST), "its processes are still there");
    attempts.end(Box::new(ended()));
    assert!(attempts.is_empty());
}

#[test]
fn the_larger_of_the_two_accounts_of_memory_counts() {
    let mut attempts = Attempts::default();
    attempts.run(FIRST, running());
    attempts.end(Box::new(ended()));
    assert_eq!(attempts.ended(FIRST).unwrap().usage.max_rss, 500);
}
