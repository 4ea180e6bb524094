//! A redirector of one's own for one test.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::{
    artefacts::Artefacts,
    finish::{Finished, finish},
    jobs::Job,
    lab::{EngineLab, Head, HostSettings, Lab},
    nodes::Node,
    processes,
    programs::search_path,
    watched::{self, Watched},
};

/// How a command is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As if there were no redirector.
    Plain,
    /// With `LD_PRELOAD=libshim.so`.
    Preloaded,
    /// By `redirector run -- COMMAND`.
    Run,
}

impl Way {
    /// The ways that make jobs of what the whitelist names.
    pub const REDIRECTED: [Self; 2] = [Self::Preloaded, Self::Run];
}

/// What a session's node has.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Cpus that jobs may use at the same time.
    pub cpus: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cpus: 2 }
    }
}

/// A directory with a whitelist, a configuration and a state directory of its own.
///
/// The first redirected command starts a gateway there. Dropping the session stops it and panics
/// when a process that belongs to the session is still alive. With `REDIRECTOR_TEST_KEEP=1` the
/// directory stays, to look into after a failure.
pub struct Session {
    root: TempDir,
    artefacts: Artefacts,
    /// Where everything runs; none: on the machine itself.
    head: Option<Head>,
}

impl Session {
    /// A session with two cpus in which the lines of `whitelist` become jobs.
    ///
    /// # Panics
    ///
    /// When the artefacts are not built or the directory cannot be made.
    pub fn new(whitelist: &str) -> Self {
        Self::with_settings(whitelist, Settings::default())
    }

    /// As [`Session::new`], with a node of another size.
    ///
    /// # Panics
    ///
    /// As [`Session::new`].
    pub fn with_settings(whitelist: &str, settings: Settings) -> Self {
        // Not below $TMPDIR: the path of the gateway's Unix socket must stay below 108 bytes.
        Self::in_directory(Path::new("/tmp"), None, whitelist, settings)
    }

    /// As [`Session::new`], for a gateway that runs on the head of `lab` and reaches its hosts.
    ///
    /// # Panics
    ///
    /// As [`Session::new`].
    pub fn on_lab(lab: &Lab, whitelist: &str, hosts: &HostSettings) -> Self {
        Self::on_lab_in(&lab.directory(), lab, whitelist, hosts)
    }

    /// As [`Session::on_lab`], in a directory that the hosts do not have, whatever else they have.
    ///
    /// # Panics
    ///
    /// As [`Session::new`].
    pub fn away_from_hosts(lab: &Lab, whitelist: &str, hosts: &HostSettings) -> Self {
        Self::on_lab_in(Path::new("/tmp"), lab, whitelist, hosts)
    }

    /// As [`Session::new`], for a gateway that runs on the head of `lab` and has the engine's nodes
    /// as the pool `p`, with `settings`: lines of that pool in `redirector.toml`.
    ///
    /// # Panics
    ///
    /// As [`Session::new`].
    pub fn on_engine(lab: &EngineLab, whitelist: &str, settings: &str) -> Self {
        Self::on_pool(lab, lab.engine(), whitelist, settings)
    }

    /// As [`Session::on_engine`], with another word for `engine` of the pool.
    ///
    /// # Panics
    ///
    /// As [`Session::new`].
    pub fn on_pool(lab: &EngineLab, engine: &str, whitelist: &str, settings: &str) -> Self {
        let head = Some(lab.head().clone());
        let session = Self::in_directory(&lab.directory(), head, whitelist, Settings::default());
        let variables =
            lab.variables().into_iter().map(|(name, value)| format!("{name} = {value:?}"));
        let variables = variables.collect::<Vec<_>>().join(", ");
        session.append_configuration(&format!(
            "[[pools]]\nname = \"p\"\nengine = \"{engine}\"\nengine_env = {{ {variables} }}\n{settings}\n"
        ));
        session
    }

    fn on_lab_in(parent: &Path, lab: &Lab, whitelist: &str, hosts: &HostSettings) -> Self {
        let head = Some(lab.head().clone());
        let session = Self::in_directory(parent, head, whitelist, Settings::default());
        session.append_configuration(&lab.configuration(hosts));
        session
    }

