//! A command in the foreground: what it does, this process does.

use std::{io, os::fd::AsFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::group::Group;
use crate::{
    agent::{
        ending,
        process::{Change, Command, Process},
        signals::Catcher,
    },
    model::{Outcome, Usage},
};

/// Runs `command` to its end without a gateway, and passes signals on to it.
///
/// # Errors
/// Those of [`Process::start`].
pub(super) fn run(command: &Command, catcher: &Catcher) -> io::Result<(Outcome, Usage)> {
    let mut group = Group::default();
    group.watch();
    let process = Process::start(command, catcher)?;
    loop {
        let mut signals = [PollFd::new(catcher.as_fd(), PollFlags::POLLIN)];
        match poll(&mut signals, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => panic!("poll on an own descriptor: {error}"),
        }
        while let Some(received) = group.next(catcher) {
            if received.signal == libc::SIGCHLD {
                if let Some(end) = follow(&process) {
                    return Ok(end);
                }
            } else if !received.reached_group {
                process.signal(received.signal);
            }
        }
    }
}

/// Follows the command's stops; its outcome if it ended.
pub(super) fn follow(process: &Process) -> Option<(Outcome, Usage)> {
    loop {
        match process.poll() {
            Ok(Change::Ended(outcome, usage)) => return Some((outcome, usage)),
            Ok(Change::Stopped(signal)) => ending::stop_by(signal),
            Ok(Change::Continued) => {}
            Ok(Change::None) => return None,
            Err(error) => {
                let reason = format!("cannot wait for process {}: {error}", process.pid());
                return Some((Outcome::Lost { reason }, Usage::default()));
            }
        }
    }
}
