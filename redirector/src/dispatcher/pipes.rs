//! Which jobs are joined by pipes.
//!
//! A pipe joins its jobs once it has a reader and a writer among them; jobs are one gang if a
//! chain of such pipes leads from one to the other. A writer blocks when nobody empties the pipe,
//! so neither side can be made to wait for the other to end.

use super::{End, PipeId, hasher::FastMap};
use crate::model::JobId;

/// Something that joins jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Joint {
    /// A pipe that both have open.
    Pipe(PipeId),
    /// Pipes through processes that are no jobs; found between these two.
    Link(JobId, JobId),
}

/// The open ends a job has. Nearly all jobs have none: so it is a pointer.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "one word in the record of each job")]
pub(super) struct Ends(Option<Box<Vec<(Joint, End)>>>);

impl Ends {
    pub(super) fn push(&mut self, joint: Joint, end: End) {
        self.0.get_or_insert_default().push((joint, end));
    }
}

impl From<Vec<(Joint, End)>> for Ends {
    fn from(ends: Vec<(Joint, End)>) -> Self {
        Self((!ends.is_empty()).then(|| Box::new(ends)))
    }
}

impl std::ops::Deref for Ends {
    type Target = [(Joint, End)];

    fn deref(&self) -> &[(Joint, End)] {
        self.0.as_ref().map_or(&[], |ends| ends.as_slice())
    }
}

/// The ends of the pipes that can make a job wait for another. A job that has both ends of one
/// pipe open uses it as a store (the jobserver of make), not as a stream.
pub(super) fn stream_ends(mut pipes: Vec<(PipeId, End)>) -> Ends {
    if pipes.is_empty() {
        return Ends::default();
    }
    pipes.sort_unstable();
    pipes.dedup();
    let streams = pipes.chunk_by(|(a, _), (b, _)| a == b).filter(|ends| ends.len() == 1);
    streams.map(|ends| (Joint::Pipe(ends[0].0), ends[0].1)).collect::<Vec<_>>().into()
}

/// Who has which end of what open.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    joints: FastMap<Joint, Members>,
}

/// The jobs at the two ends of one pipe.
#[derive(Debug, Default)]
pub(super) struct Members {
    readers: Vec<JobId>,
    writers: Vec<JobId>,
}

impl Members {
    fn at_mut(&mut self, end: End) -> &mut Vec<JobId> {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }

    /// The jobs at this end.
    pub(super) fn at(&self, end: End) -> &[JobId] {
        match end {
            End::Read => &self.readers,
            End::Write => &self.writers,
        }
    }

    /// The jobs at both ends.
    pub(super) fn all(&self) -> impl Iterator<Item = JobId> {
        self.readers.iter().chain(&self.writers).copied()
    }

    fn are_joined(&self) -> bool {
        !self.readers.is_empty() && !self.writers.is_empty()
    }
}

impl Pipes {
    pub(super) fn attach(&mut self, job: JobId, ends: &[(Joint, End)]) {
        for &(joint, end) in ends {
            let jobs = self.joints.entry(joint).or_default().at_mut(end);
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
    }

    pub(super) fn detach(&mut self, job: JobId, ends: &[(Joint, End)]) {
        for &(joint, end) in ends {
            let Some(members) = self.joints.get_mut(&joint) else { continue };
            members.at_mut(end).retain(|&other| other != job);
            if members.readers.is_empty() && members.writers.is_empty() {
                self.joints.remove(&joint);
            }
        }
    }

    /// Who has this open.
    pub(super) fn members(&self, joint: Joint) -> Option<&Members> {
        self.joints.get(&joint)
    }

    /// Who has this open, if it joins anybody.
    pub(super) fn joined(&self, joint: Joint) -> Option<&Members> {
        self.joints.get(&joint).filter(|members| members.are_joined())
    }

    /// `job` and all that a chain of pipes leads to, of those pipes that `follow` agrees to, in
    /// order of submission.
    pub(super) fn gang<'a>(
        &self,
        job: JobId,
        ends_of: impl Fn(JobId) -> Option<&'a [(Joint, End)]>,
        follow: impl Fn(Joint) -> bool,
    ) -> Vec<JobId> {
        let mut gang = vec![job];
        let mut followed = Vec::<Joint>::new();
        let mut visited = 0;
        while visited < gang.len() {
            for &(joint, _) in ends_of(gang[visited]).unwrap_or_default() {
                if followed.contains(&joint) {
                    continue;
                }
                followed.push(joint);
                if let Some(members) = self.joined(joint).filter(|_| follow(joint)) {
                    gang.extend(members.all());
                }
            }
            visited += 1;
        }
        gang.sort_unstable();
        gang.dedup();
        gang
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.joints.is_empty()
    }
}