    fn in_directory(
        parent: &Path,
        head: Option<Head>,
        whitelist: &str,
        settings: Settings,
    ) -> Self {
        let mut root = tempfile::Builder::new()
            .prefix("rdtest-")
            .tempdir_in(parent)
            .expect("the directory can be written to");
        root.disable_cleanup(env::var_os("REDIRECTOR_TEST_KEEP").is_some_and(|value| value == "1"));
        let session = Self { root, artefacts: Artefacts::find(), head };
        for directory in ["home", "work", "tmp", "state"] {
            fs::create_dir(session.root.path().join(directory)).expect("just made its parent");
        }
        fs::write(session.whitelist(), whitelist).expect("the session's directory is writable");
        let configuration = format!("[node]\ncpus = {}\nmem = \"4G\"\n", settings.cpus);
        fs::write(session.configuration(), configuration).expect("as above");
        session
    }

    /// Adds `lines` to the `[node]` section of the configuration; a gateway that runs already does
    /// not hear of it.
    ///
    /// # Panics
    ///
    /// When the session's directory is not writable.
    pub fn configure_node(&self, lines: &str) {
        let written = fs::read_to_string(self.configuration()).expect("written by `new`");
        let with_lines = written.replacen("[node]\n", &format!("[node]\n{lines}"), 1);
        fs::write(self.configuration(), with_lines).expect("the directory is writable");
    }

    /// Adds `lines` to the end of the configuration; a gateway that runs already does not hear of
    /// it.
    ///
    /// # Panics
    ///
    /// When the session's directory is not writable.
    pub fn append_configuration(&self, lines: &str) {
        let written = fs::read_to_string(self.configuration()).expect("written by `new`");
        fs::write(self.configuration(), written + lines).expect("the directory is writable");
    }

