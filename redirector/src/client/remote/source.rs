//! Reads one of this process's descriptors for a command elsewhere.
//!
//! The descriptor is shared with others in the pipeline and stays as they know it: it is never made
//! non-blocking, and a file is read without moving its offset. Where that stands in the end is
//! what the command has really read ([`settle`]).

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
};

use nix::{
    errno::Errno,
    poll::PollFlags,
    unistd::{Whence, close, getpgrp, lseek, read, tcgetpgrp},
};

use super::{
    descriptors::{Kind, Own},
    shared::Shared,
};
use crate::{
    client::exec::say,
    stdio::{LARGEST_PIECE, pipe},
};

/// Reads until the descriptor has ended, or nobody takes more.
pub(super) fn run(shared: &Shared, own: Own) {
    let (number, descriptor) = (own.number, own.borrow());
    let waker = shared.waker(number);
    let mut buffer = vec![0; LARGEST_PIECE];
    let mut is_large = false;
    let mut file = match own.kind {
        Kind::File(offset) => {
            descriptor.try_clone_to_owned().ok().map(|it| (File::from(it), offset))
        }
        Kind::Terminal | Kind::Other => None,
    };
    let error = loop {
        let room = {
            let state = shared.state();
            if state.is_stopped {
                return;
            }
            if state.session.taken(number).is_some() {
                break None;
            }
            if state.has_agent { state.session.room(number) } else { 0 }
        };
        if room == 0 || (own.kind == Kind::Terminal && !is_in_foreground(own)) {
            waker.wait();
            continue;
        }
        let wanted = room.min(buffer.len());
        let got = match &mut file {
            Some((file, offset)) => {
                let got = file.read_at(&mut buffer[..wanted], *offset as u64);
                got.inspect(|count| *offset += *count as i64)
            }
            None if waker.wait_for(descriptor, PollFlags::POLLIN) => {
                read(descriptor, &mut buffer[..wanted]).map_err(io::Error::from)
            }
            None => continue,
        };
        match got {
            Ok(0) => {
                shared.state().session.end(number);
                shared.changed.notify_all();
                return;
            }
            Ok(count) => {
                if count >= pipe::FULL && !is_large {
                    is_large = true;
                    pipe::enlarge(&descriptor);
                }
                shared.state().session.push(number, &mut buffer, count);
                shared.changed.notify_all();
            }
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EINTR | Errno::EAGAIN) => {}
                // It has left the foreground just now.
                Some(Errno::EIO) if own.kind == Kind::Terminal => {}
                _ => break Some(error),
            },
        }
    };
    if let Some(error) = error {
        say(&format!("cannot read descriptor {number} for the command: {error}"));
        shared.state().session.end(number);
        shared.changed.notify_all();
    } else if own.kind == Kind::Other {
        // Whoever writes to it is told by SIGPIPE, as the command would tell.
        let _closed = close(number);
    }
}

/// Whether a read would not be answered by a signal that stops this process.
fn is_in_foreground(own: Own) -> bool {
    // A terminal that is not this session's has no foreground for it.
    tcgetpgrp(own.borrow().as_fd()).map_or(true, |group| group == getpgrp())
}

/// Has a file's offset stand where the command has read to.
pub(super) fn settle(own: Own, taken: u64) {
    if let Kind::File(offset) = own.kind {
        // It was a file that can be sought in when it was read.
        let _offset = lseek(own.borrow(), offset + taken as i64, Whence::SeekSet);
    }
}
