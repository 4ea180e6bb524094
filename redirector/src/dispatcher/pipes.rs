//! Which jobs are joined by pipes.
//!
//! A pipe joins its jobs once it has a reader and a writer among them; jobs are one gang if a
//! chain of such pipes leads from one to the other. A writer blocks when nobody empties the pipe,
//! so neither side can be made to wait for the other to end.

use std::collections::{BTreeSet, HashMap};

use super::{End, PipeId};
use crate::model::JobId;

/// Something that joins jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Joint {
    /// A pipe that both have open.
    Pipe(PipeId),
    /// Pipes through processes that are no jobs; found between these two.
    Link(JobId, JobId),
}

/// The open ends a job has.
pub(super) type Ends = Vec<(Joint, End)>;

/// The ends of the pipes that can make a job wait for another. A job that has both ends of one
/// pipe open uses it as a store (the jobserver of make), not as a stream.
pub(super) fn stream_ends(mut pipes: Vec<(PipeId, End)>) -> Ends {
    pipes.sort_unstable();
    pipes.dedup();
    pipes
        .chunk_by(|(a, _), (b, _)| a == b)
        .filter(|ends| ends.len() == 1)
        .map(|ends| (Joint::Pipe(ends[0].0), ends[0].1))
        .collect()
}

/// Who has which end of what open.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    joints: HashMap<Joint, Members>,
}

#[derive(Debug, Default)]
struct Members {
    readers: BTreeSet<JobId>,
    writers: BTreeSet<JobId>,
}

impl Members {
    fn at(&mut self, end: End) -> &mut BTreeSet<JobId> {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }
}

impl Pipes {
    pub(super) fn attach(&mut self, job: JobId, ends: &Ends) {
        for &(joint, end) in ends {
            self.joints.entry(joint).or_default().at(end).insert(job);
        }
    }

    pub(super) fn detach(&mut self, job: JobId, ends: &Ends) {
        for &(joint, end) in ends {
            let Some(members) = self.joints.get_mut(&joint) else { continue };
            members.at(end).remove(&job);
            if members.readers.is_empty() && members.writers.is_empty() {
                self.joints.remove(&joint);
            }
        }
    }

    /// The jobs joined to a job with these ends, itself included where it has one of them.
    fn partners<'a>(&'a self, ends: &'a Ends) -> impl Iterator<Item = JobId> + 'a {
        ends.iter()
            .filter_map(|(joint, _)| self.joints.get(joint))
            .filter(|members| !members.readers.is_empty() && !members.writers.is_empty())
            .flat_map(|members| members.readers.iter().chain(&members.writers).copied())
    }

    /// The gang of `job`, at least itself, in order of submission.
    pub(super) fn gang<'a>(
        &'a self,
        job: JobId,
        ends_of: impl Fn(JobId) -> Option<&'a Ends>,
    ) -> BTreeSet<JobId> {
        let mut gang = BTreeSet::from([job]);
        let mut to_visit = vec![job];
        while let Some(next) = to_visit.pop() {
            let Some(ends) = ends_of(next) else { continue };
            to_visit.extend(self.partners(ends).filter(|&partner| gang.insert(partner)));
        }
        gang
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.joints.is_empty()
    }
}
