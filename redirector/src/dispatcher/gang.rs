//! Jobs joined by pipes start together.
//!
//! ```text
//!   a ──pipe──▶ b ──pipe──▶ c        all queued: one unit, all or nothing
//!
//!   A ──pipe──▶ b                    A runs: b starts at once, in debt if need be, because A
//!                                    stops as soon as the pipe is full
//!
//!   A ──pipe──▶ Z ◀──pipe── b        A and Z run: b waits like everybody, because Z is being
//!                                    served; when A ends, b starts at once (make -j64 | sort)
//! ```
//!
//! So at each pipe that has a running job at one end, one runs at the other end too or starts at
//! once: no running job waits for the queue, neither to get rid of its output nor for more input.

use std::collections::BTreeSet;

use super::{
    Dispatcher, End,
    asks::Ask,
    hasher::FastMap,
    job::State,
    nodes::NodeIndex,
    pipes::Joint,
    placement::{feasible, together},
    queue::{LineIndex, NewLine, Place, Urgency},
    sites::Site,
};
use crate::model::JobId;

/// At which ends of a pipe a job runs, or is about to.
#[derive(Clone, Copy, Debug, Default)]
struct Served {
    read: bool,
    write: bool,
    /// A job that has it open is needed elsewhere and starts as soon as its node is there, without
    /// regard to others at this pipe.
    claimed: bool,
}

impl Served {
    fn at(self, end: End) -> bool {
        match end {
            End::Read => self.read,
            End::Write => self.write,
        }
    }

    fn serve(&mut self, end: End) {
        match end {
            End::Read => self.read = true,
            End::Write => self.write = true,
        }
    }

    /// A job at this end is needed by one that runs at the other.
    fn needs(self, end: End) -> bool {
        !self.at(end) && self.at(end.other())
    }

    fn nowhere(self) -> bool {
        !self.read && !self.write && !self.claimed
    }
}

impl Dispatcher {
    /// `job` and all jobs joined to it by pipes.
    pub(super) fn gang_of(&self, job: JobId) -> Vec<JobId> {
        self.pipes.gang(job, |member| Some(&*self.jobs.get(member)?.ends), |_| true)
    }

    /// The jobs of the unit that this job leads.
    pub(super) fn members(&self, leader: JobId) -> Vec<JobId> {
        self.gangs.get(&leader).cloned().unwrap_or_else(|| vec![leader])
    }

    /// Puts jobs, joined by pipes if they are several, into the queue as one unit.
    pub(super) fn enqueue(&mut self, mut members: Vec<JobId>, urgency: Urgency) {
        if members.len() > 1 {
            // Members that have little choice come first: the others are placed around them.
            members.sort_by_cached_key(|&job| {
                let ask = self.asks[self.jobs[job].ask];
                (self.nodes.freedom(ask.site), ask, job)
            });
        }
        for &job in &members {
            if let Some(job) = self.jobs.get_mut(job) {
                job.place.urgency = urgency;
            }
        }
        let Some(unit) = members.iter().map(|&job| self.jobs[job].place).min() else { return };
        let (nodes, asks) = (&self.nodes, &self.asks);
        let insert = |queue: &mut super::Queue, key: &[_]| {
            queue.insert(unit, key, || {
                let asks = key.iter().map(|&ask| asks[ask]).collect::<std::sync::Arc<[Ask]>>();
                let together = together(nodes, &asks).map(|together| together.load);
                NewLine { feasible: feasible(nodes, &asks), asks, together }
            })
        };
        let line = if let [job] = members[..] {
            insert(&mut self.queue, &[self.jobs[job].ask])
        } else {
            let key = members.iter().map(|&job| self.jobs[job].ask).collect::<Vec<_>>();
            insert(&mut self.queue, &key)
        };
        for &job in &members {
            if let Some(job) = self.jobs.get_mut(job) {
                job.state = State::Queued { leader: unit.job, line };
            }
        }
        if members.len() > 1 {
            self.gangs.insert(unit.job, members);
        }
        self.fresh.push(std::cmp::Reverse(unit));
    }

    /// Takes a unit out of the queue; its members' states are for the caller to set. Room that is
    /// kept for it is not kept any longer: it starts, or a gang with other members follows it.
    pub(super) fn dequeue(&mut self, unit: Place, line: LineIndex) {
        if self.reservation.as_ref().is_some_and(|reservation| reservation.unit == unit) {
            self.release_reservation();
        }
        if self.queue[line].is_of_gangs() {
            self.gangs.remove(&unit.job);
        }
        self.queue.remove(unit, line);
    }

    /// Forms anew the units at pipes where a job has come, gone or started.
    pub(super) fn regroup_at(&mut self, ends: &[(Joint, End)]) {
        let mut affected = Vec::new();
        for &(joint, _) in ends {
            let Some(members) = self.pipes.members(joint) else { continue };
            let served = self.served(joint);
            let waiting = |job: &JobId| !self.jobs[*job].is_running();
            if served.nowhere() {
                affected.extend(members.all());
                continue;
            }
            for end in [End::Read, End::Write] {
                if served.needs(end) {
                    let mut here = members.at(end).to_vec();
                    here.retain(waiting);
                    here.sort_unstable_by_key(|&job| self.jobs[job].place);
                    // One is enough, if it can start.
                    let first = here.iter().position(|&job| self.has_place_to_join(job));
                    affected.extend(here.into_iter().take(first.map_or(usize::MAX, |at| at + 1)));
                }
            }
            // Who was needed may not be any more, now that somebody else is there.
            let is_urgent = |job: &JobId| {
                waiting(job) && self.jobs[*job].place.urgency == Urgency::JoinsRunning
            };
            affected.extend(members.all().filter(is_urgent));
        }
        self.regroup(affected);
    }

