//! Makes this process end, or stop, as the command did.

use std::{
    ffi::{CString, c_int},
    mem,
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr,
};

use crate::model::Outcome;

/// Exit status for "the system failed, not your command".
pub const SYSTEM_FAILURE: i32 = 125;

/// Ends this process with the command's own wait status. `scratch` is a directory
/// in which a core file of this process may be left.
pub fn end_like(outcome: &Outcome, scratch: &Path) -> ! {
    match *outcome {
        Outcome::Exited { exit_code } => exit(exit_code),
        Outcome::Signaled { signal, core_dumped } => die_by(signal, core_dumped, scratch),
        Outcome::Cancelled { .. } => die_by(libc::SIGTERM, false, scratch),
        _ => exit(SYSTEM_FAILURE),
    }
}

/// Ends this process at once, without running exit handlers.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Ends this process by `signal`, so that its parent sees what it would have seen
/// of the command, down to the core-dump flag.
fn die_by(signal: c_int, core_dumped: bool, scratch: &Path) -> ! {
    // SAFETY: plain system calls on valid pointers; limits are plain C structs.
    unsafe {
        if core_dumped {
            // The flag is the kernel's, and it sets it only when it dumps. A page is
            // enough, and elsewhere, lest the command's own core be overwritten.
            let page = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const page);
            libc::prctl(libc::PR_SET_DUMPABLE, 1);
            if let Ok(directory) = CString::new(scratch.as_os_str().as_bytes()) {
                libc::chdir(directory.as_ptr());
            }
        } else {
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
        }
        raise_by_default(signal);
        // Only a signal that does not kill gets here.
        exit(128 + signal)
    }
}

/// Stops this process as `signal` stopped the command; returns when it goes on.
pub fn stop_by(signal: c_int) {
    // SAFETY: see raise_by_default.
    unsafe { raise_by_default(signal) }
}

/// # Safety
/// The default action of `signal` is taken in this process.
unsafe fn raise_by_default(signal: c_int) {
    // SAFETY: plain system calls on valid pointers.
    unsafe {
        let before = libc::signal(signal, libc::SIG_DFL);
        let mut only: libc::sigset_t = mem::zeroed();
        let mut mask: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, signal);
        libc::kill(libc::getpid(), signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, &raw mut mask);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, ptr::null_mut());
        if before != libc::SIG_ERR {
            libc::signal(signal, before);
        }
    }
}
