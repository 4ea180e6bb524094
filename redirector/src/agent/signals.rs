//! Signals that are meant for the command but are sent to this process.
//!
//! They are blocked and read from a signalfd, so that one `poll` waits for them
//! together with everything else. What this process was started with (a blocked
//! signal, an ignored one) is the command's to inherit and is left alone.

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
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

/// A signal that this process received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: c_int,
    /// Whether the kernel sent it: a terminal does, to all of its foreground group.
    pub from_kernel: bool,
}

/// Catches the forwarded signals and SIGCHLD for as long as it lives.
pub struct Catcher {
    descriptor: OwnedFd,
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
            let mut caught: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut caught);
            libc::sigaddset(&raw mut caught, libc::SIGCHLD);
            for signal in FORWARDED {
                let already_blocked = libc::sigismember(&raw const mask, signal) == 1;
                if !already_blocked && disposition(signal) != libc::SIG_IGN {
                    libc::sigaddset(&raw mut caught, signal);
                }
            }
            libc::sigprocmask(libc::SIG_BLOCK, &raw const caught, ptr::null_mut());
            let descriptor =
                libc::signalfd(-1, &raw const caught, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if descriptor < 0 {
                return Err(io::Error::last_os_error());
            }
            let descriptor = super::above_standard(OwnedFd::from_raw_fd(descriptor))?;
            Ok(Self { descriptor, inherited: Inherited { mask, children_ignored } })
        }
    }

    /// Gives this process the signal set-up back that it was started with.
    pub fn stop(&self) {
        // SAFETY: a signal that came meanwhile takes effect now, as it would have
        // without this catcher.
        unsafe { self.inherited.restore() }
    }

    /// What this process was started with.
    pub fn inherited(&self) -> &Inherited {
        &self.inherited
    }

    /// The next signal, if one is there.
    pub fn next(&self) -> Option<Received> {
        // SAFETY: signalfd_siginfo is plain data for which all zeroes is a value,
        // and the kernel writes whole records only.
        unsafe {
            let mut info: libc::signalfd_siginfo = mem::zeroed();
            let size = mem::size_of_val(&info);
            let read = libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), size);
            (read == size as isize).then_some(Received {
                signal: info.ssi_signo as c_int,
                from_kernel: info.ssi_code == libc::SI_KERNEL,
            })
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
