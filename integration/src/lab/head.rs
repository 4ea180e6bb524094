//! The namespaces from where hosts are reached.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::Command,
    sync::Arc,
};

use nix::sched::{CloneFlags, setns};

use crate::Watched;

/// A network and a host name; everything else is the machine's.
#[derive(Clone)]
pub(crate) struct Head {
    process: Arc<OwnedFd>,
}

impl Head {
    /// The head of the lab in `directory`.
    pub(super) fn of(directory: &Path) -> Self {
        let pid = fs::read_to_string(directory.join("sshhosts/run/head.pid"));
        let pid = pid.expect("a lab has a head").trim().parse().expect("a process id");
        let process = Watched::new(pid).expect("the head lives as long as its lab");
        Self { process: Arc::new(process.into_descriptor()) }
    }

    /// Has `command`, and all that comes of it, run on the head.
    pub(crate) fn enter(&self, command: &mut Command) {
        let process = Arc::clone(&self.process);
        let enter = move || {
            setns(&*process, CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS)
                .map_err(io::Error::from)
        };
        // SAFETY: between fork and exec the closure makes one system call, and neither allocates
        // nor takes a lock.
        unsafe { command.pre_exec(enter) };
    }
}
