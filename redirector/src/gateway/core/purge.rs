//! Forgetting finished runs, a part at a time, and the output that they have left.

use std::{fs, path::Path, time::Duration};

use tokio::sync::oneshot;

use super::Core;
use crate::{
    gateway::message::{Failure, Message, Reply},
    model::{JobId, Timestamp},
    place::StateDirectory,
    protocol::Purged,
    store::Retention,
};

/// From one look for what may go to the next.
const PERIOD: Duration = Duration::from_hours(1);

impl Core {
    /// Purges a part and comes back for the rest, so that nobody waits long meanwhile.
    pub(super) fn purge(
        &mut self,
        retention: Retention,
        reply: Option<Reply<Result<Purged, Failure>>>,
    ) {
        // What this batch has finished is in the journal only after its commit.
        let messages = self.setup.messages.clone();
        let state = self.setup.state.clone();
        let purged = match self.journal.store_mut().purge(retention) {
            Ok(purged) => purged,
            Err(error) => {
                tracing::error!("cannot purge: {error}");
                if let Some(reply) = reply {
                    drop(reply.send(Err(error.into())));
                }
                return;
            }
        };
        tokio::task::spawn_blocking(move || {
            let bytes = remove_output(&state, &purged.jobs);
            let part = Purged { jobs: purged.jobs.len() as u64, bytes };
            if !purged.more {
                if let Some(reply) = reply {
                    drop(reply.send(Ok(part)));
                }
                return;
            }
            let reply = reply.map(|reply| adding(part, reply));
            // Fails only when the core is gone.
            drop(messages.send(Message::Purge { retention, reply }));
        });
    }

    /// Has [`Self::keep_house`] called, now and each hour.
    pub(super) fn start_housekeeping(&self) {
        let messages = self.setup.messages.clone();
        tokio::spawn(async move {
            while messages.send(Message::KeepHouse).is_ok() {
                tokio::time::sleep(PERIOD).await;
            }
        });
    }

    /// Forgets what the configuration says is old, and environments that nobody needs.
    pub(super) fn keep_house(&mut self) {
        if let Err(error) = self.journal.store_mut().forget_environments() {
            tracing::error!("cannot forget environments: {error}");
        }
        let (keep_for, keep) = self.setup.retention;
        if keep_for.is_some() || keep.is_some() {
            let before = |age: Duration| {
                Timestamp(Timestamp::now().0.saturating_sub(age.as_millis() as u64))
            };
            self.purge(Retention { ended_before: keep_for.map(before), keep }, None);
        }
    }
}

/// A reply that passes on what it gets with `part` added.
fn adding(part: Purged, reply: Reply<Result<Purged, Failure>>) -> Reply<Result<Purged, Failure>> {
    let (rest, answer) = oneshot::channel::<Result<Purged, Failure>>();
    tokio::spawn(async move {
        let Ok(answer) = answer.await else { return };
        let sum = answer
            .map(|rest| Purged { jobs: rest.jobs + part.jobs, bytes: rest.bytes + part.bytes });
        drop(reply.send(sum));
    });
    rest
}

/// Removes what these jobs have written; how many bytes that was.
fn remove_output(state: &StateDirectory, jobs: &[JobId]) -> u64 {
    let mut jobs = jobs.to_vec();
    jobs.sort_unstable();
    let mut bytes = 0;
    let mut shelves: Vec<_> = jobs.iter().map(|job| state.output_shelf(*job)).collect();
    shelves.sort();
    shelves.dedup();
    for shelf in shelves {
        bytes += remove_of(&shelf, &jobs);
        // Fails as long as it holds the output of others.
        drop(fs::remove_dir(&shelf));
    }
    bytes
}

fn remove_of(shelf: &Path, jobs: &[JobId]) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(shelf).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let job = name.split('.').next().and_then(|number| number.parse().ok()).map(JobId);
        if job.is_some_and(|job| jobs.binary_search(&job).is_ok()) {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            if fs::remove_file(entry.path()).is_ok() {
                bytes += size;
            }
        }
    }
    bytes
}
