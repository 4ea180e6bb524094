//! Has a gateway run the jobs of a [`Schedule`], and hears how each ends.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
};

use tokio::{sync::watch, task::JoinSet};

use super::{MaxPerNode, Schedule, Verdict};
use crate::{
    client::{
        api::{Action, Client, Error},
        spans::spans,
    },
    model::{Job, JobId, NodeName, Outcome},
    protocol::{DetachedSubmission, Submitted},
};

/// What is to be done if something goes wrong, and how much at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ways {
    /// At most so many jobs of each host at a time.
    pub max_per_node: Option<MaxPerNode>,
    /// The first failure is the end of all.
    pub fail_fast: bool,
}

/// Who wants to know what happens.
pub trait Listener {
    /// The jobs have their numbers.
    fn submitted(&self, jobs: &[Submitted]);
    /// One of them has ended.
    fn ended(&self, verdict: &Verdict);
}

/// Jobs on hosts, from their submission to the last one's end.
pub struct Scatter<'work> {
    submissions: &'work [(DetachedSubmission, Vec<NodeName>)],
    ways: Ways,
    submitted: RefCell<Vec<Submitted>>,
    schedule: RefCell<Schedule>,
    verdicts: RefCell<Vec<Verdict>>,
    /// Why everything is being cancelled, if it is.
    ending: RefCell<Option<String>>,
    /// How many of the jobs were cancelled already for that reason.
    cancelled: RefCell<HashSet<JobId>>,
    listener: &'work dyn Listener,
    has_told: Cell<bool>,
}

/// More jobs than these that are not watched are taken from listings.
const FEW: usize = 16;

/// A listing tells of many jobs, and costs as much as asking for a few: it is made when so many of
/// those that are watched have ended.
const PER_LISTING: usize = 64;

/// More than one signal: whoever sent them does not want to wait for the jobs' ends.
const IMPATIENT: usize = 2;

impl<'work> Scatter<'work> {
    /// Submissions, each with the host of each of its jobs; with `max_per_node` they are held.
    pub fn new(
        submissions: &'work [(DetachedSubmission, Vec<NodeName>)],
        ways: Ways,
        listener: &'work dyn Listener,
    ) -> Self {
        Self {
            submissions,
            ways,
            submitted: RefCell::default(),
            schedule: RefCell::new(Schedule::new(ways.max_per_node)),
            verdicts: RefCell::default(),
            ending: RefCell::default(),
            cancelled: RefCell::default(),
            listener,
            has_told: Cell::new(false),
        }
    }

    /// How the jobs ended that have, in the order of submission.
    pub fn verdicts(self) -> Vec<Verdict> {
        let mut verdicts = self.verdicts.into_inner();
        verdicts.sort_by_key(|verdict| verdict.index);
        verdicts
    }

    async fn submit(&self, client: &Client) -> Result<(), Error> {
        loop {
            let done = self.submitted.borrow().len();
            let Some((submission, hosts)) = self.submissions.get(done) else { return Ok(()) };
            let submitted = client.submit(submission).await?;
            self.submitted.borrow_mut().push(submitted);
            let mut schedule = self.schedule.borrow_mut();
            for (job, host) in (submitted.first.0..=submitted.last.0).map(JobId).zip(hosts) {
                schedule.add(job, host);
            }
        }
    }

    async fn release(&self, client: &Client, jobs: Vec<JobId>) -> Result<(), Error> {
        for job in jobs {
            if_there(client.act(job, Action::Release).await)?;
        }
        Ok(())
    }

    fn end(&self, End { job, name, outcome }: End) {
        let Some(index) = self.schedule.borrow_mut().ended(job) else { return };
        let verdict = Verdict { index, job, name, outcome };
        self.listener.ended(&verdict);
        if self.ways.fail_fast && !verdict.is_success() && self.ending.borrow().is_none() {
            let reason = format!("job {} has failed before, and '--fail-fast' is set", verdict.job);
            *self.ending.borrow_mut() = Some(reason);
        }
        self.verdicts.borrow_mut().push(verdict);
    }

    /// Cancels the jobs that are left, as far as `signals` leave time for it.
    async fn cancel(&self, client: &Client, signals: &Signals) -> Result<(), Error> {
        let Some(reason) = self.ending.borrow().clone() else { return Ok(()) };
        let is_new = |job: &JobId| !self.cancelled.borrow().contains(job);
        // The last first, so that none of them starts meanwhile.
        let mut left: Vec<_> = self.schedule.borrow().left().filter(is_new).collect();
        left.reverse();
        for job in left {
            if signals.borrow().len() >= IMPATIENT {
                return Ok(());
            }
            if_there(client.cancel(job, &reason).await)?;
            self.cancelled.borrow_mut().insert(job);
        }
        Ok(())
    }

