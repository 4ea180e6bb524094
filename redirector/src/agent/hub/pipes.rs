//! The pipes between the agent and a command.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Both ends of a pipe, the one for reading first, above the standard three.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((crate::agent::above_standard(read)?, crate::agent::above_standard(write)?))
}

/// The agent's end. That it does not wait there is no matter of the command's end.
pub(super) fn own(end: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = OFlag::from_bits_retain(fcntl(&end, FcntlArg::F_GETFL)?);
    fcntl(&end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    let interest = match flags & OFlag::O_ACCMODE {
        OFlag::O_RDONLY => Interest::READABLE,
        _ => Interest::WRITABLE | Interest::ERROR,
    };
    // SAFETY: an OwnedFd keeps the same descriptor open for as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(end, interest) }?)
}

/// How many bytes are in a pipe.
pub(super) fn unread(end: &impl AsFd) -> u64 {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one integer to a live variable.
    let answer = unsafe { libc::ioctl(end.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if answer < 0 { 0 } else { count as u64 }
}
