//! Signals that come while the command's process is being made.
//!
//! What the group gets before the command is a member has to be passed on, and what it gets
//! afterwards must not be. The kernel draws this line itself: `fork(2)` and `clone(2)` deliver what is
//! pending and not blocked to the parent before there is a child, and start over. So the signals that
//! are kept back are let through around the clone, to a handler that keeps count:
//!
//! ```text
//!      blocked     │ let through                                     │ blocked
//!  waits, as ever  │ missed by the command ─┤ clone ├─ put back here │ waits, as ever
//!                                               └─ the command's own: its default action
//! ```
//!
//! The child shares this process's memory until its `execve`, so what is kept here is seen by both.

use std::{
    ffi::{c_int, c_void},
    mem, ptr,
    sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst},
};

use super::signals::{Catcher, bit};

/// The process that makes a command.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// The child is there.
static BORN: AtomicBool = AtomicBool::new(false);

/// What came before, as [`bit`]s.
static MISSED: AtomicU64 = AtomicU64::new(0);

/// Lets the caught signals through, and counts them, until it is [`close`](Self::close)d.
///
/// There is one at a time: a process that stands in for a command has one thread.
pub(super) struct Birth {
    /// The signals that are let through.
    set: libc::sigset_t,
}

impl Birth {
    /// Opens the door to what `catcher` catches.
    pub(super) fn open(catcher: &Catcher) -> Self {
        // SAFETY: the sets and the action are plain C structs that are made before they are read;
        // `count` is a handler of the kind that SA_SIGINFO asks for.
        unsafe {
            PARENT.store(libc::getpid(), SeqCst);
            BORN.store(false, SeqCst);
            MISSED.store(0, SeqCst);
            let mut set: libc::sigset_t = mem::zeroed();
            libc::sigemptyset(&raw mut set);
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = count as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            libc::sigfillset(&raw mut action.sa_mask);
            for signal in catcher.forwarded() {
                libc::sigaddset(&raw mut set, signal);
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
            Self { set }
        }
    }

    /// To be called by the child, first of all.
    pub(super) fn is_done() {
        BORN.store(true, SeqCst);
    }

    /// Keeps the signals back again; those that came before the child was there, as [`bit`]s. They
    /// wait to be taken, like those that came afterwards.
    pub(super) fn close(self, catcher: &Catcher) -> u64 {
        // SAFETY: a set that was made above; a process may signal itself.
        unsafe {
            libc::sigprocmask(libc::SIG_BLOCK, &raw const self.set, ptr::null_mut());
            let missed = MISSED.load(SeqCst);
            // The handlers stay: to put the default back would throw away what is pending of the
            // kinds that are ignored by default.
            for signal in catcher.forwarded().filter(|signal| missed & bit(*signal) != 0) {
                libc::kill(libc::getpid(), signal);
            }
            missed
        }
    }
}

/// Runs with all signals blocked, in this process or in the child.
extern "C" fn count(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: system calls and atomic variables only, all safe in a handler. The kernel passes
    // pointers to the information and to the context that this thread returns to.
    unsafe {
        let errno = *libc::__errno_location();
        let this = libc::getpid();
        if this != PARENT.load(SeqCst) {
            // It takes effect when this handler returns.
            libc::signal(signal, libc::SIG_DFL);
            libc::kill(this, signal);
        } else if BORN.load(SeqCst) {
            // Put back as it was, and blocked when this handler returns, so that it stays.
            let context = context.cast::<libc::ucontext_t>();
            libc::sigaddset(&raw mut (*context).uc_sigmask, signal);
            libc::syscall(libc::SYS_rt_sigqueueinfo, this, signal, info);
        } else {
            MISSED.fetch_or(bit(signal), SeqCst);
        }
        *libc::__errno_location() = errno;
    }
}
