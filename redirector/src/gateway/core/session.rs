//! Runs that nobody announced: what `LD_PRELOAD=libshim.so COMMAND` starts.

use super::{
    Core,
    live::{Live, Runner},
};
use crate::{
    dispatcher::Request,
    gateway::{
        message::{Failure, Message},
        processes,
    },
    model::{Given, JobId, Kind, Resources, Spec, State, Timestamp, pipeline_name},
    store::{Environment, NewJob, Write},
};

impl Core {
    /// The session of the run with this id, and whether it was made just now.
    pub(super) fn session(&mut self, run: &str, client_pid: i32) -> Result<(JobId, bool), Failure> {
        let key = format!("run:{run}");
        if let Some(&session) = self.keys.get(&key) {
            return Ok((session, false));
        }
        if let Some(session) = self.journal.store().session(&key)? {
            return Ok((session, false));
        }
        let root = processes::root_of_run(client_pid, run);
        let job = self.next_id;
        self.next_id = JobId(job.0 + 1);
        let program = root.argv.first().cloned().unwrap_or_default();
        let spec = Spec {
            kind: Kind::Session,
            name: pipeline_name(&root.argv),
            argv: root.argv,
            program,
            directory: root.directory,
            resources: Resources::NONE,
            ..Spec::default()
        };
        let at = Timestamp::now();
        let new = NewJob {
            id: job,
            key: key.clone(),
            spawned_by: None,
            run: job,
            spec,
            environment: Environment::default(),
            state: State::Running,
            submitted: at,
            client_pid: root.pid,
            started: None,
        };
        self.journal.write(Write::Insert(Box::new(new)));
        let node = self.fleet.own.clone();
        self.journal.write(Write::Start { job, node, agent: None, given: Given::default(), at });
        let runner = Runner::Root { process: root.pid };
        self.live.insert(
            job,
            Live {
                key: key.clone(),
                kind: Kind::Session,
                state: State::Running,
                ..Live::new(Request::default(), runner, job)
            },
        );
        self.keys.insert(key, job);
        self.watch(job, root.pid);
        Ok((job, true))
    }

    /// Has the core told when `process`, on which `job` depends, ends.
    pub(super) fn watch(&self, job: JobId, process: i32) {
        let messages = self.setup.messages.clone();
        tokio::spawn(async move {
            processes::ended(process).await;
            // Fails only when the core is gone.
            drop(messages.send(Message::ProcessEnded { job }));
        });
    }
}
