use super::{
    testing::{job, run},
    *,
};
use crate::model::{Kind, Outcome, State};

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
