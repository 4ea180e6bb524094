//! What it costs to run commands that nobody waits for.

use std::{rc::Rc, time::Instant};

use crate::{
    gateway::Gateway,
    section::{Bound, Candidate, Quantity, Section},
    spawner::Sample,
    workbench::Workbench,
};

const ROUNDS: usize = 30;

/// Jobs of an array.
const ELEMENTS: usize = 1000;

/// Jobs one after the other.
const LINKS: usize = 100;

const TWO_CPUS: [(&str, &str); 1] = [("REDIRECTOR_CPUS", "2")];

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    vec![array(workbench), chain(workbench)]
}

fn array(workbench: &Workbench) -> Section {
    let gateway = Gateway::new(workbench, "array", &TWO_CPUS);
    let xargs = format!("seq {ELEMENTS} | xargs -P2 -n1 /bin/true");
    let elements = format!("1-{ELEMENTS}");
    let submission = ["submit", "--wait", "--array", &elements, "--", "/bin/true", "{}"];
    let candidates = vec![
        Candidate::new("xargs -P2", workbench.spawn(&["/bin/sh", "-c", &xargs])),
        Candidate::new("submit --array --wait", gateway.asking(workbench, &submission))
            .aiming_at(Quantity::Rate, Bound::AtLeast(0.9)),
    ];
    Section {
        title: "1000 detached jobs on 2 cpus, each /bin/true",
        baseline: 0,
        candidates: candidates.into_iter().map(|candidate| candidate.of_jobs(ELEMENTS)).collect(),
        quantities: vec![Quantity::Rate, Quantity::PerJob],
        rounds: ROUNDS,
        calls: 1,
        check: Box::new(move || {
            gateway.demand_jobs(ELEMENTS * ROUNDS / 10);
            Vec::new()
        }),
    }
}

fn chain(workbench: &Workbench) -> Section {
    let gateway = Rc::new(Gateway::new(workbench, "chain", &TWO_CPUS));
    let shell = format!("i=0; while [ $i -lt {LINKS} ]; do /bin/true; i=$((i+1)); done");
    let measured = Rc::clone(&gateway);
    let candidates = vec![
        Candidate::new("a shell's loop", workbench.spawn(&["/bin/sh", "-c", &shell])),
        Candidate::measured_by("submit --after", move |calls| follow_one_another(&measured, calls))
            .aiming_at(Quantity::PerJob, Bound::ValueAtMost(3000.0)),
    ];
    Section {
        title: "100 jobs, each /bin/true and after the one before, from the release of the first",
        baseline: 0,
        candidates: candidates.into_iter().map(|candidate| candidate.of_jobs(LINKS)).collect(),
        quantities: vec![Quantity::PerJob],
        rounds: ROUNDS,
        calls: 1,
        check: Box::new(move || {
            gateway.demand_jobs(LINKS * ROUNDS / 10);
            Vec::new()
        }),
    }
}

/// All of them are submitted before time counts.
fn follow_one_another(gateway: &Gateway, calls: usize) -> Sample {
    let chain = || {
        let first = gateway.answer(&["submit", "--hold", "--", "/bin/true"]);
        let mut last = first.clone();
        for _ in 1..LINKS {
            last = gateway.answer(&["submit", "--after", &last, "--", "/bin/true"]);
        }
        let start = Instant::now();
        gateway.answer(&["release", &first]);
        gateway.answer(&["wait", &last]);
        start.elapsed().as_secs_f64()
    };
    Sample::of((0..calls).map(|_| chain()))
}
