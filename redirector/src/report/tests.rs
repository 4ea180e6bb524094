use super::*;
use crate::model::{Kind, NodeName, Outcome, Resources, Spec, State, Usage};

/// Job 1, which ran from 1000 to 9000.
pub(super) fn run() -> Job {
    Job {
        spec: Spec { kind: Kind::Run, name: "pipeline".to_owned(), ..Spec::default() },
        ..job(1, "pipeline", 1_000, 9_000, Outcome::Exited { exit_code: 0 })
    }
}

/// A job of run 1 with two cpus and 8K of memory, submitted 100 ms before it started.
pub(super) fn job(id: u64, name: &str, started: u64, ended: u64, outcome: Outcome) -> Job {
    Job {
        id: JobId(id),
        spawned_by: (id != 1).then_some(JobId(1)),
        run: JobId(1),
        spec: Spec {
            name: name.to_owned(),
            argv: vec![name.into(), "<input> & co".into()],
            resources: Resources::new(Amount::whole(2), 8_192),
            ..Spec::default()
        },
        environment: Vec::new(),
        state: State::Finished,
        attempts: Vec::new(),
        outcome: Some(outcome),
        submitted: Timestamp(started - 100),
        started: Some(Timestamp(started)),
        ended: Some(Timestamp(ended)),
        node: Some(NodeName("node".to_owned())),
        usage: Some(Usage {
            user_us: 900_000,
            system_us: 100_000,
            max_rss: 1_024,
            ..Usage::default()
        }),
        client_pid: 7,
    }
}

const OK: Outcome = Outcome::Exited { exit_code: 0 };

#[test]
fn figures_add_up_by_rule() {
    let mut running = job(4, "sort", 5_000, 5_000, OK);
    (running.state, running.outcome, running.ended, running.usage) =
        (State::Running, None, None, None);
    let mut refused =
        job(5, "sort", 6_000, 6_500, Outcome::Refused { reason: "no <room>".to_owned() });
    (refused.started, refused.usage) = (None, None);
    let jobs =
        [refused, running, job(3, "map", 2_000, 6_000, OK), job(2, "map", 1_000, 2_000, OK), run()];
    let report = Report::new(&run(), &jobs, Timestamp(7_000));

    let names: Vec<_> = report.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(names, ["map", "sort"], "by first submission, without the run");
    let map = report.rules[0].figures;
    assert_eq!((map.jobs, map.failed, map.live, map.waited_ms), (2, 0, 0, 200));
    assert_eq!(
        (map.wall_ms, map.longest_ms, map.cpu_ms, map.held_cpu_ms),
        (5_000, 4_000, 2_000, 10_000)
    );
    assert_eq!((map.mem_asked, map.mem_used, map.efficiency()), (8_192, 1_024, Some(0.2)));
    let sort = report.rules[1].figures;
    assert_eq!((sort.jobs, sort.failed, sort.live, sort.wall_ms), (2, 1, 1, 2_000));
    assert_eq!(sort.efficiency(), None, "nobody knows what they used");
    assert_eq!((report.total.jobs, report.total.wall_ms, report.wall_ms), (4, 7_000, 8_100));
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].reason.as_deref(), Some("no <room>"));
}

#[test]
fn fractions_of_a_cpu_count_as_such() {
    let mut half = job(2, "map", 1_000, 3_000, OK);
    half.spec.resources.cpus = Amount(5_000);
    let report = Report::new(&run(), &[half], Timestamp(9_000));
    assert_eq!(report.total.held_cpu_ms, 1_000);
    assert_eq!(report.total.efficiency(), Some(1.0));
}

#[test]
fn a_single_job_is_its_own_run() {
    let mut single = job(1, "map", 1_000, 3_000, OK);
    single.spec.kind = Kind::Command;
    assert_eq!(Report::new(&single, std::slice::from_ref(&single), Timestamp(9_000)).total.jobs, 1);
}
