//! Which job of a host is let go next, and which are watched.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    num::NonZeroU32,
};

use crate::model::{JobId, NodeName};

/// Most of the jobs that one host may run at a time.
pub type MaxPerNode = NonZeroU32;

/// Most jobs that are asked for at the same time: each takes a connection.
const WATCHED: usize = 256;

/// What is left to be done, host by host.
///
/// ```
/// # use std::num::NonZeroU32;
/// use redirector::{client::scatter::Schedule, model::{JobId, NodeName}};
///
/// let host = NodeName("lce001".to_owned());
/// let mut schedule = Schedule::new(NonZeroU32::new(1));
/// schedule.add(JobId(7), &host);
/// schedule.add(JobId(8), &host);
/// assert_eq!(schedule.release(), [JobId(7)]);
/// assert_eq!(schedule.ended(JobId(7)), Some(0));
/// assert_eq!(schedule.release(), [JobId(8)]);
/// ```
#[derive(Debug)]
pub struct Schedule {
    most: Option<MaxPerNode>,
    lanes: Vec<Lane>,
    hosts: HashMap<NodeName, usize>,
    /// The jobs that have not ended.
    left: BTreeMap<JobId, Place>,
    added: usize,
}

/// Where a job belongs.
#[derive(Clone, Copy, Debug)]
struct Place {
    lane: usize,
    /// How many were added before it.
    index: usize,
}

/// The jobs of one host.
#[derive(Debug, Default)]
struct Lane {
    held: VecDeque<JobId>,
    live: BTreeSet<JobId>,
}

impl Schedule {
    /// Nothing to do yet. With `most`, jobs wait until they are released, else they go at once.
    pub fn new(most: Option<MaxPerNode>) -> Self {
        Self { most, lanes: Vec::new(), hosts: HashMap::new(), left: BTreeMap::new(), added: 0 }
    }

    /// One more job, after all others of its host.
    pub fn add(&mut self, job: JobId, host: &NodeName) {
        let lane = *self.hosts.entry(host.clone()).or_insert_with(|| {
            self.lanes.push(Lane::default());
            self.lanes.len() - 1
        });
        match self.most {
            Some(_) => self.lanes[lane].held.push_back(job),
            None => drop(self.lanes[lane].live.insert(job)),
        }
        self.left.insert(job, Place { lane, index: self.added });
        self.added += 1;
    }

    /// The jobs that are to be let go now; they count as live from here on.
    pub fn release(&mut self) -> Vec<JobId> {
        let most = self.most.map_or(0, |most| most.get() as usize);
        let mut released = Vec::new();
        for lane in &mut self.lanes {
            while lane.live.len() < most
                && let Some(job) = lane.held.pop_front()
            {
                lane.live.insert(job);
                released.push(job);
            }
        }
        released
    }

    /// Notes that a job has ended, released or not. How many jobs were added before it; `None` if
    /// its end was known.
    pub fn ended(&mut self, job: JobId) -> Option<usize> {
        let place = self.left.remove(&job)?;
        let lane = &mut self.lanes[place.lane];
        if !lane.live.remove(&job) {
            lane.held.retain(|held| *held != job);
        }
        Some(place.index)
    }

    /// All jobs that have not ended, by number.
    pub fn left(&self) -> impl Iterator<Item = JobId> {
        self.left.keys().copied()
    }

    /// Jobs that may run, by number.
    pub fn live(&self) -> Vec<JobId> {
        let mut live: Vec<_> = self.lanes.iter().flat_map(|lane| &lane.live).copied().collect();
        live.sort_unstable();
        live
    }

    /// The jobs to be watched: of each host those that were submitted first, because they run
    /// first.
    pub fn to_watch(&self) -> Vec<JobId> {
        let busy = self.lanes.iter().filter(|lane| !lane.live.is_empty());
        let share = (WATCHED / busy.clone().count().max(1)).max(1);
        busy.flat_map(|lane| lane.live.iter().take(share)).copied().take(WATCHED).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(number: u8) -> NodeName {
        NodeName(format!("h{number}"))
    }

    #[test]
    fn without_a_limit_all_go_at_once() {
        let mut schedule = Schedule::new(None);
        for job in 1..=3 {
            schedule.add(JobId(job), &host(0));
        }
        assert!(schedule.release().is_empty());
        assert_eq!(schedule.live(), [1, 2, 3].map(JobId));
        assert_eq!((schedule.ended(JobId(2)), schedule.ended(JobId(2))), (Some(1), None));
        assert_eq!(schedule.left().collect::<Vec<_>>(), [1, 3].map(JobId));
    }

    #[test]
    fn every_host_is_watched() {
        let mut schedule = Schedule::new(None);
        for job in 0..10_000 {
            schedule.add(JobId(job), &host((job % 4) as u8));
        }
        let watched = schedule.to_watch();
        assert_eq!(watched.len(), WATCHED);
        for first in 0..4 {
            assert!(watched.contains(&JobId(first)), "{first}");
        }
    }

    proptest! {
        /// Whatever ends in whichever order: no host has too many, and none waits for nothing.
        #[test]
        fn each_host_has_as_many_as_it_may(
            hosts in prop::collection::vec(0..4_u8, 1..60),
            most in 1..5_u32,
            picks in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut schedule = Schedule::new(NonZeroU32::new(most));
            for (job, number) in hosts.iter().enumerate() {
                schedule.add(JobId(job as u64), &host(*number));
            }
            let mut live: Vec<JobId> = Vec::new();
            let mut left = hosts.len();
            for pick in picks {
                live.extend(schedule.release());
                for number in 0..4 {
                    let of_host = |job: &JobId| hosts[job.0 as usize] == number;
                    let running = live.iter().filter(|job| of_host(job)).count();
                    let unfinished = schedule.left().filter(of_host).count();
                    prop_assert_eq!(running, unfinished.min(most as usize));
                }
                let mut expected = live.clone();
                expected.sort_unstable();
                prop_assert_eq!(schedule.live(), expected);
                if live.is_empty() {
                    break;
                }
                let job = live.swap_remove(pick.index(live.len()));
                prop_assert_eq!(schedule.ended(job), Some(job.0 as usize));
                left -= 1;
                prop_assert_eq!(schedule.left().count(), left);
            }
            prop_assert_eq!(left, 0);
        }
    }
}
