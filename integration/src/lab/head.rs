//! The namespaces from where hosts are reached.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
};

use nix::{
    sched::{CloneFlags, setns},
    unistd::Pid,
};

use crate::Watched;

/// A network and a host name; everything else is the machine's.
#[derive(Clone)]
pub(crate) struct Head {
    pid: Pid,
    process: Arc<OwnedFd>,
}

const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNET.union(CloneFlags::CLONE_NEWUTS);

impl Head {
    /// The head of the testbed that keeps its state in `directory`.
    pub(super) fn of(directory: &Path) -> Self {
        let pid = fs::read_to_string(directory.join("run/head.pid"));
        let pid = pid.expect("a lab has a head").trim().parse().expect("a process id");
        Self::of_process(pid)
    }

    /// The network and host name that a process has.
    pub(super) fn of_process(pid: i32) -> Self {
        let process = Watched::new(pid).expect("the process lives as long as the namespaces");
        Self { pid: process.pid(), process: Arc::new(process.into_descriptor()) }
    }

    /// What a command begins with that is to run there.
    pub(super) fn prefix(&self) -> Vec<String> {
        let pid = self.pid.to_string();
        ["nsenter", "--target", &pid, "--net", "--uts", "--"].map(str::to_owned).into()
    }

    /// Does something there, in a thread of its own.
    pub(super) fn within<Result: Send>(&self, act: impl FnOnce() -> Result + Send) -> Result {
        let act = || {
            setns(&*self.process, NAMESPACES).expect("root may enter namespaces");
            act()
        };
        thread::scope(|scope| scope.spawn(act).join()).expect("no panic but the one above")
    }

    /// Has `command`, and all that comes of it, run on the head.
    pub(crate) fn enter(&self, command: &mut Command) {
        let process = Arc::clone(&self.process);
        let enter = move || setns(&*process, NAMESPACES).map_err(io::Error::from);
        // SAFETY: between fork and exec the closure makes one system call, and neither allocates
        // nor takes a lock.
        unsafe { command.pre_exec(enter) };
    }
}
