//! How many commands a second get through when many wait at once.

use crate::{
    gateway::Gateway,
    section::{Bound, Candidate, Quantity, Section},
    spawner::Output,
    workbench::Workbench,
};

const CLIENTS: usize = 32;
const ROUNDS: usize = 40;
const CALLS: usize = 10;

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let queueing = Gateway::new(workbench, "queueing", &[]);
    let roomy = Gateway::new(workbench, "roomy", &[("REDIRECTOR_CPUS", "32")]);
    let mut plain = workbench.spawn(&["/bin/true"]);
    plain.workers = CLIENTS;
    let mut into_a_pipe = plain.clone();
    into_a_pipe.output = Output::Pipe;
    let redirector = &workbench.artefacts.stand_in;
    let target = Bound::AtLeast(0.35);
    vec![Section {
        title: "32 clients at once, each calling /bin/true again and again",
        baseline: 0,
        candidates: vec![
            Candidate::new("plain", plain.clone()),
            Candidate::new(
                "redirected, node as it is",
                queueing.redirecting(plain.clone(), redirector),
            )
            .aiming_at(Quantity::Rate, target),
            Candidate::new(
                "redirected, output to a pipe",
                queueing.redirecting(into_a_pipe, redirector),
            )
            .aiming_at(Quantity::Rate, target),
            Candidate::new("redirected, node with 32 cpus", roomy.redirecting(plain, redirector))
                .aiming_at(Quantity::Rate, target),
        ],
        quantities: vec![Quantity::Rate, Quantity::Cpu],
        rounds: ROUNDS,
        calls: CALLS,
        check: Box::new(move || {
            for gateway in [queueing, roomy] {
                gateway.demand_jobs(CLIENTS * CALLS * ROUNDS / 10);
            }
            Vec::new()
        }),
    }]
}