    /// Working directory of all commands; a place for a test's files.
    pub fn directory(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The files under test.
    pub fn artefacts(&self) -> &Artefacts {
        &self.artefacts
    }

    /// The whitelist of all commands.
    pub fn whitelist(&self) -> PathBuf {
        self.root.path().join("whitelist")
    }

    /// The configuration of all commands and of the gateway.
    pub fn configuration(&self) -> PathBuf {
        self.root.path().join("redirector.toml")
    }

    /// The state directory: socket, journal, locks and log of the gateway.
    pub fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// The home directory of all commands.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The gateway, if one is running.
    pub fn gateway_if_running(&self) -> Option<Watched> {
        watched::holder(&self.state().join("gateway.lock"))
    }

    /// The gateway.
    ///
    /// # Panics
    ///
    /// When none is running.
    #[track_caller]
    pub fn gateway(&self) -> Watched {
        self.gateway_if_running().expect("a gateway is running in this session")
    }

    /// The agent, which runs detached jobs, if there is one.
    pub fn agent_if_running(&self) -> Option<Watched> {
        watched::holder(&self.state().join("agent.lock"))
    }

    /// A command in the session's directory, with an environment that depends on nothing but `PATH`.
    pub fn command<Argument: AsRef<OsStr>>(
        &self,
        way: Way,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Command {
        let mut command = match way {
            Way::Plain => self.bare(program),
            Way::Preloaded => {
                let mut command = self.bare(program);
                command.env("LD_PRELOAD", &self.artefacts.libshim);
                self.add_session(&mut command);
                command
            }
            Way::Run => {
                let mut command = self.redirector(["run", "--"]);
                command.arg(program);
                command
            }
        };
        command.args(arguments);
        command
    }

    /// `redirector ARGUMENT…` in this session.
    pub fn redirector<Argument: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Command {
        let mut command = self.bare(&self.artefacts.redirector);
        self.add_session(&mut command);
        command.args(arguments);
        command
    }

    fn bare(&self, program: impl AsRef<OsStr>) -> Command {
        // By its path: Rust looks a bare name up in the PATH of the test, which has no helpers.
        let program = program.as_ref();
        let found = if Path::new(program).components().count() > 1 {
            None
        } else {
            crate::find_program(program)
        };
        let mut command = Command::new(found.as_deref().map_or(program, Path::as_os_str));
        command
            .current_dir(self.directory())
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", self.root.path().join("home"))
            .env("TMPDIR", self.root.path().join("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/bash")
            .env("TERM", "dumb")
            .env("PROBE_MARK", "a mark")
            .stdin(Stdio::null());
        if let Some(head) = &self.head {
            head.enter(&mut command);
        }
        command
    }

    /// Makes `command`, which may be [`Way::Plain`], belong to this session: to its state
    /// directory, whitelist and configuration.
    pub fn add_session<'command>(&self, command: &'command mut Command) -> &'command mut Command {
        command
            .env("REDIRECTOR_STATE_DIR", self.state())
            .env("REDIRECTOR_WHITELIST", self.whitelist())
            .env("REDIRECTOR_CONFIG", self.configuration())
    }

    /// Runs a shell script in `/bin/bash`, started in the given way.
    ///
    /// # Panics
    ///
    /// As [`finish`].
    #[track_caller]
    pub fn bash(&self, way: Way, script: &str) -> Finished {
        finish(&mut self.command(way, "/bin/bash", ["-c", script]))
    }

    /// What `redirector ARGUMENT…` does in this session.
    ///
    /// # Panics
    ///
    /// As [`finish`].
    #[track_caller]
    pub fn ask<const COUNT: usize>(&self, arguments: [&str; COUNT]) -> Finished {
        finish(&mut self.redirector(arguments))
    }

    /// A job's whole record.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    #[track_caller]
    pub fn show(&self, job: &Job) -> Job {
        let mut records = self.records(&job.id.to_string());
        assert_eq!(records.len(), 1, "one job was asked for");
        records.remove(0)
    }

    /// The whole records of the jobs that `ids` names, such as `7` or `7-12`.
    ///
    /// # Panics
    ///
    /// When they cannot be read.
    #[track_caller]
    pub fn records(&self, ids: &str) -> Vec<Job> {
        let shown = self.ask(["show", "--json", ids]).expect_success("show --json");
        serde_json::from_slice(&shown.stdout)
            .unwrap_or_else(|error| panic!("not a list of jobs: {error}\n{}", shown.text()))
    }

    /// All records of this session.
    ///
    /// # Panics
    ///
    /// When the records cannot be read.
    #[track_caller]
    pub fn jobs(&self) -> Vec<Job> {
        let listing = finish(&mut self.redirector(["jobs", "--all", "--json"]))
            .expect_success("redirector jobs --all --json");
        serde_json::from_slice(&listing.stdout)
            .unwrap_or_else(|error| panic!("not a list of jobs: {error}\n{}", listing.text()))
    }

    /// The computers of this session, the gateway's own first.
    ///
    /// # Panics
    ///
    /// When the list cannot be read.
    #[track_caller]
    pub fn nodes(&self) -> Vec<Node> {
        let listing = self.ask(["nodes", "--json"]).expect_success("redirector nodes --json");
        serde_json::from_slice(&listing.stdout)
            .unwrap_or_else(|error| panic!("not a list of nodes: {error}\n{}", listing.text()))
    }

    /// The records of what the whitelist made jobs, without the runs around them.
    ///
    /// # Panics
    ///
    /// As [`Session::jobs`].
    #[track_caller]
    pub fn commands(&self) -> Vec<Job> {
        self.jobs().into_iter().filter(|job| job.rule.is_some()).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // For processes that are on their way out when the session is dropped.
        const PATIENCE_SECONDS: u16 = 5;

        let stopped = self.redirector(["stop"]).output();
        let left: Vec<String> = processes::mentioning(self.root.path())
            .into_iter()
            .filter(|process| {
                let alive = Watched::new(process.pid);
                alive.is_some_and(|process| !process.ends_within_seconds(PATIENCE_SECONDS))
            })
            .map(|process| {
                // SAFETY: kill takes two integers; the pid is of a process that this test started.
                unsafe { libc::kill(process.pid, libc::SIGKILL) };
                format!("{} {}", process.pid, process.command_line)
            })
            .collect();
        let complaint = match stopped {
            Err(error) => Some(format!("redirector stop cannot be started: {error}")),
            Ok(output) if !output.status.success() => Some(format!(
                "redirector stop ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            )),
            Ok(_) if left.is_empty() => None,
            Ok(_) => Some(format!("left running by the session:\n{}", left.join("\n"))),
        };
        match complaint {
            // A second panic would hide the first.
            Some(complaint) if thread::panicking() => eprintln!("{complaint}"),
            Some(complaint) => panic!("{complaint}"),
            None => {}
        }
    }
}
