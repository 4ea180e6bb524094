//! New jobs, and clients that come back.

use super::{Core, journal::Acceptance, live::Live};
use crate::{
    dispatcher::{End, Event, Holds, PipeId, Request},
    gateway::{
        message::{Failure, Lease, Reply},
        whitelists,
    },
    model::{Given, JobId, Kind, Resources, State, Text, Timestamp},
    protocol::{GatewayMessage, Grant, PipeEnd, Resumption, Stage, Submission},
    store::{NewJob, Write},
};

/// Where a new job stands in the tree of jobs.
struct Place {
    spawned_by: Option<JobId>,
    /// `None`: it is a run itself.
    run: Option<JobId>,
    priority: i32,
}

impl Core {
    pub(super) fn submit(
        &mut self,
        submission: Submission,
        lease: &Lease,
        reply: Reply<Result<JobId, Failure>>,
    ) {
        if let Some(&job) = self.keys.get(&submission.key) {
            // The client did not hear that its job was accepted, and asks again.
            return self.attach(job, lease, reply);
        }
        let Submission { key, mut spec, environment, run, token, pipes, whitelists, .. } =
            submission;
        let (place, mut warnings) =
            match self.place(run.as_deref(), token.as_deref(), lease.client_pid, &whitelists) {
                Ok(placed) => placed,
                Err(failure) => return drop(reply.send(Err(failure))),
            };
        if spec.kind == Kind::Run {
            warnings = whitelists::warnings(&whitelists);
        }
        let job = self.next_id;
        self.next_id = JobId(job.0 + 1);
        if spec.priority == 0 {
            spec.priority = place.priority;
        }
        let run = place.run.unwrap_or(job);
        let request = self.request(
            spec.kind,
            spec.resources.clone(),
            place.spawned_by,
            spec.priority,
            &pipes,
        );
        self.live.insert(
            job,
            Live {
                key: key.clone(),
                kind: spec.kind,
                spawned_by: place.spawned_by,
                run,
                state: State::Queued,
                request: request.clone(),
                process: lease.client_pid,
                lease: Some(lease.clone()),
                cancelled: None,
                finished: None,
                waiters: Vec::new(),
            },
        );
        self.keys.insert(key.clone(), job);
        self.progress.submitted(run, job, &spec.name);
        let client_pid = lease.client_pid;
        let submitted = Timestamp::now();
        let new = NewJob {
            id: job,
            key,
            spawned_by: place.spawned_by,
            run,
            spec,
            environment: environment.into(),
            state: State::Queued,
            submitted,
            client_pid,
            started: None,
        };
        self.journal.write(Write::Insert(Box::new(new)));
        self.accept(job, lease, warnings, reply, true);
        self.dispatch(Event::Submitted { job, request });
        self.watch_for_stall(job);
    }

    /// A job that waits although it holds a pipe may keep one waiting that runs.
    fn watch_for_stall(&mut self, job: JobId) {
        let waits = |live: &&Live| live.state == State::Queued && !live.request.pipes.is_empty();
        if self.live.get(&job).as_ref().is_some_and(waits) {
            self.stall.queued.insert(job);
        }
    }

    pub(super) fn resume(
        &mut self,
        resumption: Resumption,
        lease: &Lease,
        reply: Reply<Result<JobId, Failure>>,
    ) {
        let Resumption { job, token, stage, pipes, .. } = resumption;
        if self.tokens.job(&token) != Some(job) {
            let reason = format!(
                "the token for job {job} is not this gateway's: its journal was replaced meanwhile"
            );
            return drop(reply.send(Err(Failure::new(403, reason))));
        }
        let Some(live) = self.live.get_mut(&job) else {
            return self.resume_finished(job, stage, lease, reply);
        };
        live.request.pipes = pipes.iter().map(pipe).collect();
        let request = live.request.clone();
        let known = live.state;
        live.lease = Some(lease.clone());
        live.process = lease.client_pid;
        self.accept(job, lease, Vec::new(), reply, false);
        match (known, stage) {
            (State::Queued, Stage::Waiting) => self.watch_for_stall(job),
            // Granted, but the client did not hear it.
            (_, Stage::Waiting) => {
                let resources = request.resources;
                self.say(job, GatewayMessage::Granted(Grant { resources, ..Grant::default() }));
            }
            (State::Queued, Stage::Running) => {
                let node = self.setup.node.clone();
                if let Some(live) = self.live.get_mut(&job) {
                    live.state = State::Running;
                    self.progress.started(live.run, job);
                }
                let start = Write::Start {
                    job,
                    node: node.clone(),
                    agent: None,
                    given: Given::default(),
                    at: Timestamp::now(),
                };
                self.journal.write(start);
                self.dispatch(Event::Recovered { job, request, node, indices: Vec::new() });
            }
            (_, Stage::Running) => {}
        }
        if let Some(reason) = self.live.get(&job).and_then(|live| live.cancelled.clone()) {
            self.say(job, GatewayMessage::Signal { signal: libc::SIGTERM, reason });
        }
    }

