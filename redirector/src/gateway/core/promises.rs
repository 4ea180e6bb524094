//! Which jobs are promised to which places: the book that [`super::ahead`] keeps.
//!
//! ```text
//!   place of       then
//!   job 7          8  9  12         7 runs; 8 starts when it ends, without anybody being asked
//!   job 5          10 11
//! ```

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    gateway::message::{Failure, Reply},
    model::{JobId, NodeName},
};

/// A job behind one that runs for longer than this is called back. Five times what jobs may take
/// that others are promised to follow.
const PATIENCE: Duration = Duration::from_millis(250);

/// A job that an agent starts by itself when another one has ended.
#[derive(Debug)]
pub(super) struct Promise {
    /// The job that runs in its place; `None` if that is not known, or has ended unseen.
    pub place: Option<JobId>,
    /// Where that is.
    pub node: NodeName,
    /// The dispatcher knows that it is promised; it was not told of promises of an earlier
    /// gateway.
    pub is_bound: bool,
    /// The agent was told to forget it if it has not started.
    pub is_called_back: bool,
    /// Those who want it held, if it has not started.
    pub holders: Vec<Reply<Result<Vec<JobId>, Failure>>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Promises {
    by_job: HashMap<JobId, Promise>,
    places: HashMap<JobId, VecDeque<JobId>>,
    /// Running jobs in whose places somebody waits, and until when; also such that have ended.
    patience: VecDeque<(Instant, JobId)>,
}

impl Promises {
    pub(super) fn is_empty(&self) -> bool {
        self.by_job.is_empty()
    }

    pub(super) fn contains(&self, job: JobId) -> bool {
        self.by_job.contains_key(&job)
    }

    pub(super) fn get_mut(&mut self, job: JobId) -> Option<&mut Promise> {
        self.by_job.get_mut(&job)
    }

    /// All that are promised, in no order.
    pub(super) fn jobs(&self) -> Vec<JobId> {
        self.by_job.keys().copied().collect()
    }

    /// How many jobs are promised the place of `running`.
    pub(super) fn count(&self, running: JobId) -> usize {
        self.places.get(&running).map_or(0, VecDeque::len)
    }

    /// All places that are promised to somebody, in no order.
    pub(super) fn places(&self) -> impl Iterator<Item = JobId> {
        self.places.keys().copied()
    }

    /// `job` is to come last in its promise's place.
    pub(super) fn add(&mut self, job: JobId, promise: Promise) {
        if let Some(running) = promise.place {
            let queue = self.places.entry(running).or_default();
            if queue.is_empty() {
                self.patience.push_back((Instant::now() + PATIENCE, running));
            }
            queue.push_back(job);
        }
        self.by_job.insert(job, promise);
    }

    /// All in the place of `running`.
    pub(super) fn behind(&self, running: JobId) -> Vec<JobId> {
        self.places.get(&running).into_iter().flatten().copied().collect()
    }

    /// The first one in the place of `running`.
    pub(super) fn next(&self, running: JobId) -> Option<JobId> {
        self.places.get(&running)?.front().copied()
    }

    /// The job that runs in the place that `job` is promised.
    pub(super) fn place_of(&self, job: JobId) -> Option<JobId> {
        self.by_job.get(&job)?.place
    }

    /// `job` is promised nothing any more.
    pub(super) fn remove(&mut self, job: JobId) -> Option<Promise> {
        let promise = self.by_job.remove(&job)?;
        if let Some(place) = promise.place
            && let Some(queue) = self.places.get_mut(&place)
        {
            queue.retain(|other| *other != job);
            if queue.is_empty() {
                self.places.remove(&place);
            }
        }
        Some(promise)
    }

    /// Another job runs in the place of `before`.
    pub(super) fn pass(&mut self, before: JobId, now: JobId) {
        let Some(queue) = self.places.remove(&before) else { return };
        for job in &queue {
            if let Some(promise) = self.by_job.get_mut(job) {
                promise.place = Some(now);
            }
        }
        self.patience.push_back((Instant::now() + PATIENCE, now));
        self.places.insert(now, queue);
    }

    /// Nobody knows any more what becomes of the place of `running`.
    pub(super) fn forget_place(&mut self, running: JobId) {
        for job in self.places.remove(&running).into_iter().flatten() {
            if let Some(promise) = self.by_job.get_mut(&job) {
                promise.place = None;
            }
        }
    }

    /// The last one of the longest queue that is not called back yet.
    pub(super) fn last_of_longest(&self) -> Option<JobId> {
        let is_left = |job: &&JobId| !self.by_job.get(job).is_none_or(|it| it.is_called_back);
        let lasts = self.places.values().filter_map(|queue| {
            let mut left = queue.iter().filter(is_left);
            Some((left.clone().count(), *left.next_back()?))
        });
        lasts.max().map(|(_, job)| job)
    }

    /// When the next ones will have waited for too long.
    pub(super) fn next_overdue(&mut self) -> Option<Instant> {
        while let Some((at, running)) = self.patience.front() {
            if self.places.contains_key(running) {
                return Some(*at);
            }
            self.patience.pop_front();
        }
        None
    }

    /// Those that have waited for too long by `now`.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<JobId> {
        let mut jobs = Vec::new();
        while let Some(&(at, running)) = self.patience.front()
            && at <= now
        {
            self.patience.pop_front();
            jobs.extend(self.places.get(&running).into_iter().flatten().copied());
        }
        jobs
    }
}