    /// Takes jobs that are not watched from listings, if they are many.
    async fn skim(&self, client: &Client, watched: &HashSet<JobId>) -> Result<(), Error> {
        let mut unwatched: Vec<_> = match &*self.ending.borrow() {
            // What was held is cancelled as well.
            Some(_) => self.schedule.borrow().left().collect(),
            None => self.schedule.borrow().live(),
        };
        unwatched.retain(|job| !watched.contains(job));
        if unwatched.len() <= FEW {
            return Ok(());
        }
        for (first, last) in spans(&unwatched) {
            for job in client.finished_between(first, last).await? {
                self.end(End::of(job));
            }
        }
        Ok(())
    }
}

/// The signals that this process was sent, in their order.
pub type Signals = watch::Receiver<Vec<i32>>;

/// Runs everything, or what is left of it, with the gateway behind `client`. Returns when all
/// jobs have ended, or at the second of `signals`; the first one cancels all jobs. To be called
/// in a [`tokio::task::LocalSet`], and once more with another gateway if this one leaves.
///
/// # Errors
/// What the gateway refuses, or that it has left.
pub async fn run(client: Client, work: &Scatter<'_>, mut signals: Signals) -> Result<(), Error> {
    let client = Rc::new(client);
    work.submit(&client).await?;
    if !work.has_told.replace(true) {
        work.listener.submitted(&work.submitted.borrow());
    }
    if work.ways.max_per_node.is_some() {
        // A gateway that was killed may not have heard.
        let live = work.schedule.borrow().live();
        work.release(&client, live).await?;
    }
    work.cancelled.borrow_mut().clear();
    let mut watchers = JoinSet::new();
    let mut watched = HashSet::new();
    let mut since_listing = 0;
    loop {
        let received = signals.borrow_and_update().clone();
        if let Some(signal) = received.first() {
            let reason = format!("'redirector scatter' got {}", signal_name(*signal));
            work.ending.borrow_mut().get_or_insert(reason);
        }
        if received.len() >= IMPATIENT {
            return Ok(());
        }
        if work.ending.borrow().is_some() {
            work.cancel(&client, &signals).await?;
        } else {
            let next = work.schedule.borrow_mut().release();
            work.release(&client, next).await?;
        }
        let mut to_watch = work.schedule.borrow().to_watch();
        if to_watch.is_empty() {
            // What was held and is cancelled is watched as well.
            to_watch = work.schedule.borrow().left().take(PER_LISTING).collect();
        }
        for job in to_watch {
            if watched.insert(job) {
                watchers.spawn_local(ended(Rc::clone(&client), job));
            }
        }
        tokio::select! {
            // Fails when nobody listens for signals any more, which is then over.
            Ok(()) = signals.changed() => {}
            ended = watchers.join_next() => {
                let Some(ended) = ended else { return Ok(()) };
                // A watcher that has panicked has ended this process; none is aborted before all are.
                let Ok(ended) = ended else { return Ok(()) };
                let end = ended?;
                watched.remove(&end.job);
                work.end(end);
                since_listing += 1;
                if since_listing >= PER_LISTING {
                    since_listing = 0;
                    work.skim(&client, &watched).await?;
                }
            }
        }
    }
}

/// How a job ended.
struct End {
    job: JobId,
    name: String,
    outcome: Outcome,
}

impl End {
    fn of(job: Job) -> Self {
        let lost = || Outcome::Lost { reason: "its record has no outcome".to_owned() };
        Self { job: job.id, name: job.spec.name, outcome: job.outcome.unwrap_or_else(lost) }
    }
}

/// How `job` ends, once it has.
async fn ended(client: Rc<Client>, job: JobId) -> Result<End, Error> {
    match client.job(job, true).await {
        Ok(record) => Ok(End::of(record)),
        Err(Error::Refused { status: 404, problem }) => {
            let outcome = Outcome::Lost { reason: problem.error };
            Ok(End { job, name: String::new(), outcome })
        }
        Err(error) => Err(error),
    }
}

/// What people call a signal.
pub fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.to_string())
}

/// What is done to a job makes no difference if it has ended, or is forgotten.
fn if_there(answer: Result<Vec<JobId>, Error>) -> Result<(), Error> {
    match answer {
        Ok(_) | Err(Error::Refused { status: 404 | 409, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
