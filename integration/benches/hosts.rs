//! What it costs to run a command on another computer, beside ssh.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    rc::Rc,
    thread,
    time::Instant,
};

use integration::{HostFiles, HostSettings, Lab};

use crate::{
    gateway::Gateway,
    section::{Bound, Candidate, Quantity, Section},
    spawner::{Sample, Spawner},
    workbench::Workbench,
};

const ROUNDS: usize = 40;
const CALLS: usize = 10;

const STREAM_ROUNDS: usize = 10;

/// What passes through a stream, in MiB.
const MEBIBYTES: usize = 1024;

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let start = || Lab::start(1, HostFiles::Shared).map(|lab| Bench { workbench, lab: lab.into() });
    let sections = [start().map(Bench::calls), start().map(Bench::streams)];
    sections.into_iter().flatten().collect()
}

/// A host that is measured.
struct Bench<'a> {
    workbench: &'a Workbench,
    lab: Rc<Lab>,
}

impl Bench<'_> {
    fn calls(self) -> Section {
        let gateway = self.gateway("hosts");
        let configuration = self.lab.ssh_configuration().to_string_lossy().into_owned();
        let control = format!("ControlPath={}", self.lab.directory().join("master").display());
        let ssh = |options: &[&str], command: &[&str]| {
            let start = ["/usr/bin/ssh", "-F", &configuration];
            self.on_head(self.workbench.spawn(&[&start, options, &["h1"], command].concat()))
        };
        let by_master = ["-o", "ControlMaster=auto", "-o", "ControlPersist=1h", "-o", &control];
        let lab = Rc::clone(&self.lab);
        let plain = self.on_head(self.workbench.spawn(&["/bin/true"]));
        let redirected = gateway.redirecting(plain, &self.workbench.artefacts.stand_in);
        let candidates = vec![
            Candidate::measured_by("the link's round trip", move |calls| round_trips(&lab, calls)),
            Candidate::new("redirected", redirected)
                .aiming_at(Quantity::Latency, Bound::AboveBaselineAtMost(3000.0)),
            Candidate::new("ssh, ControlMaster", ssh(&by_master, &["/bin/true"])),
            Candidate::new("ssh", ssh(&[], &["/bin/true"])),
        ];
        Section {
            title: "One blocking call of /bin/true on a host that is connected",
            baseline: 0,
            candidates,
            quantities: vec![Quantity::Latency, Quantity::SlowLatency],
            rounds: ROUNDS,
            calls: CALLS,
            check: Box::new(move || {
                gateway.demand_jobs(CALLS * ROUNDS / 10);
                drop(gateway);
                // The master of the ssh connections ends with the host's sshd.
                drop(self.lab);
                Vec::new()
            }),
        }
    }

    fn streams(self) -> Section {
        let gateway = self.gateway("streams");
        let configuration = self.lab.ssh_configuration();
        let through = |command: &str| {
            // Neither end is a file: what is passed on is bytes in pipes.
            let pipe = format!("head -c {MEBIBYTES}M /dev/zero | {command} | wc -c >/dev/null");
            self.on_head(self.workbench.spawn(&["/bin/sh", "-c", &pipe]))
        };
        let by_ssh = through(&format!("ssh -F {} h1 cat", configuration.display()));
        let redirector = &self.workbench.artefacts.stand_in;
        let redirected = gateway.redirecting(through("cat"), redirector);
        let candidates = vec![
            Candidate::new("ssh HOST cat", by_ssh),
            Candidate::new("redirected cat", redirected)
                .aiming_at(Quantity::Rate, Bound::AtLeast(0.8)),
        ];
        Section {
            title: "1 GiB from a pipe through cat on a host into a pipe; 'per s' is MiB",
            baseline: 0,
            candidates: candidates.into_iter().map(|it| it.of_jobs(MEBIBYTES)).collect(),
            quantities: vec![Quantity::Rate],
            rounds: STREAM_ROUNDS,
            calls: 1,
            check: Box::new(move || {
                gateway.demand_jobs(STREAM_ROUNDS / 10);
                drop(gateway);
                drop(self.lab);
                Vec::new()
            }),
        }
    }

    /// A gateway that runs `true` and `cat` on the host.
    fn gateway(&self, name: &str) -> Gateway {
        let whitelist = self.workbench.whitelist("on-hosts", "true host=h1\ncat host=h1\n");
        let configuration = self.lab.directory().join("redirector.toml");
        let text = self.lab.configuration(&HostSettings::default());
        fs::write(&configuration, text).expect("the lab's directory is writable");
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let settings = [
            ("REDIRECTOR_CONFIG", path(&configuration)),
            ("REDIRECTOR_WHITELIST", path(&whitelist)),
        ];
        let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        Gateway::new(self.workbench, name, &settings)
    }

    /// `spawner`, on the head and in a directory that the host has, too.
    fn on_head(&self, mut spawner: Spawner) -> Spawner {
        let script = self.lab.directory().join("spawner");
        let inner = spawner.program.display();
        let text = format!("#!/bin/sh\nexec {} {inner} \"$@\"\n", self.lab.head_prefix().join(" "));
        fs::write(&script, text).expect("the lab's directory is writable");
        fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("just made");
        spawner.program = script;
        spawner.directory = self.lab.directory();
        spawner
    }
}

/// One byte to the host and back, by TCP.
fn round_trips(lab: &Lab, calls: usize) -> Sample {
    let (mut here, mut there) = lab.connect("h1");
    for end in [&here, &there] {
        end.set_nodelay(true).expect("a TCP socket");
    }
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while there.read_exact(&mut byte).is_ok() {
            there.write_all(&byte).expect("the other end reads");
        }
    });
    let mut round_trip = || {
        let start = Instant::now();
        here.write_all(&[0]).expect("the other end reads");
        here.read_exact(&mut [0]).expect("the other end echoes");
        start.elapsed().as_secs_f64()
    };
    let sample = Sample::of((0..calls).map(|_| round_trip()));
    drop(here);
    echo.join().expect("it ends with the connection");
    sample
}
