//! The descriptors of attempts that somebody waits for on another computer.
//!
//! ```text
//!              prepare                     attach
//!  Start ──► pipes ──────► shepherd          │
//!              ║  /proc/PID/fd/N, opened     ▼
//!              ║  as the command's own   connection ══ gateway ══ client
//!              ╚═ `pump` ══ [`Session`] ══════╝
//! ```
//!
//! The agent has no copy of the command's ends once the command runs, so that either side is told
//! of the other's end as if the pipe went all the way.
//!
//! ```text
//!  let hub = Hub::new(events);
//!  let ends = hub.prepare(attempt, &descriptors)?;   // for the shepherd
//!  hub.attach(attempt, stream).await;                // as often as a client comes
//!  hub.started(attempt); hub.ended(attempt);         // as the shepherd says
//!  hub.acknowledge(attempt);                         // forgotten once all is delivered
//! ```

mod connection;
#[cfg(test)]
pub(crate) mod fixture;
mod pipes;
mod pump;

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    sync::{Notify, mpsc::UnboundedSender, watch},
    time::timeout,
};

use super::{
    protocol::{AttachedDescriptor, AttemptId, Direction},
    shepherd::task::CommandEnd,
    shepherds::Event,
};
use crate::{
    engine::ByteStream,
    model::Text,
    stdio::{Control, Session},
};

/// How long a client that comes before its attempt waits for it.
const BEFORE_START: Duration = Duration::from_secs(10);

/// How long what was not taken is kept after the end was acknowledged and a client came last: one
/// that comes back after a lost link comes within that.
const LINGER: Duration = Duration::from_mins(10);

/// See the module. Clones are the same hub.
#[derive(Clone, Debug)]
pub(super) struct Hub {
    attempts: Arc<Mutex<BTreeMap<AttemptId, Entry>>>,
    /// Some attempt was prepared.
    arrivals: Arc<Notify>,
    events: UnboundedSender<Event>,
}

#[derive(Debug)]
struct Entry {
    stdio: Arc<Stdio>,
    /// Until the command has them.
    command_ends: Vec<OwnedFd>,
    is_acknowledged: bool,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It is started, or runs.
    Runs,
    /// Nothing is left of its processes.
    Ended,
    /// Nobody wants anything of it.
    Forgotten,
}

/// One attempt's streams.
#[derive(Debug)]
struct Stdio {
    attempt: AttemptId,
    session: Mutex<Session>,
    /// What each stream's task waits for.
    streams: BTreeMap<i32, Notify>,
    /// What the connection waits for.
    to_send: Notify,
    /// Counts connections: an older one ends when there is a newer one.
    connections: watch::Sender<u64>,
    phase: watch::Sender<Phase>,
}

