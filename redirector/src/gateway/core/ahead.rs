//! Short jobs are handed over ahead of time, so that no cpu waits for the next one.
//!
//! ```text
//!   A runs, jobs like it are short ─► who comes next? ─► B      the dispatcher binds B
//!       journal: promised to which agent                        B stays queued for people
//!           │ after the commit
//!           ▼
//!       Start B, after A ──► agent ──► shepherd of A
//!                                          │ A ends, B starts: nobody was asked
//!       journal: A's outcome, B runs ◄── Ended A, followed by B
//! ```
//!
//! A promise ends in one of two ways, and the agent says in which: the job has started, or it was
//! called back and will not be started. Whatever else is wanted of a promised job (to end it, to
//! hold it, to start it elsewhere) waits until that is known:
//!
//! | the job is promised, and … | what is done |
//! |---|---|
//! | it is cancelled | called back; ends when it is withdrawn, or is ended as soon as it runs |
//! | it is to be held | called back; whoever asked hears when it is known whether it runs |
//! | the job before it runs for too long, or has jobs of its own | called back, and queued again where it stood |
//! | a place is free elsewhere, and nobody else waits | the last one is called back |
//! | the gateway is killed | the next one asks the agent; what that does not know was never sent |
//! | the agent leaves in good order | it was never started |
//! | the agent is killed | it may have run: it is lost like those that ran |

use std::{collections::HashSet, time::Instant};

use super::{
    Core,
    agents::GRACE,
    live::{Live, Runner},
    pace::Paces,
    promises::{Promise, Promises},
};
use crate::{
    agent::protocol::{AttemptId, Ended, Order},
    dispatcher::Event,
    gateway::message::{Failure, Reply},
    model::{Given, JobId, NodeName, State, Timestamp},
    store::Write,
};

/// Places get so many jobs in turn, so that none goes without when few are left.
const AT_ONCE: usize = 4;

/// The core's side of it.
#[derive(Default)]
pub(super) struct Ahead {
    promises: Promises,
    paces: Paces,
    /// Jobs that were given to an agent in this batch.
    started: Vec<JobId>,
    /// How many jobs have ended in this batch without another one in their place.
    left_places: usize,
    /// How many with one.
    followed: usize,
}

impl Core {
    /// Promises the places of those that have just started, and fills those that are free.
    pub(super) fn promise_ahead(&mut self) {
        let mut places = std::mem::take(&mut self.ahead.started);
        // Several at once, so that agent and shepherd are woken once for all of them.
        // Of those that have ended since, nothing is worth promising.
        places.retain(|running| {
            let worth = self.worth_promising(*running);
            worth > 0 && self.ahead.promises.count(*running) <= worth / 4
        });
        if !places.is_empty() {
            // The others with them, in one commit.
            places.extend(self.ahead.promises.places());
            places.sort_unstable();
            places.dedup();
        }
        let mut wanting: Vec<_> =
            places.into_iter().map(|running| (running, self.worth_promising(running))).collect();
        while !wanting.is_empty() {
            wanting.retain(|(running, worth)| self.promise_some(*running, *worth));
        }
        for _ in 0..std::mem::take(&mut self.ahead.left_places) {
            let last = self.ahead.promises.last_of_longest();
            let Some(job) = last.filter(|job| self.dispatcher.could_start_elsewhere(*job)) else {
                break;
            };
            self.call_back(job);
        }
    }

    /// How many jobs have ended in this batch with another one in their place already.
    pub(super) fn take_followed(&mut self) -> usize {
        std::mem::take(&mut self.ahead.followed)
    }

    /// Promises a few jobs the place of `running`, up to `worth` of them; whether there may be more.
    fn promise_some(&mut self, running: JobId, worth: usize) -> bool {
        for _ in 0..AT_ONCE {
            if self.ahead.promises.count(running) >= worth {
                return false;
            }
            let Some((next, node)) = self.successor(running) else { return false };
            self.promise(next, running, node);
        }
        true
    }

    fn worth_promising(&self, running: JobId) -> usize {
        self.live
            .get(&running)
            .map_or(0, |live| self.ahead.paces.worth_promising(live.request.share))
    }

    /// The job that is to be promised the place of `running`, and where that is.
    fn successor(&self, running: JobId) -> Option<(JobId, NodeName)> {
        // One that is alone on its node is given all of it anew each time.
        let is_plain =
            |live: &Live| live.is_detached() && !live.is_sequential && live.ending.is_none();
        let live = self.live.get(&running).filter(|live| live.state == State::Running)?;
        let is_worth_it = is_plain(live)
            && live.agent().is_some_and(|agent| self.fleet.own().takes_promises(agent));
        let next = self.dispatcher.successor(running).filter(|_| is_worth_it)?;
        let is_alike = |next: &Live| is_plain(next) && next.kind == live.kind;
        is_alike(self.live.get(&next)?).then(|| (next, self.fleet.own.clone()))
    }

