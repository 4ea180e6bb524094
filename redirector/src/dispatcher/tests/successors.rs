//! Who may be bound to the place of a running job, and what becomes of those that are.

use super::{mirror::Mirror, *};

/// One cpu for 1 and 2, which run, and for those that wait behind them.
fn crowd(waiting: u64) -> Mirror {
    let mut mirror = Mirror::default();
    mirror.handle(join("a", cpus(2), None), 0);
    for job in 1..=2 + waiting {
        submit(&mut mirror, job, cpus(1));
    }
    mirror
}

fn submit(mirror: &mut Mirror, job: u64, resources: Resources) {
    let request = Request { resources, ..Request::default() };
    mirror.handle(Event::Submitted { job: JobId(job), request }, 0);
}

fn promise(mirror: &mut Mirror, after: u64) -> Option<JobId> {
    let after = JobId(after);
    let job = mirror.dispatcher.successor(after)?;
    assert_eq!(mirror.handle(Event::Promised { job, after }, 0), []);
    Some(job)
}

fn starts(actions: &[Action]) -> Vec<u64> {
    let started = actions.iter().filter_map(|action| match action {
        Action::Start { job, .. } => Some(job.0),
        Action::Refuse { .. } | Action::Lost { .. } => None,
    });
    started.collect()
}

#[test]
fn each_is_promised_once_and_in_the_order_of_the_queue() {
    let mut mirror = crowd(3);
    assert_eq!(promise(&mut mirror, 2), Some(JobId(3)));
    assert_eq!(promise(&mut mirror, 1), Some(JobId(4)));
    assert_eq!(promise(&mut mirror, 2), Some(JobId(5)));
    assert_eq!(promise(&mut mirror, 1), None);
    assert_eq!(promise(&mut mirror, 4), None, "it does not run");
}

#[test]
fn a_follower_has_the_place_and_nobody_is_offered_it() {
    let mut mirror = crowd(2);
    promise(&mut mirror, 1);
    let event = Event::Followed { ended: JobId(1), started: JobId(3) };
    assert_eq!(mirror.handle(event, 5), []);
    assert!(mirror.running().contains(&JobId(3)));
    assert_eq!(starts(&mirror.handle(Event::Ended { job: JobId(3) }, 6)), [4]);
}

#[test]
fn a_follower_has_the_very_pieces() {
    let mut mirror = Mirror::default();
    let indexed = BTreeMap::from([(gpus(), 2)]);
    let (node, capacity) = (node_name("a"), cpus(4));
    let (max_jobs, max_supervisors) = (None, None);
    mirror.handle(Event::NodeJoined { node, capacity, max_jobs, max_supervisors, indexed }, 0);
    for job in 1..=3 {
        submit(&mut mirror, job, cpus(1).with(gpus(), Amount::ONE));
    }
    assert_eq!(promise(&mut mirror, 2), Some(JobId(3)));
    mirror.handle(Event::Followed { ended: JobId(2), started: JobId(3) }, 0);
    let pieces = mirror.dispatcher.jobs[JobId(3)].indices.clone();
    assert_eq!(pieces.iter().map(|(_, pieces)| pieces.clone()).collect::<Vec<_>>(), [[1]]);
}

#[test]
fn one_that_is_withdrawn_stands_where_it_stood() {
    let mut mirror = crowd(2);
    promise(&mut mirror, 1);
    assert_eq!(starts(&mirror.handle(Event::Withdrawn { job: JobId(3) }, 0)), [0; 0]);
    assert_eq!(starts(&mirror.handle(Event::Ended { job: JobId(2) }, 0)), [3]);
}

#[test]
fn one_that_is_promised_could_start_where_a_place_is_free() {
    let mut mirror = crowd(1);
    promise(&mut mirror, 1);
    assert!(!mirror.dispatcher.could_start_elsewhere(JobId(3)));
    assert_eq!(starts(&mirror.handle(Event::Ended { job: JobId(2) }, 0)), [0; 0]);
    assert!(mirror.dispatcher.could_start_elsewhere(JobId(3)));
    assert_eq!(starts(&mirror.handle(Event::Withdrawn { job: JobId(3) }, 0)), [3]);
}

#[test]
fn nobody_is_bound_before_a_job_of_another_kind() {
    let mut mirror = Mirror::default();
    mirror.handle(join("a", cpus(2), None), 0);
    for (job, count) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
        submit(&mut mirror, job, cpus(count));
    }
    assert_eq!(promise(&mut mirror, 1), None, "job 3 is the first");
    mirror.handle(Event::Cancelled { job: JobId(3) }, 0);
    assert_eq!(promise(&mut mirror, 1), Some(JobId(4)));
}

#[test]
fn one_that_may_lend_is_followed_by_its_like_while_it_has_lent_nothing() {
    let mut mirror = Mirror::default();
    mirror.handle(join("a", cpus(1), None), 0);
    let mut submit = |job, holds, parent: Option<u64>| {
        let parent = parent.map(JobId);
        let request = Request { resources: cpus(1), holds, parent, ..Request::default() };
        mirror.handle(Event::Submitted { job: JobId(job), request }, 0);
        mirror.dispatcher.successor(JobId(1))
    };
    submit(1, Holds::Lends, None);
    assert_eq!(submit(2, Holds::Lends, None), Some(JobId(2)));
    assert_eq!(submit(3, Holds::Worker, Some(1)), None, "it has lent its cpu to job 3");
    mirror.handle(Event::Ended { job: JobId(3) }, 0);
    assert_eq!(promise(&mut mirror, 1), Some(JobId(2)));
    mirror.handle(Event::Followed { ended: JobId(1), started: JobId(2) }, 0);
    assert_eq!(promise(&mut mirror, 2), None);
}

#[test]
fn one_that_is_promised_and_not_wanted_any_more_is_forgotten() {
    let mut mirror = crowd(1);
    promise(&mut mirror, 1);
    mirror.handle(Event::Cancelled { job: JobId(3) }, 0);
    assert_eq!(mirror.dispatcher.job_count(), 2);
    assert!(mirror.dispatcher.explain(JobId(3)).is_none());
}

#[test]
fn one_whose_node_is_removed_meanwhile_is_refused() {
    let mut mirror = Mirror::default();
    for node in ["a", "b"] {
        mirror.handle(join(node, cpus(1), None), 0);
    }
    for job in 1..=2 {
        let candidates = Candidates::One(node_name("a"));
        let request = Request { resources: cpus(1), candidates, ..Request::default() };
        mirror.handle(Event::Submitted { job: JobId(job), request }, 0);
    }
    assert_eq!(promise(&mut mirror, 1), Some(JobId(2)));
    mirror.handle(Event::NodeRemoved { node: node_name("a") }, 0);
    let actions = mirror.handle(Event::Withdrawn { job: JobId(2) }, 0);
    assert!(matches!(actions[..], [Action::Refuse { job: JobId(2), .. }]), "{actions:?}");
}
