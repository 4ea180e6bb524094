//! What it costs to run a command in an allocation of Slurm, beside Slurm's own ways.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, rc::Rc};

use integration::EngineLab;

use crate::{
    gateway::Gateway,
    section::{Bound, Candidate, Quantity, Section},
    spawner::Spawner,
    workbench::Workbench,
};

const ROUNDS: usize = 10;

/// `sbatch --wait` looks every 2 s.
const CALLS: usize = 3;

/// Of what takes milliseconds, in a row.
const WARM_CALLS: usize = 20;

const MANY_ROUNDS: usize = 3;

/// Jobs that are submitted at once.
const MANY: usize = 500;

const SRUN: [&str; 2] = ["/usr/bin/srun", "/bin/true"];

const TRUE: &str = "true pool=p\n";

const PER_JOB: &str = "mode = \"per_job\"";

/// Allocations that are always there, and take up the two nodes of [`Bench::many`].
const PILOT: &str = "mode = \"pilot\"\ncpus = 2\nmin_blocks = 2\nmax_blocks = 2\nwalltime = \"2h\"";

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let start = |cpus| {
        let lab = EngineLab::slurm(2, &["--cpus", cpus])?;
        Some(Bench { workbench, lab: Rc::new(lab) })
    };
    // Free ones for each that is asked for in the first section.
    let sections =
        [start("8").map(Bench::calls), start("8").map(Bench::warm), start("4").map(Bench::many)];
    sections.into_iter().flatten().collect()
}

/// A Slurm that is measured.
pub(crate) struct Bench<'a> {
    pub(crate) workbench: &'a Workbench,
    pub(crate) lab: Rc<EngineLab>,
}

impl Bench<'_> {
    fn calls(self) -> Section {
        let per_job = self.gateway("per-job", TRUE, PER_JOB);
        let pilot = self.gateway("pilot", TRUE, PILOT);
        let waiting = "exec sbatch --wait --output=/dev/null --wrap=true >/dev/null";
        let candidates = vec![
            Candidate::new("srun", self.by_slurm(&SRUN)),
            Candidate::new("sbatch --wait", self.by_slurm(&["/bin/sh", "-c", waiting])),
            Candidate::new("per_job", self.redirected(&per_job))
                .aiming_at(Quantity::Latency, Bound::AboveBaselineAtMost(50_000.0)),
            Candidate::new("pilot", self.redirected(&pilot)),
        ];
        Section {
            title: "One blocking call of /bin/true in an allocation of Slurm",
            baseline: 0,
            candidates,
            quantities: vec![Quantity::Latency, Quantity::SlowLatency],
            rounds: ROUNDS,
            calls: CALLS,
            check: Box::new(move || {
                for gateway in [per_job, pilot] {
                    gateway.demand_jobs(CALLS * ROUNDS / 10);
                }
                drop(self.lab);
                Vec::new()
            }),
        }
    }

    fn warm(self) -> Section {
        let pilot = self.gateway("warm", TRUE, PILOT);
        let candidates = vec![
            Candidate::new("srun", self.by_slurm(&SRUN)),
            Candidate::new("pilot", self.redirected(&pilot))
                .aiming_at(Quantity::Latency, Bound::AtMost(0.1)),
        ];
        Section {
            title: "Blocking calls of /bin/true in a row in an allocation of Slurm",
            baseline: 0,
            candidates,
            quantities: vec![Quantity::Latency, Quantity::SlowLatency],
            rounds: ROUNDS,
            calls: WARM_CALLS,
            check: Box::new(move || {
                pilot.demand_jobs(WARM_CALLS * ROUNDS / 10);
                drop(pilot);
                drop(self.lab);
                Vec::new()
            }),
        }
    }

    fn many(self) -> Section {
        let pilot = self.gateway("pilot-of-many", TRUE, PILOT);
        // On as many cpus as the pilots have; there is no event of the last one's end.
        let by_sbatch = format!(
            "seq {MANY} | xargs -P8 -I NUMBER sbatch --output=/dev/null --wrap=true >/dev/null &&
             while squeue --noheader --name=wrap | grep -q .; do sleep 0.1; done"
        );
        let by_sbatch = self.by_slurm(&["/bin/sh", "-c", &by_sbatch]).without_warm_up();
        let elements = format!("1-{MANY}");
        let submission =
            ["submit", "--pool=p", "--wait", "--array", &elements, "--", "/bin/true", "{}"];
        let candidates = vec![
            Candidate::new("sbatch", by_sbatch),
            Candidate::new("pilot", self.on_head(pilot.asking(self.workbench, &submission)))
                .aiming_at(Quantity::Rate, Bound::AtLeast(10.0)),
        ];
        Section {
            title: "500 jobs of /bin/true in Slurm on two nodes of two cpus, until the last has ended",
            baseline: 0,
            candidates: candidates.into_iter().map(|it| it.of_jobs(MANY)).collect(),
            quantities: vec![Quantity::Rate, Quantity::PerJob],
            rounds: MANY_ROUNDS,
            calls: 1,
            check: Box::new(move || {
                pilot.demand_jobs(MANY);
                drop(pilot);
                drop(self.lab);
                Vec::new()
            }),
        }
    }

    /// `/bin/true` as a job.
    fn redirected(&self, gateway: &Gateway) -> Spawner {
        let plain = self.on_head(self.workbench.spawn(&["/bin/true"]));
        gateway.redirecting(plain, &self.workbench.artefacts.stand_in)
    }

    /// A gateway with such a whitelist and a pool `p` of such a mode.
    pub(crate) fn gateway(&self, name: &str, whitelist: &str, mode: &str) -> Gateway {
        let whitelist = self.workbench.whitelist(&format!("whitelist-{name}"), whitelist);
        // What nodes have to see is where they see it.
        let state = self.lab.directory().join(name);
        fs::create_dir(&state).expect("the lab's directory is writable");
        let configuration = state.join("redirector.toml");
        let variables = self.lab.variables();
        let variables = variables.iter().map(|(name, value)| format!("{name} = {value:?}"));
        let variables = variables.collect::<Vec<_>>().join(", ");
        let text = format!(
            "[[pools]]\nname = \"p\"\nengine = \"slurm\"\nengine_env = {{ {variables} }}\n{mode}\n"
        );
        fs::write(&configuration, text).expect("as above");
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let settings = [
            ("REDIRECTOR_STATE_DIR", path(&state)),
            ("REDIRECTOR_CONFIG", path(&configuration)),
            ("REDIRECTOR_WHITELIST", path(&whitelist)),
        ];
        let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        Gateway::new(self.workbench, name, &settings)
    }

    /// One of Slurm's own programs, or something that uses them.
    pub(crate) fn by_slurm(&self, command: &[&str]) -> Spawner {
        self.on_head(self.workbench.spawn(command).with(self.lab.variables()))
    }

    /// `spawner`, on the head and in a directory that the nodes have, too.
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