    fn promise(&mut self, job: JobId, running: JobId, node: NodeName) {
        let Some(before) = self.live.get(&running) else { return };
        let Runner::Agent { instance: Some(agent) } = &before.runner else { return };
        let (agent, given) = (agent.clone(), before.given.clone());
        let Some(live) = self.live.get_mut(&job) else { return };
        live.set_agent(Some(agent.clone()));
        live.node = Some(node.clone());
        live.given = given.clone();
        let (place, is_bound, is_called_back, holders) = (Some(running), true, false, Vec::new());
        let promise = Promise { place, node, is_bound, is_called_back, holders };
        self.ahead.promises.add(job, promise);
        self.journal.write(Write::Promise { job, agent: Some(agent), given });
        self.dispatch(Event::Promised { job, after: running });
        self.assigned.push(job);
    }

    /// A job was given to an agent that is there.
    pub(super) fn was_assigned(&mut self, job: JobId) {
        self.ahead.started.push(job);
    }

    /// The attempt in whose place this job starts, if it does not start at once.
    pub(super) fn starts_after(&self, job: JobId) -> Option<AttemptId> {
        let before = self.ahead.promises.place_of(job)?;
        Some(AttemptId { job: before, number: self.live.get(&before)?.attempt })
    }

    pub(super) fn is_promised(&self, job: JobId) -> bool {
        self.ahead.promises.contains(job)
    }

    pub(super) fn has_promises(&self) -> bool {
        !self.ahead.promises.is_empty()
    }

    /// A job of the journal was promised by a gateway before this one.
    pub(super) fn recover_promise(&mut self, job: JobId, given: Given) {
        let (node, holders) = (self.fleet.own.clone(), Vec::new());
        if let Some(live) = self.live.get_mut(&job) {
            live.given = given;
            live.node = Some(node.clone());
        }
        let (place, is_bound, is_called_back) = (None, false, false);
        let promise = Promise { place, node, is_bound, is_called_back, holders };
        self.ahead.promises.add(job, promise);
    }

    /// An agent has said hello: what has become of all that was promised.
    pub(super) fn settle_promises(
        &mut self,
        instance: &str,
        predecessors: &[String],
        started: &HashSet<AttemptId>,
        promised: &HashSet<AttemptId>,
    ) {
        let mut jobs = self.ahead.promises.jobs();
        jobs.sort_unstable();
        for job in jobs {
            let Some(live) = self.live.get(&job) else { continue };
            let Runner::Agent { instance: Some(agent) } = &live.runner else { continue };
            let attempt = AttemptId { job, number: live.attempt };
            if agent != instance && !predecessors.contains(agent) {
                // Nobody is left who knows. It is lost with those that ran.
                self.follower_started(job, None, Timestamp::now());
            } else if agent == instance && started.contains(&attempt) {
                self.follower_started(job, None, Timestamp::now());
            } else if agent == instance && promised.contains(&attempt) {
                let promise = self.ahead.promises.get_mut(job);
                if promise.is_some_and(|it| std::mem::take(&mut it.is_called_back) || !it.is_bound)
                {
                    self.call_back(job);
                }
            } else {
                self.attempt_withdrawn(attempt);
            }
        }
    }

    /// An attempt has ended: its place is another one's, or free. To be heard before the end of
    /// the attempt itself is taken note of.
    pub(super) fn pass_place(&mut self, ended: &Ended) {
        let &Ended { attempt, started, at, followed_by, .. } = ended;
        if self.is_current(attempt) && self.is_promised(attempt.job) {
            // What it was to follow ended in the sight of another gateway.
            self.follower_started(attempt.job, None, started);
        }
        let runs = |live: &&Live| live.state == State::Running && live.attempt == attempt.number;
        let before = self.live.get(&attempt.job).filter(runs).map(|live| live.request.share);
        if let Some(share) = before {
            self.ahead.paces.note(share, at.since(started));
        }
        // If the order to start the next one was still on its way, it has been started since.
        let known = followed_by.filter(|next| self.is_current(*next)).map(|next| next.job);
        let expected = before.and_then(|_| self.ahead.promises.next(attempt.job));
        match known.or(expected) {
            Some(next) => {
                self.ahead.followed += 1;
                self.follower_started(next, before.map(|_| attempt.job), at);
            }
            None => self.ahead.left_places += 1,
        }
    }

    fn is_current(&self, attempt: AttemptId) -> bool {
        self.live.get(&attempt.job).is_some_and(|live| live.attempt == attempt.number)
    }

