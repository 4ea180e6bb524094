//! Wakes a thread that waits for a descriptor.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::agent::above_standard;

/// What is written is read by the thread that waits; more than one word counts as one.
#[derive(Debug)]
pub(super) struct Waker {
    bell: UnixStream,
    ear: UnixStream,
}

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        let (bell, ear) = UnixStream::pair()?;
        let above = |end: UnixStream| {
            end.set_nonblocking(true)?;
            above_standard(OwnedFd::from(end)).map(UnixStream::from)
        };
        Ok(Self { bell: above(bell)?, ear: above(ear)? })
    }

    /// Wakes whoever waits, or will wait next.
    pub(super) fn wake(&self) {
        // When there is no room, it has been woken often enough.
        drop((&self.bell).write(&[0]));
    }

    /// Takes note of all calls so far.
    pub(super) fn rest(&self) {
        let mut words = [0; 64];
        while (&self.ear).read(&mut words).is_ok_and(|count| count > 0) {}
    }

    /// Waits to be woken.
    pub(super) fn wait(&self) {
        self.wait_also(None, PollFlags::empty());
    }

    /// Waits to be woken, or for `events` or a failure of `other`; whether it was the latter.
    pub(super) fn wait_for(&self, other: BorrowedFd, events: PollFlags) -> bool {
        self.wait_also(Some(other), events)
    }

    fn wait_also(&self, other: Option<BorrowedFd>, events: PollFlags) -> bool {
        let own = self.ear.as_fd();
        let mut descriptors =
            [PollFd::new(own, PollFlags::POLLIN), PollFd::new(other.unwrap_or(own), events)];
        let used = if other.is_some() { 2 } else { 1 };
        match poll(&mut descriptors[..used], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => panic!("poll on own descriptors: {error}"),
        }
        let [woken, ready] = descriptors.map(|one| one.any().unwrap_or(false));
        if woken {
            self.rest();
        }
        used == 2 && ready
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}
