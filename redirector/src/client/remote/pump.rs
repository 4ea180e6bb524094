//! Moves the bytes between this process's descriptors and an agent.
//!
//! ```text
//!   0 ──► source ─┐           ┌─► speak ──►
//!   1 ◄── sink ───┤  Session  │              connection
//!   2 ◄── sink ───┘           └── listen ◄──
//! ```
//!
//! Each of these is a thread: the descriptors may not be made non-blocking, because the rest of the
//! pipeline shares them.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    attachment::{self, Connect},
    descriptors::{Kind, Own},
    shared::{Shared, State},
    sink, source,
};
use crate::{
    agent::protocol::Direction,
    stdio::{Session, Signal},
};

/// How far the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    Going,
    /// Everything is where it belongs.
    Done,
    /// What is missing will not come, for this reason.
    Hopeless(String),
}

/// What a thread does.
type Work = Box<dyn FnOnce(&Arc<Shared>) + Send>;

/// See the module.
pub(super) struct Pump {
    shared: Arc<Shared>,
    descriptors: Vec<Own>,
    threads: Vec<JoinHandle<()>>,
}

impl Pump {
    /// Serves `descriptors` over connections that `connect` makes. Without one for `patience`
    /// after the command has ended, what is missing is given up; it is asked for only then.
    ///
    /// # Errors
    /// If there are no more descriptors or threads.
    pub(super) fn start(
        descriptors: Vec<Own>,
        mut connect: impl Connect,
        patience: impl FnOnce() -> Duration + Send + 'static,
    ) -> io::Result<Self> {
        let of = |direction| {
            let chosen = descriptors.iter().filter(move |own| own.direction == direction);
            chosen.copied()
        };
        let numbers = |direction| of(direction).map(|own| own.number);
        let session = Session::new(numbers(Direction::Reads), numbers(Direction::Writes));
        let all = numbers(Direction::Reads).chain(numbers(Direction::Writes));
        let sinks = of(Direction::Writes).collect();
        let shared = Arc::new(Shared::new(session, all, sinks)?);
        let mut threads = Vec::new();
        let mut start = |work: Work| -> io::Result<()> {
            let shared = Arc::clone(&shared);
            threads.push(thread::Builder::new().spawn(move || {
                super::block_broken_pipes();
                work(&shared);
            })?);
            Ok(())
        };
        for own in of(Direction::Reads) {
            start(Box::new(move |shared| source::run(shared, own)))?;
        }
        for own in of(Direction::Writes) {
            start(Box::new(move |shared| sink::run(shared, own)))?;
        }
        start(Box::new(move |shared| attachment::run(shared, &mut connect, patience)))?;
        Ok(Self { shared, descriptors, threads })
    }

    /// Sends the command a signal.
    pub(super) fn signal(&self, signal: Signal) {
        self.shared.state().session.signal(signal);
        self.shared.changed.notify_all();
    }

    /// Waits until the signals are delivered, but no longer than `most`.
    pub(super) fn wait_for_signals(&self, most: Duration) {
        self.wait_while(most, |state| !state.session.are_signals_delivered());
    }

    /// This process may have come to the foreground of its terminal.
    pub(super) fn look_at_terminals(&self) {
        self.shared.wake_all();
    }

    /// The command has ended.
    pub(super) fn is_over(&self) {
        let mut state = self.shared.state();
        // What was said before may have been said too early.
        (state.is_over, state.refused) = (true, None);
    }

    /// Takes note of what [`Self::as_fd`] told.
    pub(super) fn rest(&self) {
        self.shared.main.rest();
    }

    /// Whether the agent has been told, as far as this side can see to that, that nobody takes
    /// more of anything.
    #[cfg(test)]
    pub(super) fn has_told_all(&self) -> bool {
        let state = self.shared.state();
        state.session.has_told_all() && !state.is_writing
    }

    /// How far the bytes are, once the command has ended.
    pub(super) fn progress(&self) -> Progress {
        let state = self.shared.state();
        let is_settled = |own: &Own| state.session.taken(own.number).is_some();
        if state.session.has_written_all() && self.files().all(is_settled) {
            return Progress::Done;
        }
        state.refused.clone().map_or(Progress::Going, Progress::Hopeless)
    }

    /// Files that the command reads.
    fn files(&self) -> impl Iterator<Item = &Own> {
        let is_file = |own: &&Own| matches!(own.kind, Kind::File(_));
        self.descriptors.iter().filter(|own| own.direction == Direction::Reads).filter(is_file)
    }

    /// Tells the agent, within `most`, that everything has arrived, and has the offsets of files
    /// stand where the command has read to. To be called when this process is about to end: it does
    /// not wait for its threads, which have nothing more to do.
    pub(super) fn finish(self, most: Duration) {
        let mut state = self.shared.state();
        state.session.finish();
        attachment::say_at_once(&mut state);
        drop(state);
        self.shared.changed.notify_all();
        self.wait_while(most, |state| {
            state.connection.is_some() && (!state.session.has_told_all() || state.is_writing)
        });
        for own in self.files() {
            if let Some(taken) = self.shared.state().session.taken(own.number) {
                source::settle(*own, taken);
            }
        }
        self.end_threads();
    }

    /// Ends all threads, so that nothing is read or written any more.
    pub(super) fn stop(self) {
        self.end_threads();
        for thread in self.threads {
            // An error means that it panicked, which ends this process anyway.
            drop(thread.join());
        }
    }

    fn end_threads(&self) {
        let mut state = self.shared.state();
        state.is_stopped = true;
        if let Some((_, connection)) = &state.connection {
            // Fails when the other side has closed it.
            drop(connection.shutdown(Shutdown::Both));
        }
        drop(state);
        self.shared.changed.notify_all();
        self.shared.wake_all();
    }

    fn wait_while(&self, most: Duration, condition: impl FnMut(&mut State) -> bool) {
        let state = self.shared.state();
        drop(self.shared.changed.wait_timeout_while(state, most, condition));
    }
}

impl AsFd for Pump {
    /// Readable when there may be progress.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.main.as_fd()
    }
}
