//! A gateway on which thousands of clients wait.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    rc::Rc,
    time::Instant,
};

use redirector::{
    client::{submission::DEFAULT_RESOURCES, wire::Lease},
    model::Spec,
    protocol::{ClientMessage, GatewayMessage, Submission},
};

use crate::{
    gateway::Gateway,
    section::{Bound, Candidate, Figure, Quantity, Section},
    spawner::Sample,
    workbench::Workbench,
};

const ROUNDS: usize = 40;
const CALLS: usize = 25;

/// As many as there are cpus: they run, and nobody waits.
const FEW: usize = 2;
const MANY: usize = 5000;

/// The most memory that the gateway is to have, in MiB.
const MOST_MEMORY: f64 = 200.0;

/// The longest that a submission is to take, in microseconds.
const LONGEST: f64 = 20_000.0;

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let few = Rc::new(Crowd::gather(workbench, "few", FEW));
    let many = Rc::new(Crowd::gather(workbench, "many", MANY));
    let (with_few, with_many) = (Rc::clone(&few), Rc::clone(&many));
    vec![Section {
        title: "A submission, until it is accepted, while 5000 clients wait",
        baseline: 0,
        candidates: vec![
            Candidate::measured_by("nobody waits", move |calls| with_few.submissions(calls)),
            Candidate::measured_by("5000 wait", move |calls| with_many.submissions(calls))
                .aiming_at(Quantity::Latency, Bound::ValueAtMost(LONGEST))
                .aiming_at(Quantity::SlowestLatency, Bound::ValueAtMost(LONGEST)),
        ],
        quantities: vec![Quantity::Latency, Quantity::SlowestLatency],
        rounds: ROUNDS,
        calls: CALLS,
        check: Box::new(move || {
            let memory = |name, crowd: &Crowd, most| {
                let value = crowd.gateway.resident();
                Figure { name, value, unit: "MiB", most }
            };
            many.gateway.demand_jobs(MANY);
            vec![
                memory("the gateway's memory, nobody waits", &few, None),
                memory("the gateway's memory, 5000 wait", &many, Some(MOST_MEMORY)),
            ]
        }),
    }]
}

/// Clients that hold their connections, all in one process, and their gateway.
struct Crowd {
    clients: Child,
    gateway: Gateway,
}

impl Crowd {
    /// Returns when all of them are accepted.
    fn gather(workbench: &Workbench, name: &str, count: usize) -> Self {
        let gateway = Gateway::new(workbench, name, &[("REDIRECTOR_CPUS", "2")]);
        // Starts it.
        gateway.answer(&["submit", "--wait", "--", "/bin/true"]);
        let mut command = Command::new(Workbench::built("lease_client"));
        command.arg("crowd").arg(gateway.socket()).arg(count.to_string());
        let mut clients = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is built beside this program");
        let output = clients.stdout.take().expect("it is piped");
        let said = BufReader::new(output).lines().next();
        assert!(matches!(said, Some(Ok(_))), "the crowd of {count} did not gather");
        Self { clients, gateway }
    }

    fn submissions(&self, calls: usize) -> Sample {
        let socket = self.gateway.socket();
        Sample::of((0..calls).map(|_| submission(&socket)))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // They leave when their standard input is closed.
        drop(self.clients.stdin.take());
        if let Err(error) = self.clients.wait() {
            eprintln!("the crowd has not left: {error}");
        }
    }
}

/// Seconds until a job is accepted. It never runs, because its client leaves then.
fn submission(socket: &Path) -> f64 {
    let start = Instant::now();
    let key = format!("{start:?}");
    let spec = Spec {
        name: "true".to_owned(),
        argv: vec!["/bin/true".into()],
        program: "/bin/true".into(),
        directory: "/".into(),
        resources: DEFAULT_RESOURCES,
        ..Spec::default()
    };
    let message =
        ClientMessage::Submit(Box::new(Submission { key, spec, ..Submission::default() }));
    let mut lease = Lease::open(socket, &[&message]).expect("the gateway listens");
    loop {
        match lease.arrived().expect("the gateway answers") {
            Some(GatewayMessage::Accepted { .. }) => return start.elapsed().as_secs_f64(),
            Some(_) => {}
            None => lease.fill(),
        }
    }
}
