//! Runs jobs' commands on this computer and watches over them, in two ways.
//!
//! **Leased**: `redirector exec` is this process, and everything that the command can tell
//! about its parent is kept as it was: the command inherits descriptors, working directory,
//! limits, controlling terminal, process group, ignored signals and the signal mask that
//! this process started with. [`invocation`] is the command, [`process`] starts it,
//! [`signals`] catches what is sent to this process in its stead, [`witness`] tells signals
//! to the group from signals to this process, and [`ending`] makes this process end as the
//! command ended.
//!
//! **Detached**: nobody waits for the command. `redirector agent` is a process of its own
//! that outlives the gateway:
//!
//! ```text
//!  gateway ── [`start::connect`] ──► agent ([`daemon`], `server`, `supervisor`)
//!     ◄══ [`protocol`] over [`wire`] ══►│
//!                                       ├══ `shepherd` ── job 7 and all that it starts
//!                                       ├══ `shepherd` ── job 8 …
//!                                       └── `watch`: looks at their [`memory`] where no
//!                                           `control_group` limits it
//! ```

mod allocation;
pub mod attach;
mod attempts;
mod birth;
mod control_group;
pub mod daemon;
mod descriptors;
pub mod ending;
pub(crate) mod examine;
mod handover;
pub(crate) mod http;
pub(crate) mod hub;
pub mod invocation;
pub(crate) mod job_processes;
mod joined;
mod log_socket;
pub mod memory;
mod predecessors;
pub(crate) mod probe;
pub mod process;
pub(crate) mod processes;
pub mod protocol;
mod remains;
mod remarks;
mod server;
pub mod shepherd;
mod shepherds;
pub mod signals;
mod solitude;
mod spool;
pub(crate) mod stage;
pub mod start;
mod supervisor;
mod visits;
mod watch;
pub mod wire;
pub mod witness;

pub(crate) use server::LOG_SOCKET_VARIABLE;

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor that this process was started with; `None` for no possible number.
pub fn borrow_inherited(descriptor: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: nothing in this program closes descriptors that it did not open, and
    // system calls on one that is not open fail with EBADF.
    (descriptor >= 0).then(|| unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// `descriptor`, moved above the standard three: a command that was started with
/// one of them closed must find it closed.
pub fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    above(descriptor, libc::STDERR_FILENO)
}

/// `descriptor`, moved above the number `last`.
fn above(descriptor: OwnedFd, last: RawFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > last {
        return Ok(descriptor);
    }
    // SAFETY: duplicates a descriptor that we own; the result is a new one.
    unsafe {
        match libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, last + 1) {
            -1 => Err(io::Error::last_os_error()),
            moved => Ok(OwnedFd::from_raw_fd(moved)),
        }
    }
}

/// Returns `true` when process `pid` has ended, or at once if there is none; `false`
/// if this kernel cannot tell (pidfd came with Linux 5.3).
pub async fn process_ended(pid: i32) -> bool {
    // SAFETY: takes no memory; a result that is not negative is a new descriptor of ours.
    let descriptor = unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if descriptor < 0 {
            return io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        }
        OwnedFd::from_raw_fd(descriptor as RawFd)
    };
    let Ok(descriptor) = watch_for_input(descriptor) else { return false };
    // A pidfd is readable from the process's end on.
    descriptor.readable().await.is_ok()
}

/// Has the runtime tell when there is something to be read from `descriptor`.
pub fn watch_for_input(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd keeps the same descriptor open for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Makes writing to a pipe or socket that nobody reads an error like any other,
/// instead of the end of this process.
pub fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Makes writing to a pipe or socket that nobody reads the end of this process.
pub fn end_on_broken_pipes() {
    // SAFETY: SIG_DFL runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Fills `bytes` with what nobody can guess.
///
/// # Panics
/// Where the kernel has no random numbers, which came with Linux 3.17.
pub fn fill_with_random(bytes: &mut [u8]) {
    // SAFETY: the kernel writes at most as many bytes as the slice has. Up to 256 are
    // given in one piece (getrandom(2)).
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(filled, bytes.len() as isize, "the kernel gives random numbers");
}
