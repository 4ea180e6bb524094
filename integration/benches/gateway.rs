//! A gateway with a journal of its own, for as long as it is measured.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{spawner::Spawner, workbench::Workbench};

/// Started by the first command that is redirected to it; stopped when dropped.
pub(crate) struct Gateway {
    redirector: PathBuf,
    libshim: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    state: PathBuf,
}

#[derive(Deserialize)]
struct Job {
    id: u64,
}

impl Gateway {
    /// A gateway with its own `settings`, to which `true` and `false` are redirected.
    ///
    /// # Panics
    ///
    /// When its directory cannot be made.
    pub(crate) fn new(
        workbench: &Workbench,
        name: &str,
        settings: &[(&'static str, &str)],
    ) -> Self {
        let state = workbench.path().join(name);
        fs::create_dir(&state).expect("the workbench's directory is writable");
        let whitelist = workbench.whitelist("redirected", "true\nfalse\n");
        let mut environment: Vec<(&'static str, OsString)> = vec![
            ("REDIRECTOR_STATE_DIR", state.clone().into()),
            ("REDIRECTOR_WHITELIST", whitelist.into()),
            // A bench that is killed leaves no gateway for long.
            ("REDIRECTOR_IDLE_TIMEOUT", "5m".into()),
        ];
        environment.extend(settings.iter().map(|&(name, value)| (name, value.into())));
        let artefacts = &workbench.artefacts;
        Self {
            redirector: artefacts.redirector.clone(),
            libshim: artefacts.libshim.clone(),
            environment,
            state,
        }
    }

    /// `spawner`, with what it starts redirected to this gateway by `redirector`.
    pub(crate) fn redirecting(&self, spawner: Spawner, redirector: &Path) -> Spawner {
        spawner
            .preloading(&self.libshim)
            .with(self.environment.clone())
            .with([("REDIRECTOR_BIN", redirector)])
    }

    /// Starts `redirector` as libshim.so does in place of `program`, but without libshim.so.
    pub(crate) fn standing_in(
        &self,
        workbench: &Workbench,
        redirector: &Path,
        program: &str,
    ) -> Spawner {
        workbench
            .spawn(&[&redirector.to_string_lossy()])
            .with(self.environment.clone())
            .with([("REDIRECTOR_EXEC", program)])
    }

    /// `redirector ARGUMENT… >/dev/null`, talking to this gateway.
    pub(crate) fn asking(&self, workbench: &Workbench, arguments: &[&str]) -> Spawner {
        let redirector = self.redirector.to_string_lossy();
        // What it prints would be taken for the spawner's figures.
        let silently = ["/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/null", &redirector];
        let command = [&silently, arguments].concat();
        workbench.spawn(&command).with(self.environment.clone())
    }

    /// What `redirector ARGUMENT…` prints.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub(crate) fn answer(&self, arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.expect("the redirector can be started");
        assert!(output.status.success(), "{command:?} ended with {}", output.status);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// How much memory its process has, in MiB.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub(crate) fn resident(&self) -> f64 {
        let pid = fs::read_to_string(self.state.join("gateway.lock")).expect("it runs");
        let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().next());
        kibibytes.and_then(|number| number.parse::<f64>().ok()).expect("a number") / 1024.0
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.state.join("gateway.sock")
    }

    /// How many jobs it has had.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub(crate) fn jobs(&self) -> u64 {
        let listing = self.answer(&["jobs", "--all", "--json", "-n", "1"]);
        let newest: Vec<Job> = serde_json::from_str(&listing).expect("a list of jobs");
        newest.first().map_or(0, |job| job.id)
    }

    /// Demands that at least `calls` commands became jobs: whatever goes wrong, a command runs
    /// nevertheless, and would be measured as if it had been redirected.
    ///
    /// # Panics
    ///
    /// When there were fewer.
    pub(crate) fn demand_jobs(&self, calls: usize) {
        let jobs = self.jobs();
        assert!(jobs >= calls as u64, "of {calls} commands, at most {jobs} were redirected");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.redirector);
        command.args(arguments).envs(self.environment.iter().cloned());
        command
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let stopped = self.command(&["stop", "--force"]).stdin(Stdio::null()).output();
        if !stopped.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("the gateway in {} could not be stopped: {stopped:?}", self.state.display());
        }
    }
}
