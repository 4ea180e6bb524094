//! Jobs that wait for each other in ways that nobody can see.
//!
//! A process that is no job may need several jobs at once: `sort` reads from all of
//! its decompressors, a script reads the second of two pipes first. If one of them
//! runs and the other is queued behind it, both wait for ever. So whenever a job with
//! a pipe is queued, and all that runs sleeps for a whole period without using any
//! processor time, the queued job starts too. If they slept for another reason, no
//! processor was in use anyway.
//!
//! What can be seen is looked for at the same time: jobs that are joined by pipes
//! through other processes start together like those that share a pipe. All this
//! takes a look at each process of the user, so it is done once a period, for all,
//! and only while a job with a pipe has to wait.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Core, Live};
use crate::{
    dispatcher::Event,
    gateway::{job_processes, message::Message, pipes},
    model::{JobId, State},
};

/// From one look to the next.
const PERIOD: Duration = Duration::from_millis(250);

/// Who might be stalled, and what was seen last.
pub(super) struct Watch {
    /// Queued jobs that hold a pipe.
    pub queued: BTreeSet<JobId>,
    looked: Instant,
    time: Option<u64>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { queued: BTreeSet::new(), looked: Instant::now(), time: None }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Instant {
        self.looked + PERIOD
    }
}

impl Core {
    /// Looks at all processes, off this thread.
    pub(super) fn look_for_stall(&mut self) {
        self.stall.looked = Instant::now();
        let queued: Vec<_> = self.stall.queued.iter().copied().collect();
        let with_pipe = self.live.iter().filter(|(_, live)| !live.request.pipes.is_empty());
        let jobs: Vec<(JobId, Vec<pipes::Hold>)> = with_pipe
            .map(|(job, live)| {
                (*job, live.request.pipes.iter().map(|(pipe, end)| (pipe.inode, *end)).collect())
            })
            .collect();
        let running = self.live.iter().filter(|(_, live)| {
            live.state == State::Running && !live.kind.is_whole_pipeline() && live.lease().is_some()
        });
        let mut is_all_here = true;
        let mut tokens = Vec::new();
        for (job, live) in running {
            // Whether one moves on another computer cannot be seen from here.
            is_all_here &= live.node.as_ref() == Some(&self.fleet.own);
            tokens.push(self.tokens.of(*job));
        }
        let messages = self.setup.messages.clone();
        tokio::task::spawn_blocking(move || {
            let links = pipes::links(&queued, &jobs);
            let time = if is_all_here { job_processes::time_of_sleepers(&tokens) } else { None };
            // Fails only when the core is gone.
            drop(messages.send(Message::Looked { links, time }));
        });
    }

    /// Starts what was found to be needed by something that runs; if nothing has moved
    /// since the last look, somebody.
    pub(super) fn looked(&mut self, links: Vec<(JobId, JobId)>, time: Option<u64>) {
        for (a, b) in links {
            self.dispatch(Event::PipesLinked { a, b });
        }
        let stalled = time.is_some() && time == self.stall.time;
        self.stall.time = time;
        if !stalled {
            return;
        }
        let runs_with_pipe = |(_, live): &(&JobId, &Live)| {
            live.state == State::Running && !live.request.pipes.is_empty()
        };
        let running = self.live.iter().find(runs_with_pipe).map(|(job, _)| *job);
        let (Some(&queued), Some(running)) = (self.stall.queued.first(), running) else { return };
        tracing::info!(job = %queued, "starting a job with a pipe, because all that runs has stopped moving");
        self.stall.time = None;
        self.dispatch(Event::PipesLinked { a: queued, b: running });
    }
}
