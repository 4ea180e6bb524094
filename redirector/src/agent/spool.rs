//! What detached jobs write on this computer, kept until the gateway, which is on another one,
//! has it.
//!
//! ```text
//!  Start ─► assign: names its files ─► shepherd ─► the command ─► file
//!                                                                  ║ as it grows
//!  gateway ═ /v1/attempts/J.N/output/stdout?from=K ═► send ════════╝
//!  Acknowledge, Abandon ─► removed
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Notify, watch},
};

use super::protocol::{Assignment, AttemptId};
use crate::{
    engine::ByteStream,
    growing::{Growing, Reader, Watches},
    model::Text,
    place::{StateDirectory, Stream},
};

/// See the module. Clones are the same spool.
#[derive(Clone)]
pub(super) struct Spool(Arc<Shared>);

struct Shared {
    state: StateDirectory,
    attempts: Mutex<BTreeMap<AttemptId, Entry>>,
    /// Some attempt was assigned.
    arrivals: Notify,
    watches: Watches,
}

struct Entry {
    /// Nothing writes its files any more. Dropped when they are removed.
    is_over: watch::Sender<bool>,
    is_abandoned: bool,
}

impl Spool {
    /// An empty one in the agent's own directory. What an agent before this one has left there
    /// nobody asks for: its attempts are lost.
    pub(super) fn new(state: StateDirectory) -> Self {
        match fs::remove_dir_all(state.outputs()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let place = state.outputs();
                tracing::error!("cannot remove old output in {}: {error}", place.display());
            }
            _ => {}
        }
        let (attempts, arrivals, watches) = (Mutex::default(), Notify::new(), Watches::default());
        Self(Arc::new(Shared { state, attempts, arrivals, watches }))
    }

    fn attempts(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Entry>> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the files of an attempt that has none and is not attached.
    pub(super) fn assign(&self, assignment: &mut Assignment) {
        let Assignment { attempt, attached, stdout, stderr, .. } = assignment;
        if attached.is_some() || !stdout.as_bytes().is_empty() {
            return;
        }
        let file = |stream| Text::from(self.0.state.output(attempt.job, attempt.number, stream));
        (*stdout, *stderr) = (file(Stream::Stdout), file(Stream::Stderr));
        let entry = Entry { is_over: watch::Sender::new(false), is_abandoned: false };
        self.attempts().insert(*attempt, entry);
        self.0.arrivals.notify_waiters();
    }

    /// Nothing is left of the attempt's processes, or there never were any.
    pub(super) fn ended(&self, attempt: AttemptId) {
        let is_abandoned = self.attempts().get(&attempt).is_some_and(|entry| {
            entry.is_over.send_replace(true);
            entry.is_abandoned
        });
        if is_abandoned {
            self.remove(attempt);
        }
    }

    /// The gateway has all of it, if the attempt has ended.
    pub(super) fn acknowledge(&self, attempt: AttemptId) {
        let is_over = self.attempts().get(&attempt).is_some_and(|entry| *entry.is_over.borrow());
        if is_over {
            self.remove(attempt);
        }
    }

    /// Nobody wants any of it.
    pub(super) fn abandon(&self, attempt: AttemptId) {
        if let Some(entry) = self.attempts().get_mut(&attempt) {
            entry.is_abandoned = true;
        }
        self.acknowledge(attempt);
    }

    fn remove(&self, attempt: AttemptId) {
        if self.attempts().remove(&attempt).is_none() {
            return;
        }
        let files = [Stream::Stdout, Stream::Stderr]
            .map(|stream| self.0.state.output(attempt.job, attempt.number, stream));
        // A large file takes a while. Its directory stays: a shepherd may be about to use it.
        tokio::task::spawn_blocking(move || {
            for file in files {
                match fs::remove_file(&file) {
                    // An empty one has become that of another attempt.
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::error!("cannot remove {}: {error}", file.display());
                    }
                    _ => {}
                }
            }
        });
    }

    /// Sends what an attempt writes from byte `from` on, until it has ended and all is sent. The
    /// stream then ends in good order, and only then.
    pub(super) async fn send(
        &self,
        attempt: AttemptId,
        stream: Stream,
        from: u64,
        receiver: ByteStream,
    ) {
        let (mut its_words, mut to) = tokio::io::split(receiver);
        let sent = tokio::select! {
            sent = self.follow(attempt, stream, from, &mut to) => sent,
            () = gone(&mut its_words) => return,
        };
        if let Err(error) = sent {
            tracing::debug!(job = %attempt.job, "its output was not sent to its end: {error}");
        }
    }

    async fn follow(
        &self,
        attempt: AttemptId,
        stream: Stream,
        from: u64,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let removed = |_| io::Error::other("nobody wants it any more");
        let mut is_over = self.wait_for(attempt).await;
        let path = self.0.state.output(attempt.job, attempt.number, stream);
        let ended_already = *is_over.borrow();
        let growing = if ended_already {
            None
        } else {
            Growing::new(&self.0.watches, path.clone(), from)
                .inspect_err(|error| {
                    let job = attempt.job;
                    tracing::warn!(%job, "its output is sent when it has ended: {error}");
                })
                .ok()
        };
        if let Some(mut file) = growing {
            loop {
                let is_all = *is_over.borrow_and_update();
                while let Some(piece) = file.next().await? {
                    to.write_all(&piece).await?;
                }
                if is_all {
                    break;
                }
                tokio::select! {
                    () = file.changed() => {}
                    changed = is_over.changed() => changed.map_err(removed)?,
                }
            }
        } else {
            is_over.wait_for(|is_over| *is_over).await.map_err(removed)?;
            let mut file = Reader::new(path, from);
            while let Some(piece) = file.next().await? {
                to.write_all(&piece).await?;
            }
        }
        to.shutdown().await
    }

    /// Returns when the attempt has been assigned: its order comes by another stream.
    async fn wait_for(&self, attempt: AttemptId) -> watch::Receiver<bool> {
        loop {
            let arrival = self.0.arrivals.notified();
            if let Some(entry) = self.attempts().get(&attempt) {
                return entry.is_over.subscribe();
            }
            arrival.await;
        }
    }
}

/// Returns when whoever is sent something, and has nothing to say, has gone.
async fn gone(its_words: &mut (impl AsyncRead + Unpin)) {
    let mut words = [0; 64];
    while its_words.read(&mut words).await.is_ok_and(|count| count > 0) {}
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spool")
    }
}

#[cfg(test)]
mod tests;