    /// Forms anew the units of jobs that wait, and of all whose units depend on theirs.
    pub(super) fn regroup(&mut self, affected: Vec<JobId>) {
        let mut jobs = BTreeSet::new();
        let mut served = FastMap::default();
        let mut to_visit = affected;
        while let Some(id) = to_visit.pop() {
            let Some(job) = self.jobs.get(id).filter(|job| !job.is_running()) else { continue };
            if !jobs.insert(id) {
                continue;
            }
            if let State::Queued { leader, .. } = job.state
                && let Some(members) = self.gangs.get(&leader)
            {
                to_visit.extend(members.iter().filter(|member| !jobs.contains(member)));
            }
            for &(joint, _) in &*job.ends {
                if served.contains_key(&joint) {
                    continue;
                }
                let by = self.served(joint);
                served.insert(joint, by);
                if by.nowhere()
                    && let Some(members) = self.pipes.joined(joint)
                {
                    to_visit.extend(members.all());
                }
            }
        }
        for &job in &jobs {
            if let State::Queued { leader, line } = self.jobs[job].state
                && leader == job
            {
                self.dequeue(self.jobs[job].place, line);
            }
        }
        self.form_units(jobs, served);
    }

    /// Queues jobs that are in no unit: at once those that running jobs need, and the others
    /// together with whom they are joined to.
    fn form_units(&mut self, mut jobs: BTreeSet<JobId>, mut served: FastMap<Joint, Served>) {
        loop {
            let needed = jobs.iter().copied().filter(|&job| {
                self.jobs[job].ends.iter().any(|(joint, end)| served[joint].needs(*end))
            });
            let Some(next) = needed.min_by_key(|&job| self.jobs[job].place) else { break };
            let starts = self.has_place_to_join(next);
            for (joint, end) in &*self.jobs[next].ends {
                let served = served.entry(*joint).or_default();
                served.claimed = true;
                if starts {
                    served.serve(*end);
                }
            }
            jobs.remove(&next);
            self.enqueue(vec![next], Urgency::JoinsRunning);
        }
        while let Some(&first) = jobs.first() {
            let ends_of = |job: JobId| Some(&*self.jobs.get(job)?.ends);
            let unit = self.pipes.gang(first, ends_of, |joint| {
                served.get(&joint).is_some_and(|served| served.nowhere())
            });
            for job in &unit {
                jobs.remove(job);
            }
            self.enqueue(unit, Urgency::Waits);
        }
    }

    /// At which ends of a pipe jobs run.
    fn served(&self, joint: Joint) -> Served {
        let members = self.pipes.members(joint);
        let runs_at = |end| {
            members.is_some_and(|members| {
                members
                    .at(end)
                    .iter()
                    .any(|&job| self.jobs.get(job).is_some_and(super::job::Job::is_running))
            })
        };
        Served { read: runs_at(End::Read), write: runs_at(End::Write), claimed: false }
    }

    fn has_place_to_join(&self, job: JobId) -> bool {
        self.place_joiner(job, &self.asks[self.jobs[job].ask]).is_some()
    }

    /// Where a job starts that running jobs may be blocked on: where there is room, beside them if
    /// possible, and even where nothing is free.
    pub(super) fn place_joiner(&self, job: JobId, ask: &Ask) -> Option<NodeIndex> {
        if let Site::One(only) = ask.site {
            return self.nodes[only].takes_joiners().then_some(only);
        }
        let partners =
            self.gang_of(job).into_iter().filter_map(|member| match self.jobs.get(member)?.state {
                State::Running { node, .. } => Some(node),
                State::Arriving | State::Queued { .. } | State::Promised { .. } => None,
            });
        let large_enough = partners.filter(|&node| {
            self.nodes.allows(ask.site, node) && ask.load.fits_in(&self.nodes[node].capacity())
        });
        let beside = large_enough.collect::<BTreeSet<_>>();
        let open = || beside.iter().copied().filter(|&node| self.nodes[node].is_open());
        let has_room = |node: &NodeIndex| self.nodes[*node].has_room_for(std::slice::from_ref(ask));
        let has_slot = |node| ask.load.slots <= self.nodes[node].free().slots;
        let near = self.jobs[job].near.names().into_iter().flatten();
        let near = near.filter_map(|name| self.nodes.find(name));
        let near = near.filter(|&node| self.nodes.allows(ask.site, node));
        let candidates = self.nodes.listed(&ask.site).unwrap_or_default().iter().copied();
        let large_enough =
            candidates.filter(|&node| ask.load.fits_in(&self.nodes[node].capacity()));
        open()
            .find(has_room)
            .or_else(|| self.nodes.with_room_of(near, &ask.load, |_| true))
            .or_else(|| self.nodes.with_room(&ask.load, ask.site, |_| true))
            // Into debt; as to the number of jobs, only where all nodes have theirs.
            .or_else(|| open().find(|&node| has_slot(node)))
            .or_else(|| self.nodes.closest(&ask.load, ask.site, has_slot))
            .or_else(|| open().next())
            .or_else(|| self.nodes.closest(&ask.load, ask.site, |_| true))
            .or_else(|| {
                let there = beside.iter().copied().chain(large_enough);
                there.into_iter().find(|&node| self.nodes[node].takes_joiners())
            })
    }
}
