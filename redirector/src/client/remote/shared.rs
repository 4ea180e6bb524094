//! What the threads of a pump have in common.

use std::{
    collections::BTreeMap,
    io,
    os::unix::net::UnixStream,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{descriptors::Own, waker::Waker};
use crate::stdio::{ConnectionId, Session};

/// The session, and those who wait for it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// For whoever writes to the connection, or waits before the next one.
    pub changed: Condvar,
    /// For the threads of descriptors.
    wakers: BTreeMap<i32, Waker>,
    /// The descriptors that are written to.
    sinks: Vec<Own>,
    /// For the main thread.
    pub main: Waker,
}

/// How the pump is.
#[derive(Debug)]
pub(super) struct State {
    pub session: Session,
    /// Everything is to end.
    pub is_stopped: bool,
    /// The agent has the attempt: nothing is read before that, because it might be read in vain.
    pub has_agent: bool,
    /// The present connection.
    pub connection: Option<(ConnectionId, UnixStream)>,
    /// Something is being written to it.
    pub is_writing: bool,
    /// Since when there is none.
    pub lost: Option<Instant>,
    /// The command has ended: what is missing now will not come if nobody has it.
    pub is_over: bool,
    /// Why no connection will bring more, for the person.
    pub refused: Option<String>,
}

impl Shared {
    pub(super) fn new(
        session: Session,
        numbers: impl Iterator<Item = i32>,
        sinks: Vec<Own>,
    ) -> io::Result<Self> {
        let wakers = numbers.map(|number| Ok((number, Waker::new()?)));
        let state = State {
            session,
            is_stopped: false,
            has_agent: false,
            connection: None,
            is_writing: false,
            lost: None,
            is_over: false,
            refused: None,
        };
        Ok(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            wakers: wakers.collect::<io::Result<_>>()?,
            sinks,
            main: Waker::new()?,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread that writes to the connection, if there is something for it.
    pub(super) fn tell_of_news(&self, state: MutexGuard<'_, State>) {
        let has_news = state.session.has_news();
        drop(state);
        if has_news {
            self.changed.notify_all();
        }
    }

    /// The waker of the thread that serves descriptor `number`.
    pub(super) fn waker(&self, number: i32) -> &Waker {
        &self.wakers[&number]
    }

    /// The descriptor `number`, if it is written to.
    pub(super) fn sink(&self, number: i32) -> Option<Own> {
        self.sinks.iter().find(|own| own.number == number).copied()
    }

    /// Wakes that thread, if there is one.
    pub(super) fn wake(&self, number: i32) {
        if let Some(waker) = self.wakers.get(&number) {
            waker.wake();
        }
    }

    /// Wakes the threads of all descriptors.
    pub(super) fn wake_all(&self) {
        self.wakers.values().for_each(Waker::wake);
    }
}
