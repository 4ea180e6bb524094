//! All processes of one attempt: whatever they do, they stay below their shepherd.
//!
//! A process whose parent ends passes to its nearest ancestor that is a *subreaper*
//! (prctl(2)), which the shepherd is. A daemon of a job (double fork, own session, closed
//! descriptors, cleared environment) thus becomes the shepherd's child sooner or later,
//! and when the shepherd has no child, nothing of the job is left.

use std::{ffi::c_int, fs, io, mem, ptr};

use crate::{
    agent::process::{outcome, used},
    model::{Outcome, Usage},
};

/// Makes this process the one to which the orphans below it pass.
pub(super) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: sets a flag of this process.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Above the `oom_score_adj` of what people work with.
const FIRST_TO_GO: &str = "500";

/// Has the kernel, when it has no memory left, end jobs before what people work with. They inherit
/// that from this process, because to tell the kernel of each takes a hundredth of a short job's
/// time; of those that are alike it ends the largest, and a shepherd is small.
pub(super) fn give_way() {
    // Where this fails, a job is as likely a victim as any other process.
    let _as_it_was = fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
}

/// What waiting found.
#[derive(Debug)]
pub(super) enum Reaped {
    /// A child ended.
    Child(libc::pid_t, Outcome, Usage),
    /// All children are alive.
    NoneYet,
    /// There are no children.
    NoneLeft,
}

/// Reaps a child that has ended, without waiting for one.
pub(super) fn reap() -> Reaped {
    loop {
        let mut status = 0;
        // SAFETY: rusage is a plain C struct for which all zeroes is a value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: both pointers are to live, writable variables of the right type.
        match unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) } {
            0 => return Reaped::NoneYet,
            pid if pid > 0 => {
                if let Some(outcome) = outcome(status) {
                    return Reaped::Child(pid, outcome, used(&usage));
                }
            }
            // ECHILD: the other errors are of wrong arguments or of interrupted waits.
            _ => return Reaped::NoneLeft,
        }
    }
}

/// Sends `signal` to the process group `leader`, whose leader must not have been reaped.
pub(super) fn signal_group(leader: libc::pid_t, signal: c_int) {
    // SAFETY: an unreaped leader keeps its number from passing to other processes.
    unsafe { libc::kill(-leader, signal) };
}

/// Sends `signal` to the child `pid`, which must not have been reaped.
pub(super) fn signal_child(pid: libc::pid_t, signal: c_int) {
    // SAFETY: as above.
    unsafe { libc::kill(pid, signal) };
}

/// Whether the group has members; they include processes that nobody waited for yet.
pub(super) fn group_exists(leader: libc::pid_t) -> bool {
    // SAFETY: signal 0 does nothing.
    unsafe { libc::kill(-leader, 0) == 0 }
}

/// Kills all children, and those of their group that are not. What a killed process leaves
/// behind is killed the next time: it has become a child by the time of its SIGCHLD.
///
/// The whole group at once, because the kernel lets no member fork while it does that.
pub(super) fn kill(group: libc::pid_t) {
    let mut group_killed = false;
    for child in children() {
        // SAFETY: an unreaped child keeps its own number, and that of its group, from
        // passing to other processes.
        unsafe {
            if libc::getpgid(child) == group {
                if !group_killed {
                    libc::kill(-group, libc::SIGKILL);
                }
                group_killed = true;
            } else {
                libc::kill(child, libc::SIGKILL);
            }
        }
    }
}

/// This process's children. One that is being born or is ending may be missed.
fn children() -> Vec<libc::pid_t> {
    let own = std::process::id();
    let listed = fs::read_to_string(format!("/proc/self/task/{own}/children"));
    match listed {
        Ok(list) => list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => crate::agent::processes::all()
            .filter(|process| process.parent == own as libc::pid_t)
            .map(|process| process.pid)
            .collect(),
    }
}

/// Tells through a descriptor that a child ended. All signals are blocked from here on:
/// nothing but SIGKILL may keep a shepherd from its job.
pub(super) fn watch_children() -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: the sets are plain C structs that are filled in before they are read; the
    // descriptor, if it is one, is new.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut());
        for signal in 1..=libc::SIGRTMAX() {
            // What this process ignores, the job would ignore too.
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        match libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => super::super::above_standard(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}
