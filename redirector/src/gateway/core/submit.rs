//! New jobs, and clients that come back.

use std::{sync::Arc, time::Duration};

use super::{
    Core,
    journal::Acceptance,
    live::{Live, Runner},
    sites::Need,
};
use crate::{
    dispatcher::{Candidates, End, Event, Holds, PipeId, Request},
    gateway::{
        message::{Failure, Lease, Reply},
        whitelists,
    },
    model::{Given, JobId, Kind, Resources, Spec, State, Text, Timestamp},
    protocol::{Beginning, GatewayMessage, PipeEnd, Resumption, Stage, Submission},
    store::{NewJob, Write},
};

/// Where a new job stands in the tree of jobs.
pub(super) struct Place {
    pub spawned_by: Option<JobId>,
    /// `None`: it is a run itself.
    pub run: Option<JobId>,
    pub priority: i32,
}

impl Core {
    pub(super) fn submit(
        &mut self,
        submission: Submission,
        beginning: Option<Box<Beginning>>,
        lease: &Lease,
        reply: Reply<Result<JobId, Failure>>,
    ) {
        if let Some(&job) = self.keys.get(&submission.key) {
            // The client did not hear that its job was accepted, and asks again.
            self.accept_again(job, lease, reply);
            if let Some(beginning) = beginning {
                self.begin(job, lease.id, beginning);
            }
            return;
        }
        let Submission { key, mut spec, environment, run, token, pipes, whitelists, sequential } =
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
        spec.sequential |= sequential;
        let run = place.run.unwrap_or(job);
        let request = self.request(&spec, place.spawned_by, &pipes, run);
        let (process, own_lease) = (lease.client_pid, Some(lease.clone()));
        let runner = Runner::Client { process, lease: own_lease, placed: None, beginning };
        let need = self.need_of(&spec);
        self.live.insert(
            job,
            Live {
                key: key.clone(),
                kind: spec.kind,
                spawned_by: place.spawned_by,
                run,
                retries: spec.retries,
                is_sequential: spec.sequential,
                need,
                ..Live::new(request, runner, run)
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
        self.submit_to_dispatcher(job);
        self.watch_for_stall(job);
    }

    /// What a leased job needs of a node, if it may run on others than this.
    pub(super) fn need_of(&self, spec: &Spec) -> Option<Arc<Need>> {
        let has_choice = self.fleet.has_hosts() || spec.placement.host.is_some();
        let need = || Arc::new(Need::of(spec));
        if spec.kind.is_whole_pipeline() {
            return None;
        }
        if has_choice { Some(need()) } else { Some(need()).filter(|need| self.may_need_pool(need)) }
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
        let Resumption { job, token, stage, attempt, pipes } = resumption;
        if self.tokens.job(&token) != Some(job) {
            let reason = format!(
                "the token for job {job} is not this gateway's: its journal was replaced meanwhile"
            );
            return drop(reply.send(Err(Failure::new(403, reason))));
        }
        let Some(live) = self.live.get_mut(&job) else {
            return self.resume_finished(job, stage, attempt, lease, reply);
        };
        live.request.pipes = pipes.iter().map(pipe).collect();
        let request = live.request.clone();
        let known = live.state;
        let is_over = stage == Stage::Running && attempt < live.attempt;
        live.come_back(lease);
        let is_placed = live.agent().is_some();
        self.accept(job, lease, Vec::new(), reply, false);
        if is_over {
            let reason = format!("attempt {attempt} at job {job} failed and it is tried again");
            self.say(job, GatewayMessage::Retry { reason });
        }
        match (known, if is_over { Stage::Waiting } else { stage }) {
            (State::Queued, Stage::Waiting) => self.watch_for_stall(job),
            // Granted, but the client did not hear it.
            (_, Stage::Waiting) if is_placed => self.say_placed(job),
            (_, Stage::Waiting) => self.say_granted(job),
            (State::Queued, Stage::Running) => {
                let node = self.fleet.own.clone();
                if let Some(live) = self.live.get_mut(&job) {
                    live.state = State::Running;
                    live.node = Some(node.clone());
                    self.progress.started(live.run, job);
                }
                let at = Timestamp::now();
                let given = Given::default();
                self.journal.write(Write::Start {
                    job,
                    node: node.clone(),
                    agent: None,
                    given,
                    at,
                });
                let indices = Vec::new();
                self.dispatch(Event::Recovered { job, request, node, indices });
                self.limit_lease(job, Duration::ZERO);
            }
            (_, Stage::Running) => {}
        }
        if let Some(ending) = self.live.get(&job).and_then(|live| live.ending.clone()) {
            let reason = ending.reason();
            self.say(job, GatewayMessage::Signal { signal: libc::SIGTERM, reason });
        }
    }

    /// The client of a finished job came back: it has yet to hear that its outcome is
    /// recorded, or that the job will never start.
    fn resume_finished(
        &mut self,
        job: JobId,
        stage: Stage,
        attempt: u32,
        lease: &Lease,
        reply: Reply<Result<JobId, Failure>>,
    ) {
        self.after_end.insert(lease.id, lease.messages.clone());
        self.accept(job, lease, Vec::new(), reply, false);
        self.say_ended_elsewhere(job, attempt, lease);
        if stage == Stage::Waiting {
            let messages = lease.messages.clone();
            let reason = "it was ended while its gateway was away".to_owned();
            let signal = GatewayMessage::Signal { signal: libc::SIGTERM, reason };
            self.journal.after_commit(move || drop(messages.send(signal)));
        }
    }

    /// A repeated submission: the same job, on a new connection.
    fn accept_again(&mut self, job: JobId, lease: &Lease, reply: Reply<Result<JobId, Failure>>) {
        let Some(live) = self.live.get_mut(&job) else { return };
        live.come_back(lease);
        let (state, is_placed) = (live.state, live.agent().is_some());
        self.accept(job, lease, Vec::new(), reply, false);
        if state == State::Running && is_placed {
            self.say_placed(job);
        } else if state == State::Running {
            self.say_granted(job);
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
    pub(super) fn place(
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
            self.call_back_behind(parent);
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

    /// What the dispatcher is asked for a job. `share`: the run, or the first job of the array, as
    /// which it gets its share of the node.
    pub(super) fn request(
        &self,
        spec: &Spec,
        parent: Option<JobId>,
        pipes: &[PipeEnd],
        share: JobId,
    ) -> Request {
        let mut resources = spec.resources.clone();
        if spec.sequential && !spec.kind.is_whole_pipeline() {
            let own = self.fleet.own().capacity().unwrap_or(Resources::NONE);
            resources.cpus = resources.cpus.max(own.cpus);
        }
        Request {
            resources,
            candidates: Candidates::One(self.fleet.own.clone()),
            near: None,
            parent,
            share: Some(share),
            holds: match spec.kind {
                Kind::Command => Holds::Worker,
                Kind::Nested => Holds::Lends,
                Kind::Run | Kind::Session => Holds::Supervisor,
            },
            priority: spec.priority,
            again: false,
            pipes: pipes.iter().map(pipe).collect(),
            time_limit: spec.time_limit,
        }
    }
}

fn pipe(end: &PipeEnd) -> (PipeId, End) {
    let id = PipeId { device: end.device, inode: end.inode };
    (id, if end.writes { End::Write } else { End::Read })
}