    /// The client of a finished job came back: it has yet to hear that its outcome is
    /// recorded, or that the job will never start.
    fn resume_finished(
        &mut self,
        job: JobId,
        stage: Stage,
        lease: &Lease,
        reply: Reply<Result<JobId, Failure>>,
    ) {
        self.after_end.insert(lease.id, lease.messages.clone());
        self.accept(job, lease, Vec::new(), reply, false);
        if stage == Stage::Waiting {
            let messages = lease.messages.clone();
            let reason = "it was ended while its gateway was away".to_owned();
            let signal = GatewayMessage::Signal { signal: libc::SIGTERM, reason };
            self.journal.after_commit(move || drop(messages.send(signal)));
        }
    }

    /// A repeated submission: the same job, on a new connection.
    fn attach(&mut self, job: JobId, lease: &Lease, reply: Reply<Result<JobId, Failure>>) {
        let Some(live) = self.live.get_mut(&job) else { return };
        live.lease = Some(lease.clone());
        live.process = lease.client_pid;
        let (state, resources) = (live.state, live.request.resources.clone());
        self.accept(job, lease, Vec::new(), reply, false);
        if state == State::Running {
            self.say(job, GatewayMessage::Granted(Grant { resources, ..Grant::default() }));
        } else {
            self.watch_for_stall(job);
        }
    }

    fn accept(
        &mut self,
        job: JobId,
        lease: &Lease,
        warnings: Vec<String>,
        reply: Reply<Result<JobId, Failure>>,
        is_new: bool,
    ) {
        let message = GatewayMessage::Accepted { job, token: self.tokens.of(job), warnings };
        let acceptance = Acceptance { job, messages: lease.messages.clone(), message, reply };
        if is_new {
            self.journal.after_insertion(acceptance);
        } else {
            self.journal.after_commit(move || acceptance.accept());
        }
    }

    /// Where a submission stands: below the job whose token it shows, else below the
    /// session of its run, else on its own. With what is wrong with the whitelists, if it opens a session.
    fn place(
        &mut self,
        run: Option<&str>,
        token: Option<&str>,
        client_pid: i32,
        files: &[Text],
    ) -> Result<(Place, Vec<String>), Failure> {
        if let Some(token) = token {
            let parent = self.tokens.job(token).ok_or_else(|| {
                Failure::new(
                    403,
                    "REDIRECTOR_TOKEN is not a token of this gateway's: unset it, or set REDIRECTOR_STATE_DIR to the \
                     directory of the gateway that gave it",
                )
            })?;
            if let Some(live) = self.live.get(&parent) {
                let place = Place {
                    spawned_by: Some(parent),
                    run: Some(live.run),
                    priority: live.request.priority,
                };
                return Ok((place, Vec::new()));
            }
            let job =
                self.journal.store().job(parent)?.ok_or_else(|| Failure::no_such_job(parent))?;
            let place =
                Place { spawned_by: Some(parent), run: Some(job.run), priority: job.spec.priority };
            return Ok((place, Vec::new()));
        }
        let Some(run) = run else {
            return Ok((Place { spawned_by: None, run: None, priority: 0 }, Vec::new()));
        };
        let (session, is_new) = self.session(run, client_pid)?;
        let place = Place { spawned_by: Some(session), run: Some(session), priority: 0 };
        Ok((place, if is_new { whitelists::warnings(files) } else { Vec::new() }))
    }

    pub(super) fn request(
        &self,
        kind: Kind,
        resources: Resources,
        parent: Option<JobId>,
        priority: i32,
        pipes: &[PipeEnd],
    ) -> Request {
        Request {
            resources,
            // A lease is for the computer on which its client stands.
            node: Some(self.setup.node.clone()),
            parent,
            holds: match kind {
                Kind::Command => Holds::Worker,
                Kind::Nested => Holds::Lends,
                Kind::Run | Kind::Session => Holds::Supervisor,
            },
            priority,
            pipes: pipes.iter().map(pipe).collect(),
            ..Request::default()
        }
    }
}

fn pipe(end: &PipeEnd) -> (PipeId, End) {
    let id = PipeId { device: end.device, inode: end.inode };
    (id, if end.writes { End::Write } else { End::Read })
}
