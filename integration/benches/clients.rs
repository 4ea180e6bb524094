//! How a client should be linked, and by what it should speak HTTP.

use crate::{
    gateway::Gateway,
    section::{Candidate, Quantity, Section},
    workbench::Workbench,
};

const ROUNDS: usize = 150;
const CALLS: usize = 20;

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let gateway = Gateway::new(workbench, "clients", &[]);
    let plain = workbench.spawn(&["/bin/true"]);
    let first = gateway.redirecting(plain.clone(), &workbench.artefacts.stand_in);
    let standing_in = |program| gateway.standing_in(workbench, program, "/bin/true");
    let client = Workbench::built("lease_client");
    let client = client.to_string_lossy();
    let socket = gateway.socket();
    let socket = socket.to_string_lossy();
    let speaking = |by| workbench.spawn(&[&client, by, &socket, "/bin/true"]);
    let dynamic = Workbench::built("redirector_dynamic");
    vec![Section {
        title: "Clients: how they are linked and by what they speak HTTP",
        baseline: 0,
        candidates: vec![
            Candidate::new("plain", plain),
            // Before all of the gateway's other clients: it starts the gateway.
            Candidate::new("redirected, redirector as it is", first),
            // Without libshim.so: it would intercept what the dynamic one starts.
            Candidate::new("redirector, static", standing_in(&workbench.artefacts.stand_in)),
            Candidate::new("redirector, dynamic", standing_in(&dynamic)),
            Candidate::new("small static client, no gateway", speaking("nothing")),
            Candidate::new("small static client, own HTTP", speaking("own")),
            Candidate::new("small static client, reqwest", speaking("reqwest")),
        ],
        quantities: vec![Quantity::Latency, Quantity::SlowLatency, Quantity::Cpu],
        rounds: ROUNDS,
        calls: CALLS,
        check: Box::new(move || {
            gateway.demand_jobs(5 * CALLS * ROUNDS / 10);
            Vec::new()
        }),
    }]
}
