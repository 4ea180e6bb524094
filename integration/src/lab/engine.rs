//! A batch engine with nodes of its own, for one test: the real daemons.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::{Head, Holder, new_directory, script};
use crate::{
    Artefacts,
    finish::{Finished, finish},
    programs_directory,
};

/// Slurm or Grid Engine. Clients run on its *head*, which is a network of its own, as with
/// [`super::Lab`]; so any number of these can be up at a time. All of it ends when this is dropped
/// or the test is killed.
///
/// ```no_run
/// use integration::EngineLab;
///
/// let Some(slurm) = EngineLab::slurm(2, &[]) else { return };
/// assert_eq!(slurm.client("srun", &["hostname"]).text(), "n1\n");
/// slurm.fault(&["crash", "n1"]);
/// ```
pub struct EngineLab {
    // Before the directory, which it needs to stop all of it: fields are dropped in this order.
    _holder: Holder,
    directory: TempDir,
    head: Head,
    name: &'static str,
}

impl EngineLab {
    /// Slurm with so many nodes, `n1`, `n2`, …, and further options of `slurm.sh start`; `None`
    /// where there can be no namespaces and tests may be skipped for that.
    ///
    /// # Panics
    ///
    /// When it cannot be started; the message says why.
    #[track_caller]
    pub fn slurm(nodes: usize, options: &[&str]) -> Option<Self> {
        let nodes = nodes.to_string();
        Self::start("slurm", &[&["-n", &nodes], options].concat(), true)
    }

    /// Grid Engine with one node, which is the head itself, and so many slots.
    ///
    /// # Panics
    ///
    /// As [`EngineLab::slurm`].
    #[track_caller]
    pub fn grid_engine(slots: usize) -> Option<Self> {
        Self::start("gridengine", &["--slots", &slots.to_string()], false)
    }

    #[track_caller]
    fn start(name: &'static str, options: &[&str], has_hosts: bool) -> Option<Self> {
        let directory = new_directory()?;
        let work = directory.path().join("work");
        fs::create_dir(&work).expect("just made its parent");
        let mut command = script(&format!("{name}.sh"), directory.path());
        command.arg("hold").args(options);
        if has_hosts {
            // The rest may be below /tmp or a home directory, which are the nodes' own.
            let redirector = Artefacts::find().redirector;
            let built = redirector.parent().expect("a file is in a directory");
            for seen_there in [&work, built, programs_directory()] {
                command.arg("--share").arg(seen_there);
            }
        }
        let holder = Holder::start(command);
        let head = Head::of(&directory.path().join(name));
        Some(Self { _holder: holder, directory, head, name })
    }

    /// A directory that the head and all nodes see under the same path.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// Where the engine keeps its configuration and its logs.
    pub fn state(&self) -> PathBuf {
        self.directory.path().join(self.name).join("shared")
    }

    /// What `engine` of a pool is in `redirector.toml`.
    pub fn engine(&self) -> &'static str {
        self.name
    }

    /// Where clients run.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The variables by which clients find it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let below = |name: &str| self.state().join(name).display().to_string();
        match self.name {
            "slurm" => vec![("SLURM_CONF", below("slurm.conf"))],
            _ => vec![
                ("SGE_ROOT", below("root")),
                ("SGE_CELL", "default".to_owned()),
                ("SGE_CLUSTER_NAME", "testbed".to_owned()),
                ("SGE_QMASTER_PORT", "6444".to_owned()),
                ("SGE_EXECD_PORT", "6445".to_owned()),
            ],
        }
    }

    /// Runs one of the engine's programs on the head.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn client(&self, program: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.variables()).current_dir("/");
        self.head.enter(&mut command);
        finish(&mut command).expect_success(program)
    }

    /// As [`super::Lab::head_prefix`].
    pub fn head_prefix(&self) -> Vec<String> {
        self.head.prefix()
    }

    /// Has `command`, and all that comes of it, run on the head.
    pub fn enter(&self, command: &mut Command) {
        self.head.enter(command);
    }

    /// Does something on the head, in a thread of its own; processes that it starts are there too.
    pub fn within<Result: Send>(&self, act: impl FnOnce() -> Result + Send) -> Result {
        self.head.within(act)
    }

    /// A verb of the testbed's script, such as `["down", "n1"]`.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    #[track_caller]
    pub fn fault(&self, verb: &[&str]) {
        let done = finish(self.script().args(verb));
        done.expect_success(&format!("{}.sh {verb:?}", self.name));
    }

    fn script(&self) -> Command {
        script(&format!("{}.sh", self.name), Path::new(self.directory.path()))
    }
}
