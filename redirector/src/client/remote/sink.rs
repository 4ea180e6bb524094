//! Writes what a command elsewhere has written to one of this process's descriptors.

use std::sync::MutexGuard;

use nix::{
    errno::Errno,
    poll::PollFlags,
    unistd::{close, write},
};

use super::{
    descriptors::{Kind, Own},
    shared::{Shared, State},
};
use crate::{
    client::exec::say,
    stdio::{Next, pipe},
};

/// Writes until the stream has ended, or nobody reads the descriptor.
pub(super) fn run(shared: &Shared, own: Own) {
    let (number, descriptor) = (own.number, own.borrow());
    let waker = shared.waker(number);
    let mut is_large = false;
    loop {
        let next = {
            let state = shared.state();
            if state.is_stopped {
                return;
            }
            state.session.next(number)
        };
        match next {
            Next::Write(chunk) => match write(descriptor, &chunk) {
                Ok(count) => {
                    if count >= pipe::FULL && !is_large {
                        is_large = true;
                        pipe::enlarge(&descriptor);
                    }
                    drop(chunk);
                    let mut state = shared.state();
                    state.session.passed_on(number, count);
                    shared.tell_of_news(state);
                }
                Err(Errno::EINTR) => {}
                // Others in the pipeline may have made it non-blocking.
                Err(Errno::EAGAIN) => {
                    waker.wait_for(descriptor, PollFlags::POLLOUT);
                }
                Err(Errno::EPIPE) => break,
                Err(error) => {
                    say(&format!(
                        "cannot write to descriptor {number} what the command wrote: {error}"
                    ));
                    break;
                }
            },
            Next::End => break,
            // A failure is waited for always: that nobody reads it any more.
            Next::Nothing => {
                if waker.wait_for(descriptor, PollFlags::empty()) {
                    break;
                }
            }
        }
    }
    conclude(shared, own, shared.state());
    // A command that writes on is to hear that nobody reads it.
    shared.changed.notify_all();
}

/// Nothing more is written to `own`. The agent need not hear of it at once when it was the command
/// that has ended it.
pub(super) fn conclude(shared: &Shared, own: Own, mut state: MutexGuard<'_, State>) {
    let is_first = state.session.close(own.number, 0);
    // Before that, the main thread has nothing to wait for.
    let is_waited_for = state.is_over;
    drop(state);
    if !is_first {
        return;
    }
    // Whoever reads finds the end when the command ends it, not when this process does. What
    // redirector itself has to say needs standard error.
    if own.kind == Kind::Other && own.number != libc::STDERR_FILENO {
        let _closed = close(own.number);
    }
    if is_waited_for {
        shared.main.wake();
    }
}