    /// A job that was promised a place has started, in that of `before` if that one has ended just
    /// now.
    fn follower_started(&mut self, job: JobId, before: Option<JobId>, at: Timestamp) {
        let Some(promise) = self.ahead.promises.remove(job) else { return };
        let Some(live) = self.live.get_mut(&job) else { return };
        let Runner::Agent { instance } = &live.runner else { return };
        let agent = instance.clone();
        live.state = State::Running;
        let (given, request) = (live.given.clone(), live.request.clone());
        self.progress.started(live.run, job);
        let is_to_end = live.ending.is_some();
        let Promise { node, is_bound, holders, .. } = promise;
        self.journal.write(Write::Start {
            job,
            node: node.clone(),
            agent,
            given: given.clone(),
            at,
        });
        if let Some(ended) = before {
            self.ahead.promises.pass(ended, job);
        }
        if let Some(there) = self.fleet.get_mut(&node) {
            match before {
                Some(ended) => there.pins.pass(ended, job),
                None => there.pins.adopt(job, &given.cpus),
            }
        }
        if let Some(ended) = before.filter(|_| is_bound) {
            self.dispatch(Event::Followed { ended, started: job });
        } else {
            let indices = given.pieces;
            self.dispatch(Event::Cancelled { job });
            self.dispatch(Event::Recovered { job, request, node, indices });
        }
        self.was_assigned(job);
        if is_to_end {
            self.order_end(job, GRACE);
        }
        self.answer_holders(job, holders);
    }

    /// A job that was promised a place has not started, and will not unless it is told to again.
    pub(super) fn attempt_withdrawn(&mut self, attempt: AttemptId) {
        let job = attempt.job;
        if !self.is_current(attempt) {
            return;
        }
        let Some(promise) = self.ahead.promises.remove(job) else { return };
        self.forget_assignment(job);
        let Some(live) = self.live.get_mut(&job) else { return };
        live.set_agent(None);
        live.node = None;
        live.given = Given::default();
        let ending = live.ending.clone();
        let given = Given::default();
        self.journal.write(Write::Promise { job, agent: None, given });
        if let Some(ending) = ending {
            self.conclude(job, ending.outcome(), None, Timestamp::now());
        } else if !promise.holders.is_empty() {
            // Not for a moment in the queue, where it would start.
        } else if promise.is_bound {
            self.dispatch(Event::Withdrawn { job });
        } else {
            self.submit_to_dispatcher(job);
        }
        self.answer_holders(job, promise.holders);
    }

    /// Has the agent forget a promised job, if it has not started.
    pub(super) fn call_back(&mut self, job: JobId) {
        let Some(number) = self.live.get(&job).map(|live| live.attempt) else { return };
        let attempt = AttemptId { job, number };
        if self.is_in_no_hands(job) {
            self.attempt_withdrawn(attempt);
        } else if let Some(promise) = self.ahead.promises.get_mut(job)
            && !promise.is_called_back
        {
            promise.is_called_back = true;
            self.fleet.own().order(Order::Withdraw { attempt });
        }
    }

    /// A job is about to have jobs of its own, to which it lends what it has: nobody is to follow
    /// it, lest there be too little for them.
    pub(super) fn call_back_behind(&mut self, running: JobId) {
        for job in self.ahead.promises.behind(running) {
            self.call_back(job);
        }
    }

    /// When a promised job will have waited for too long.
    pub(super) fn next_overdue(&mut self) -> Option<Instant> {
        self.ahead.promises.next_overdue()
    }

    /// Calls those back that wait behind jobs which turned out to be long.
    pub(super) fn call_back_overdue(&mut self) {
        for job in self.ahead.promises.overdue(Instant::now()) {
            self.call_back(job);
        }
    }

    /// Holds a job, as soon as it is known that it has not started.
    pub(super) fn hold_or_ask(&mut self, job: JobId, reply: Reply<Result<Vec<JobId>, Failure>>) {
        if let Some(promise) = self.ahead.promises.get_mut(job) {
            promise.holders.push(reply);
            self.call_back(job);
        } else {
            self.answer_holders(job, vec![reply]);
        }
    }

    fn answer_holders(&mut self, job: JobId, holders: Vec<Reply<Result<Vec<JobId>, Failure>>>) {
        for reply in holders {
            let answer = self.hold(job);
            self.journal.after_commit(move || drop(reply.send(answer)));
        }
    }

    /// A job is not live any more, and neither follows another one nor is followed.
    pub(super) fn forget_promise(&mut self, job: JobId) {
        self.ahead.promises.remove(job);
        self.ahead.promises.forget_place(job);
    }
}

#[cfg(test)]
mod tests;
