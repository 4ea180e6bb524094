//! How long a tool waits for one command that became a job.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    gateway::Gateway,
    section::{Bound, Candidate, Quantity, Section},
    workbench::Workbench,
};

const ROUNDS: usize = 150;
const CALLS: usize = 20;

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let process = Gateway::new(workbench, "process", &[]);
    let full = Gateway::new(workbench, "full", &[("REDIRECTOR_DURABILITY", "full")]);
    let plain = workbench.spawn(&["/bin/true"]);
    let mut failing = workbench.spawn(&["/bin/false"]);
    failing.expected_status = 1;
    let redirector = &workbench.artefacts.stand_in;
    let mut candidates = vec![
        Candidate::new("plain", plain.clone()),
        Candidate::new("redirected", process.redirecting(plain.clone(), redirector))
            .aiming_at(Quantity::Latency, Bound::AtMost(3.0)),
        Candidate::new("redirected, /bin/false", process.redirecting(failing, redirector))
            .aiming_at(Quantity::Latency, Bound::AtMost(3.0)),
        Candidate::new("redirected, full durability", full.redirecting(plain, redirector))
            .aiming_at(Quantity::Latency, Bound::AtMost(4.0)),
    ];
    let spooler = TaskSpooler::start(workbench);
    if let Some(spooler) = &spooler {
        let call = workbench.spawn(&["/usr/bin/tsp", "-nf", "/bin/true"]);
        let call = call.with([("TS_SOCKET", &spooler.socket)]);
        candidates.push(Candidate::new("tsp -nf", call));
    }
    vec![Section {
        title: "One blocking call of /bin/true",
        baseline: 0,
        candidates,
        quantities: vec![Quantity::Latency, Quantity::SlowLatency, Quantity::Cpu],
        rounds: ROUNDS,
        calls: CALLS,
        check: Box::new(move || {
            // At least the quick measurement's calls, once for true and once for false.
            process.demand_jobs(2 * CALLS * ROUNDS / 10);
            full.demand_jobs(CALLS * ROUNDS / 10);
            drop(spooler);
            Vec::new()
        }),
    }]
}

/// A queue of task-spooler's, the tool that people use for this on one machine.
struct TaskSpooler {
    socket: PathBuf,
}

impl TaskSpooler {
    /// Starts its server; `None`, with a note, where it is not installed.
    fn start(workbench: &Workbench) -> Option<Self> {
        let spooler = Self { socket: workbench.path().join("tsp.sock") };
        // Its first call starts the server, which keeps the descriptors that it is given.
        match spooler.command().args(["-nf", "/bin/true"]).status() {
            Ok(status) if status.success() => Some(spooler),
            _ => {
                println!("task-spooler (tsp) is not installed and not compared");
                None
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("/usr/bin/tsp");
        command.env("TS_SOCKET", &self.socket);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for TaskSpooler {
    fn drop(&mut self) {
        if let Err(error) = self.command().arg("-K").status() {
            eprintln!("the server of task-spooler could not be stopped: {error}");
        }
    }
}
