//! Which cpus each job is pinned to: whole ones, for no other job at the same time.
//!
//! ```text
//! Pins::new([0, 4, 1, 5])      core 0 = {0, 4}, core 1 = {1, 5}
//! take(job 7, 2 cpus)          [0, 4]: one core
//! take(job 8, 0.5 cpus)        []: runs wherever there is room
//! take(job 9, 3 cpus)          []: only two are free
//! give_back(job 7)             [0, 4] are free again
//! ```
//!
//! Pinning is a courtesy to the caches and no accounting: the dispatcher decides what may run,
//! and a job that gets no cpus of its own runs unpinned.

use std::collections::HashMap;

use crate::model::{Amount, JobId};

/// The cpus of a node, and who is pinned to them.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// Neighbours in the computer are neighbours here.
    cpus: Vec<Cpu>,
    taken: HashMap<JobId, Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Cpu {
    id: u32,
    free: bool,
}

impl Pins {
    /// All of `cpu_ids` free. Those of one core and one package stand beside each other, as
    /// [`super::Facts::cpu_ids`] has them.
    pub fn new(cpu_ids: Vec<u32>) -> Self {
        let mut cpus: Vec<Cpu> = Vec::with_capacity(cpu_ids.len());
        for id in cpu_ids {
            if cpus.iter().all(|cpu| cpu.id != id) {
                cpus.push(Cpu { id, free: true });
            }
        }
        Self { cpus, taken: HashMap::new() }
    }

    /// The cpus for a job that was granted `amount`; none if that is not a whole number, or
    /// more than are free. What it had before is given back.
    pub fn take(&mut self, job: JobId, amount: Amount) -> Vec<u32> {
        self.give_back(job);
        let count = usize::try_from(amount.0 / Amount::ONE.0).unwrap_or(usize::MAX);
        let free = self.cpus.iter().filter(|cpu| cpu.free).count();
        if count == 0 || count > free || !amount.0.is_multiple_of(Amount::ONE.0) {
            return Vec::new();
        }
        let start = self.smallest_gap(count).unwrap_or(0);
        let chosen = self.cpus.iter_mut().skip(start).filter(|cpu| cpu.free).take(count);
        let ids: Vec<u32> = chosen
            .map(|cpu| {
                cpu.free = false;
                cpu.id
            })
            .collect();
        self.taken.insert(job, ids.clone());
        ids
    }

    /// These are the node's cpus from now on; who is pinned to some of them stays there.
    pub fn keep_to(&mut self, cpu_ids: Vec<u32>) {
        let taken = std::mem::take(&mut self.taken);
        *self = Self::new(cpu_ids);
        for (job, cpus) in taken {
            self.adopt(job, &cpus);
        }
    }

    /// Frees what `job` was pinned to.
    pub fn give_back(&mut self, job: JobId) {
        let ids = self.taken.remove(&job).unwrap_or_default();
        for cpu in self.cpus.iter_mut().filter(|cpu| ids.contains(&cpu.id)) {
            cpu.free = true;
        }
    }

    /// Notes that `job` is pinned to `cpus` already, since before the gateway was started.
    /// Those that are another job's, or not this node's any more, are not counted.
    pub fn adopt(&mut self, job: JobId, cpus: &[u32]) {
        self.give_back(job);
        let mut ids = Vec::new();
        for cpu in self.cpus.iter_mut().filter(|cpu| cpu.free && cpus.contains(&cpu.id)) {
            cpu.free = false;
            ids.push(cpu.id);
        }
        if !ids.is_empty() {
            self.taken.insert(job, ids);
        }
    }

    /// One job's cpus are another's from now on, which gives back what it had.
    pub fn pass(&mut self, from: JobId, to: JobId) {
        self.give_back(to);
        if let Some(ids) = self.taken.remove(&from) {
            self.taken.insert(to, ids);
        }
    }

    /// What `job` is pinned to.
    pub fn of(&self, job: JobId) -> &[u32] {
        self.taken.get(&job).map_or(&[], Vec::as_slice)
    }

