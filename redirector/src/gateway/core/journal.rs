//! Collects what a batch writes and answers, and commits the one before the other.

use std::collections::{HashMap, HashSet};

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    gateway::message::{Failure, LeaseId, Reply},
    model::JobId,
    protocol::{GatewayMessage, Submitted},
    store::{self, Store, Write},
};

/// Something to do after a commit.
type Answer = Box<dyn FnOnce() + Send>;
type Question = Box<dyn FnOnce(&Store) + Send>;

/// The store, with what is about to be written to it.
pub(super) struct Journal {
    store: Store,
    writes: Vec<Write>,
    answers: Vec<Answer>,
    questions: Vec<Question>,
    /// Answers that only go out if the new job beside them was journalled.
    acceptances: Vec<Acceptance>,
    submissions: Vec<(Submitted, Reply<Result<Submitted, Failure>>)>,
    waiting: Vec<LeaseId>,
    /// Where in `writes` it says that a job has started.
    starts: HashMap<JobId, usize>,
    /// Somebody waits for an answer.
    is_urgent: bool,
    problem: Option<String>,
}

/// What a client hears whose job is journalled.
pub(super) struct Acceptance {
    pub job: JobId,
    pub messages: UnboundedSender<GatewayMessage>,
    pub message: GatewayMessage,
    pub reply: Reply<Result<JobId, Failure>>,
}

impl Acceptance {
    // Both ends of both channels are in the connection's task; if that is gone, so is the client.

    pub(super) fn accept(self) {
        drop(self.messages.send(self.message));
        drop(self.reply.send(Ok(self.job)));
    }

    fn refuse(self, error: &store::Error) {
        drop(self.reply.send(Err(Failure::new(503, error.to_string()))));
    }
}

/// A commit that failed.
pub(super) struct CommitFailure {
    pub error: String,
    /// Jobs that were to be inserted; they are not, and their clients know.
    pub new_jobs: HashSet<JobId>,
    /// Clients that wait for an outcome to be recorded.
    pub waiting: Vec<LeaseId>,
}

impl Journal {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            writes: Vec::new(),
            answers: Vec::new(),
            questions: Vec::new(),
            acceptances: Vec::new(),
            submissions: Vec::new(),
            waiting: Vec::new(),
            starts: HashMap::new(),
            is_urgent: false,
            problem: None,
        }
    }

    /// For what was committed before this batch.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// For changes that are no part of a batch.
    pub(super) fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) fn write(&mut self, write: Write) {
        // A job that starts at once is written once.
        if let Write::Start { job, node, agent: None, given, at } = &write
            && let Some(Write::Insert(new)) = self.writes.last_mut()
            && new.id == *job
        {
            new.started = Some((node.clone(), *at, given.clone()));
            return;
        }
        // So is one that has started since the last commit.
        let write = match write {
            Write::Start { job, .. } => {
                self.starts.insert(job, self.writes.len());
                write
            }
            Write::Finish { job, outcome, usage, at } => {
                let start = self.starts.remove(&job).and_then(|index| self.writes.get_mut(index));
                if let Some(write @ Write::Start { .. }) = start {
                    write.finish(outcome, usage, at);
                    return;
                }
                Write::Finish { job, outcome, usage, at }
            }
            other => {
                self.starts.remove(&other.job());
                other
            }
        };
        self.writes.push(write);
    }

    /// Answers only once everything written so far is safe.
    pub(super) fn after_commit(&mut self, answer: impl FnOnce() + Send + 'static) {
        self.is_urgent = true;
        self.answers.push(Box::new(answer));
    }

    /// As [`Self::after_commit`], but nobody waits for it.
    pub(super) fn after_next_commit(&mut self, answer: impl FnOnce() + Send + 'static) {
        self.answers.push(Box::new(answer));
    }

    /// Whether nobody waits for a commit.
    pub(super) fn can_wait(&self) -> bool {
        !self.is_urgent
            && self.problem.is_none()
            && self.acceptances.is_empty()
            && self.submissions.is_empty()
            && self.questions.is_empty()
    }

    /// Answers a new job's client.
    pub(super) fn after_insertion(&mut self, acceptance: Acceptance) {
        self.acceptances.push(acceptance);
    }

    /// Answers who submitted detached jobs.
    pub(super) fn after_submission(
        &mut self,
        submitted: Submitted,
        reply: Reply<Result<Submitted, Failure>>,
    ) {
        self.submissions.push((submitted, reply));
    }

    /// Reads the journal once this batch is in it.
    pub(super) fn ask(&mut self, question: impl FnOnce(&Store) + Send + 'static) {
        self.questions.push(Box::new(question));
    }

    /// Has `lease` warned if the next commit fails.
    pub(super) fn is_awaited_by(&mut self, lease: LeaseId) {
        self.waiting.push(lease);
    }

    /// Whether something could not be written yet.
    pub(super) fn is_behind(&self) -> bool {
        self.problem.is_some()
    }

    /// Why, if so.
    pub(super) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    pub(super) fn commit(&mut self) -> Result<(), CommitFailure> {
        let result = if self.writes.is_empty() { Ok(()) } else { self.store.commit(&self.writes) };
        match result {
            Ok(()) => {
                self.writes.clear();
                self.starts.clear();
                self.is_urgent = false;
                self.waiting.clear();
                if self.problem.take().is_some() {
                    tracing::info!("the journal can be written again");
                }
                self.acceptances.drain(..).for_each(Acceptance::accept);
                for (submitted, reply) in self.submissions.drain(..) {
                    drop(reply.send(Ok(submitted)));
                }
                self.answers.drain(..).for_each(|answer| answer());
                self.answer_questions();
                Ok(())
            }
            Err(error) => {
                let mut new_jobs: HashSet<_> = self.acceptances.iter().map(|new| new.job).collect();
                for (submitted, _) in &self.submissions {
                    new_jobs.extend((submitted.first.0..=submitted.last.0).map(JobId));
                }
                self.writes.retain(|write| !new_jobs.contains(&write.job()));
                // They are elsewhere now.
                self.starts.clear();
                for (_, reply) in self.submissions.drain(..) {
                    drop(reply.send(Err(Failure::new(503, error.to_string()))));
                }
                for acceptance in self.acceptances.drain(..) {
                    acceptance.refuse(&error);
                }
                self.answer_questions();
                self.problem = Some(error.to_string());
                Err(CommitFailure {
                    error: error.to_string(),
                    new_jobs,
                    waiting: self.waiting.clone(),
                })
            }
        }
    }

    fn answer_questions(&mut self) {
        for question in self.questions.drain(..) {
            question(&self.store);
        }
    }
}
