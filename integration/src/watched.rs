//! Processes that a test ends, or waits for the end of, although they are not its children.

use std::{
    os::fd::{AsFd, FromRawFd, OwnedFd},
    path::Path,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::finish::DEADLINE;

/// A process that this test watches; it need not be its child.
pub struct Watched {
    pid: Pid,
    descriptor: OwnedFd,
}

impl Watched {
    /// Watches process `pid`; none if there is no such process any more.
    ///
    /// # Panics
    ///
    /// When the kernel cannot watch processes.
    pub fn new(pid: i32) -> Option<Self> {
        // SAFETY: pidfd_open takes two integers and touches no memory of ours.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if descriptor < 0 {
            assert_eq!(Errno::last(), Errno::ESRCH, "this kernel can watch processes");
            return None;
        }
        // SAFETY: the call above just gave us this descriptor; nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor as i32) };
        Some(Self { pid: Pid::from_raw(pid), descriptor })
    }

    /// The descriptor by which it is watched: a pidfd.
    pub(crate) fn into_descriptor(self) -> OwnedFd {
        self.descriptor
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.ended_within(PollTimeout::ZERO)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap_or_else(|errno| panic!("process {}: {errno}", self.pid));
    }

    /// Ends it as a crash would, and waits for its end.
    ///
    /// # Panics
    ///
    /// When it is not there, or cannot be ended.
    #[track_caller]
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.wait_for_end();
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it still runs after [`DEADLINE`].
    #[track_caller]
    pub fn wait_for_end(&self) {
        let patience = PollTimeout::try_from(DEADLINE).unwrap_or(PollTimeout::MAX);
        assert!(self.ended_within(patience), "process {} runs after {DEADLINE:?}", self.pid);
    }

    /// Whether it ends before this time is over.
    pub fn ends_within_seconds(&self, seconds: u16) -> bool {
        self.ended_within(PollTimeout::from(seconds.saturating_mul(1000)))
    }

    fn ended_within(&self, patience: PollTimeout) -> bool {
        let mut watched = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        poll(&mut watched, patience).expect("polling a descriptor that we own") > 0
    }
}

/// The process that the lock file of a state directory names: its gateway, or the last one.
pub(crate) fn holder(lock: &Path) -> Option<Watched> {
    let pid = std::fs::read_to_string(lock).ok()?.trim().parse().ok()?;
    let process = Watched::new(pid)?;
    // The file stays when its writer has ended, and its number may pass to any other process.
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let name = program.file_name()?.to_str()?;
    // A program that was built anew while it runs reads as "redirector (deleted)".
    (name.trim_end_matches(" (deleted)") == "redirector").then_some(process)
}
