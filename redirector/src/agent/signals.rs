//! Signals that are meant for the command but are sent to this process.
//!
//! They are blocked and wait until they are taken, one chosen kind at a time; a signalfd lets
//! one `poll` wait for them together with everything else. What this process was started with (a blocked
//! signal, an ignored one) is the command's to inherit and is left alone.

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

/// Signals that are passed on: all that a process may catch, but for those that
/// only its own faults raise, and SIGPIPE, which only its own writes do.
const FORWARDED: [c_int; 20] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTERM,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGWINCH,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
];

/// The signal set-up that this process was started with.
pub struct Inherited {
    mask: libc::sigset_t,
    children_ignored: bool,
}

impl Inherited {
    /// Gives the calling process the set-up back. Safe in a child after vfork.
    ///
    /// # Safety
    /// The caller must be able to bear the signals that were blocked meanwhile.
    pub unsafe fn restore(&self) {
        // SAFETY: plain system calls on valid pointers; SIG_IGN is a valid handler.
        unsafe {
            if self.children_ignored {
                libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            }
            libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, ptr::null_mut());
        }
    }
}

/// Where `signal` is in a set of signals, as the kernel has it.
pub const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// A signal that was pending and is not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether the kernel sent it: a terminal does, to all of its foreground group.
    pub from_kernel: bool,
}

/// Catches the forwarded signals and SIGCHLD for as long as it lives.
pub struct Catcher {
    descriptor: OwnedFd,
    /// As [`bit`]s.
    caught: u64,
    inherited: Inherited,
}

impl Catcher {
    /// Starts to catch.
    pub fn start() -> io::Result<Self> {
        // SAFETY: the sets and actions are plain C structs that the calls fill in
        // before they are read; all pointers are to live variables.
        unsafe {
            let mut mask: libc::sigset_t = mem::zeroed();
            libc::sigprocmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask);
            let children_ignored = disposition(libc::SIGCHLD) == libc::SIG_IGN;
            if children_ignored {
                // An ignored SIGCHLD would have the kernel throw exit statuses away.
                libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            }
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGCHLD);
            let mut caught = bit(libc::SIGCHLD);
            for signal in FORWARDED {
                let already_blocked = libc::sigismember(&raw const mask, signal) == 1;
                if !already_blocked && disposition(signal) != libc::SIG_IGN {
                    libc::sigaddset(&raw mut set, signal);
                    caught |= bit(signal);
                }
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
            let descriptor =
                libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            let descriptor = super::above_standard(OwnedFd::from_raw_fd(descriptor))?;
            Ok(Self { descriptor, caught, inherited: Inherited { mask, children_ignored } })
        }
    }

    /// Gives this process the signal set-up back that it was started with.
    pub fn stop(&self) {
        // SAFETY: a signal that came meanwhile takes effect now, as it would have
        // without this catcher.
        unsafe {
            // An earlier attempt to run the command may have left handlers.
            for signal in self.forwarded() {
                libc::signal(signal, libc::SIG_DFL);
            }
            self.inherited.restore();
        }
    }

    /// What this process was started with.
    pub fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// The signals that this catches for the command: all but SIGCHLD.
    pub(super) fn forwarded(&self) -> impl Iterator<Item = c_int> {
        FORWARDED.into_iter().filter(|signal| self.caught & bit(*signal) != 0)
    }

    /// The caught signals that wait to be taken, as [`bit`]s.
    pub fn pending(&self) -> u64 {
        let mut pending = 0_u64;
        // SAFETY: the kernel writes as many bytes as it is told that the set has.
        unsafe {
            libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, mem::size_of_val(&pending));
        }
        pending & self.caught
    }

    /// The caught signal of the lowest number that waits to be taken.
    pub fn first_pending(&self) -> Option<c_int> {
        let pending = self.pending();
        (pending != 0).then(|| pending.trailing_zeros() as c_int + 1)
    }

    /// Takes `signal`, if it is pending. The caller names one that this catches.
    pub fn take(&self, signal: c_int) -> Option<Taken> {
        debug_assert!(self.caught & bit(signal) != 0);
        // SAFETY: the set is made before it is read and the kernel fills the information in;
        // both, and the time, are live variables, for which all zeroes is a value.
        unsafe {
            let mut only: libc::sigset_t = mem::zeroed();
            libc::sigaddset(&raw mut only, signal);
            let mut info: libc::siginfo_t = mem::zeroed();
            let at_once: libc::timespec = mem::zeroed();
            let taken =
                libc::sigtimedwait(&raw const only, &raw mut info, &raw const at_once) == signal;
            taken.then_some(Taken { from_kernel: info.si_code == libc::SI_KERNEL })
        }
    }
}

impl AsFd for Catcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// # Safety
/// `signal` must be a signal's number.
unsafe fn disposition(signal: c_int) -> libc::sighandler_t {
    // SAFETY: reads the action into a live variable.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut action);
        action.sa_sigaction
    }
}