    /// Where the smallest row of free neighbours starts that has room for `count`: larger
    /// ones are kept for larger jobs.
    fn smallest_gap(&self, count: usize) -> Option<usize> {
        let mut start = 0;
        let mut gaps = Vec::new();
        for row in self.cpus.chunk_by(|left, right| left.free == right.free) {
            if row[0].free && row.len() >= count {
                gaps.push((row.len(), start));
            }
            start += row.len();
        }
        gaps.into_iter().min().map(|(_, start)| start)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_go_together_and_large_gaps_are_kept() {
        let mut pins = Pins::new(vec![0, 4, 1, 5, 2, 6]);
        assert_eq!(pins.take(JobId(1), Amount::whole(1)), [0]);
        assert_eq!(pins.take(JobId(2), Amount::whole(2)), [4, 1]);
        pins.give_back(JobId(1));
        assert_eq!(pins.take(JobId(3), Amount::whole(1)), [0], "the smallest gap that is enough");
        pins.give_back(JobId(2));
        assert_eq!(pins.take(JobId(4), Amount::whole(5)), [4, 1, 5, 2, 6]);
        assert!(pins.take(JobId(5), Amount::whole(1)).is_empty());
    }

    #[test]
    fn parts_of_a_cpu_and_more_than_are_free_are_not_pinned() {
        let mut pins = Pins::new(vec![0, 1, 2, 3]);
        for amount in [Amount(0), Amount(5_000), Amount(15_000), Amount::whole(5)] {
            assert!(pins.take(JobId(1), amount).is_empty(), "{amount}");
        }
        assert_eq!(pins.take(JobId(1), Amount::whole(2)), [0, 1]);
        assert_eq!(pins.take(JobId(2), Amount::whole(1)), [2]);
        pins.give_back(JobId(1));
        let scattered = pins.take(JobId(3), Amount::whole(3));
        assert_eq!(scattered, [0, 1, 3], "where there is no gap, those that are free");
        assert!(Pins::new(Vec::new()).take(JobId(1), Amount::ONE).is_empty());
    }

    #[test]
    fn a_job_of_an_earlier_gateway_keeps_its_cpus() {
        let mut pins = Pins::new(vec![0, 1, 2, 3]);
        pins.adopt(JobId(1), &[1, 2, 77]);
        assert_eq!(pins.of(JobId(1)), [1, 2]);
        pins.adopt(JobId(2), &[2, 3]);
        assert_eq!(pins.of(JobId(2)), [3]);
        assert_eq!(pins.take(JobId(3), Amount::ONE), [0]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take(u64, u64),
        GiveBack(u64),
        Adopt(u64, Vec<u32>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let job = 1..12_u64;
        prop_oneof![
            (job.clone(), 0..60_000_u64).prop_map(|(job, amount)| Step::Take(job, amount)),
            (job.clone(), 0..6_u64).prop_map(|(job, cpus)| Step::Take(job, cpus * 10_000)),
            job.clone().prop_map(Step::GiveBack),
            (job, prop::collection::vec(0..20_u32, 0..6))
                .prop_map(|(job, cpus)| Step::Adopt(job, cpus)),
        ]
    }

    proptest! {
        #[test]
        fn no_cpu_has_two_jobs(
            ids in prop::collection::btree_set(0..16_u32, 0..16),
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let ids: Vec<u32> = ids.into_iter().collect();
            let mut pins = Pins::new(ids.clone());
            for step in steps {
                match step {
                    Step::Take(job, amount) => {
                        let taken = pins.take(JobId(job), Amount(amount));
                        prop_assert_eq!(pins.of(JobId(job)), &taken[..]);
                        let wanted = amount / 10_000;
                        prop_assert!(taken.is_empty() || taken.len() as u64 == wanted);
                        if taken.is_empty() && amount > 0 && amount.is_multiple_of(10_000) {
                            let held: usize = (1..12).map(|job| pins.of(JobId(job)).len()).sum();
                            prop_assert!(held as u64 + wanted > ids.len() as u64, "some were free");
                        }
                    }
                    Step::GiveBack(job) => {
                        pins.give_back(JobId(job));
                        prop_assert!(pins.of(JobId(job)).is_empty());
                    }
                    Step::Adopt(job, cpus) => pins.adopt(JobId(job), &cpus),
                }
                let held: Vec<u32> =
                    (1..12).flat_map(|job| pins.of(JobId(job)).to_vec()).collect();
                let distinct: BTreeSet<u32> = held.iter().copied().collect();
                prop_assert_eq!(held.len(), distinct.len(), "twice: {:?}", &held);
                prop_assert!(held.iter().all(|cpu| ids.contains(cpu)));
            }
        }
    }
}
