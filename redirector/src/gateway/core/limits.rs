//! Time and memory of leased jobs. An agent sees to those that it runs.
//!
//! Memory is measured only while a job runs that asked for some, and the more seldom the
//! further all are from their limits (see [`memory::interval`]).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Core, live::Ending};
use crate::{
    agent::memory,
    gateway::message::Message,
    model::{JobId, Kind, State},
    protocol::GatewayMessage,
};

/// Leased jobs whose memory is limited.
pub(super) struct Measuring {
    /// What each may have, in bytes.
    limits: BTreeMap<JobId, u64>,
    next: Instant,
    is_looking: bool,
}

impl Measuring {
    pub(super) fn new() -> Self {
        Self { limits: BTreeMap::new(), next: Instant::now(), is_looking: false }
    }

    /// When to look next, if there is anything to look at.
    pub(super) fn next(&self) -> Option<Instant> {
        (!self.limits.is_empty() && !self.is_looking).then_some(self.next)
    }
}

impl Core {
    /// Watches over what a leased job was granted.
    pub(super) fn limit_lease(&mut self, job: JobId, ran_already: Duration) {
        let Some(live) = self.live.get(&job) else { return };
        let (attempt, mem) = (live.attempt, live.mem_limit());
        if let Some(limit) = live.request.time_limit {
            let messages = self.setup.messages.clone();
            let left = Duration::from_millis(limit).saturating_sub(ran_already);
            tokio::spawn(async move {
                tokio::time::sleep(left).await;
                // Fails only when the core is gone.
                drop(messages.send(Message::TimeOver { job, attempt }));
            });
        }
        let enforces = self.fleet.own().facts.as_ref().is_some_and(|facts| facts.enforce_memory);
        if mem > 0 && enforces {
            if self.measuring.limits.is_empty() {
                self.measuring.next = Instant::now();
            }
            self.measuring.limits.insert(job, mem);
        }
    }

    pub(super) fn stop_measuring(&mut self, job: JobId) {
        self.measuring.limits.remove(&job);
    }

    pub(super) fn time_over(&mut self, job: JobId, attempt: u32) {
        let Some(live) = self.live.get(&job) else { return };
        if live.attempt != attempt || live.state != State::Running || live.ending.is_some() {
            return;
        }
        let time_limit = live.request.time_limit.unwrap_or_default();
        self.end_lease(job, Ending::TimedOut { time_limit });
    }

    /// Measures all of them at once, off this thread.
    pub(super) fn measure(&mut self) {
        let watched: Vec<(JobId, u64, i32, String, bool)> = self
            .measuring
            .limits
            .iter()
            .filter_map(|(&job, &limit)| {
                let live = self.live.get(&job)?;
                let is_nested = live.kind == Kind::Nested;
                Some((job, limit, live.process()?, self.tokens.of(job), is_nested))
            })
            .collect();
        self.measuring.is_looking = true;
        let messages = self.setup.messages.clone();
        tokio::task::spawn_blocking(move || {
            let roots: Vec<_> = watched
                .iter()
                .map(|(_, _, pid, token, is_nested)| memory::Root {
                    pid: *pid,
                    counts_itself: false,
                    token: Some(token),
                    is_nested: *is_nested,
                })
                .collect();
            let snapshot = memory::Snapshot::take(&roots);
            let used = |(index, (job, limit, ..)): (usize, &(JobId, u64, _, _, _))| {
                let resident = snapshot.resident(index);
                let used = if resident > *limit { snapshot.proportional(index) } else { resident };
                (*job, used)
            };
            let jobs = watched.iter().enumerate().map(used).collect();
            // Fails only when the core is gone.
            drop(messages.send(Message::Measured { jobs }));
        });
    }

    pub(super) fn measured(&mut self, jobs: Vec<(JobId, u64)>) {
        self.measuring.is_looking = false;
        let mut least_room = u64::MAX;
        for (job, used) in jobs {
            let Some(&limit) = self.measuring.limits.get(&job) else { continue };
            if used > limit {
                self.stop_measuring(job);
                self.run_out_of_memory(job, limit, used);
            } else {
                least_room = least_room.min(limit - used);
            }
        }
        self.measuring.next = Instant::now() + memory::interval(least_room);
    }

    fn run_out_of_memory(&mut self, job: JobId, mem_limit: u64, mem_used: u64) {
        let Some(live) = self.live.get_mut(&job) else { return };
        if live.ending.is_some() {
            return;
        }
        let ending = Ending::OutOfMemory { mem_limit, mem_used };
        let reason = ending.reason();
        live.ending = Some(ending);
        // No grace: meanwhile it would take the memory of others.
        self.say(job, GatewayMessage::Signal { signal: libc::SIGKILL, reason });
        self.end_leftovers(job);
    }
}