impl Stdio {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when something is new about the stream `number`.
    async fn news(&self, number: i32) {
        match self.streams.get(&number) {
            Some(news) => news.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Returns when the attempt is at `phase`, or later.
    async fn reached(&self, phase: Phase) {
        // The sender is this one's own.
        drop(self.phase.subscribe().wait_for(|now| *now >= phase).await);
    }

    fn is_at(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }
}

impl Hub {
    /// One that tells of signals, and of attempts that are forgotten, by `events`.
    pub(super) fn new(events: UnboundedSender<Event>) -> Self {
        Self { attempts: Arc::default(), arrivals: Arc::default(), events }
    }

    fn attempts(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Entry>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has no attempt.
    pub(super) fn is_empty(&self) -> bool {
        self.attempts().is_empty()
    }

    /// Makes the pipes for an attempt, and says how the shepherd gets at the command's ends.
    ///
    /// # Errors
    /// If there are no more descriptors.
    pub(super) fn prepare(
        &self,
        attempt: AttemptId,
        descriptors: &[AttachedDescriptor],
    ) -> io::Result<Vec<CommandEnd>> {
        let mut ends: Vec<CommandEnd> = Vec::new();
        let (mut sources, mut sinks, mut command_ends) = (Vec::new(), Vec::new(), Vec::new());
        for &AttachedDescriptor { number, direction } in descriptors {
            let (path, reads, writes) = match direction {
                Direction::Null => ("/dev/null".to_owned(), true, true),
                Direction::As(_) => continue,
                Direction::Reads | Direction::Writes => {
                    let (read, write) = pipes::pipe()?;
                    let reads = direction == Direction::Reads;
                    let (own, command) = if reads { (write, read) } else { (read, write) };
                    let path = format!("/proc/{}/fd/{}", std::process::id(), command.as_raw_fd());
                    let own = pipes::own(own)?;
                    if reads { &mut sinks } else { &mut sources }.push((number, own));
                    command_ends.push(command);
                    (path, reads, !reads)
                }
            };
            ends.push(CommandEnd { number, path: Text::from(&*path), reads, writes });
        }
        for &AttachedDescriptor { number, direction } in descriptors {
            let Direction::As(other) = direction else { continue };
            if let Some(end) = ends.iter().find(|end| end.number == other).cloned() {
                ends.push(CommandEnd { number, ..end });
            }
        }
        let stdio = Arc::new(Stdio {
            attempt,
            session: Mutex::new(Session::new(
                sources.iter().map(|(number, _)| *number),
                sinks.iter().map(|(number, _)| *number),
            )),
            streams: ends.iter().map(|end| (end.number, Notify::new())).collect(),
            to_send: Notify::new(),
            connections: watch::Sender::new(0),
            phase: watch::Sender::new(Phase::Runs),
        });
        for (number, source) in sources {
            tokio::spawn(pump::feed(Arc::clone(&stdio), number, source));
        }
        for (number, sink) in sinks {
            tokio::spawn(pump::drain(Arc::clone(&stdio), number, sink));
        }
        let entry = Entry { stdio, command_ends, is_acknowledged: false };
        self.attempts().insert(attempt, entry);
        self.arrivals.notify_waiters();
        Ok(ends)
    }

    /// The command has its descriptors.
    pub(super) fn started(&self, attempt: AttemptId) {
        if let Some(entry) = self.attempts().get_mut(&attempt) {
            entry.command_ends.clear();
        }
    }

    /// Nothing is left of the attempt's processes, or there never were any.
    pub(super) fn ended(&self, attempt: AttemptId) {
        if let Some(entry) = self.attempts().get_mut(&attempt) {
            entry.command_ends.clear();
            entry.stdio.phase.send_replace(Phase::Ended);
        }
    }

    /// The gateway has journalled the end: forgets the attempt when the client has everything.
    pub(super) fn acknowledge(&self, attempt: AttemptId) {
        match self.attempts().get_mut(&attempt) {
            Some(entry) if !entry.is_acknowledged => entry.is_acknowledged = true,
            _ => return,
        }
        self.forget_if_delivered(attempt);
        let Some(stdio) = self.attempts().get(&attempt).map(|entry| Arc::clone(&entry.stdio))
        else {
            return;
        };
        let hub = self.clone();
        tokio::spawn(async move {
            let mut connections = stdio.connections.subscribe();
            // As long as some client has come meanwhile.
            while timeout(LINGER, connections.changed()).await.is_ok() {}
            hub.forget(attempt);
        });
    }

    /// Nobody wants anything of the attempt.
    pub(super) fn forget(&self, attempt: AttemptId) {
        if let Some(entry) = self.attempts().remove(&attempt) {
            entry.stdio.phase.send_replace(Phase::Forgotten);
            // Fails when the agent leaves.
            drop(self.events.send(Event::Forgotten));
        }
    }

    fn forget_if_delivered(&self, attempt: AttemptId) {
        let is_done = self
            .attempts()
            .get(&attempt)
            .is_some_and(|it| it.is_acknowledged && it.stdio.session().is_delivered());
        if is_done {
            self.forget(attempt);
        }
    }

    /// Serves a client's connection to its end, or until the client comes by another one.
    pub(super) async fn attach(&self, attempt: AttemptId, mut stream: ByteStream) {
        let Ok(stdio) = timeout(BEFORE_START, self.wait_for(attempt)).await else {
            // If it cannot be said, the client comes again and asks.
            drop(stream.write_all(&Control::Gone.encode()).await);
            drop(stream.shutdown().await);
            return;
        };
        let delivered = || self.forget_if_delivered(attempt);
        if let Err(error) = connection::serve(&stdio, stream, &self.events, delivered).await {
            tracing::debug!(job = %attempt.job, "a client's connection ended: {error}");
        }
    }

    async fn wait_for(&self, attempt: AttemptId) -> Arc<Stdio> {
        loop {
            let arrival = self.arrivals.notified();
            if let Some(entry) = self.attempts().get(&attempt) {
                return Arc::clone(&entry.stdio);
            }
            arrival.await;
        }
    }
}
