//! Tells a signal to the whole process group from one to this process alone.
//!
//! The command shares this process's group, as the pipeline meant it to. A signal
//! to the group has thus reached the command already and must not be passed on,
//! while one to this process (`kill PID`) must. The kernel does not say which it
//! was, so a witness stands in the group: a process that blocks all signals, in
//! whose pending set only signals to the group can appear.

use std::{
    ffi::{c_int, c_void},
    fs, mem, ptr,
};

/// Bytes of stack for the witness, which makes two system calls.
const STACK: usize = 16 * 1024;

/// A process that sees what the group gets.
pub struct Witness {
    pid: libc::pid_t,
    _stack: Vec<u128>,
}

impl Witness {
    /// Puts a witness into this process's group; `None` where no process can be made.
    ///
    /// It shares this process's memory and descriptors and has none of its own, so
    /// it costs little and keeps no pipe open.
    pub fn start() -> Option<Self> {
        let mut stack: Vec<u128> = Vec::with_capacity(STACK / mem::size_of::<u128>());
        // SAFETY: all signals are blocked around the clone, so the witness starts
        // with all of them blocked. Its stack lives in the returned value, which
        // kills and reaps the witness before it lets go of the stack. It runs
        // `stand` only, which touches no shared memory: errno is written by failing
        // calls alone, and neither of its calls returns with a failure.
        unsafe {
            let parent = libc::getpid();
            let mut all: libc::sigset_t = mem::zeroed();
            let mut before: libc::sigset_t = mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            let pid = libc::clone(
                stand,
                stack.as_mut_ptr().add(stack.capacity()).cast(),
                libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_FS,
                ptr::without_provenance_mut(parent as usize),
            );
            libc::sigprocmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
            (pid > 0).then_some(Self { pid, _stack: stack })
        }
    }

    /// The signals that the group got since this witness was made, as
    /// [`bit`](super::signals::bit)s.
    pub fn pending(&self) -> u64 {
        settle();
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let mask = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
        };
        mask("ShdPnd:") | mask("SigPnd:")
    }

    /// Ends the witness without waiting; dropping it then takes no time.
    pub fn dismiss(&self) {
        // SAFETY: our child, not waited for yet.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.dismiss();
        // SAFETY: waits for our child, which the signal above ends. __WALL: it was
        // cloned without a signal to its parent.
        unsafe { libc::waitpid(self.pid, ptr::null_mut(), libc::__WALL) };
    }
}

/// Has a signal that one member of this process's group has got reach all of them.
///
/// It is given to them one by one under the lock of the kernel's list of tasks. setpgid takes
/// the same lock exclusively, so that nobody is left out when it returns.
pub fn settle() {
    // SAFETY: asks for the group in which this process is already.
    unsafe { libc::setpgid(0, libc::getpgrp()) };
}

extern "C" fn stand(parent: *mut c_void) -> c_int {
    // SAFETY: system calls without memory arguments.
    unsafe {
        libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        // The parent may have died before the line above took effect.
        if libc::syscall(libc::SYS_getppid) as usize != parent.addr() {
            libc::syscall(libc::SYS_exit, 0);
        }
        loop {
            libc::syscall(
                libc::SYS_ppoll,
                ptr::null::<c_void>(),
                0,
                ptr::null::<c_void>(),
                ptr::null::<c_void>(),
                0,
            );
        }
    }
}
