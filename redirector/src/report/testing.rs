//! Records to try things on.

use crate::model::{
    Amount, Job, JobId, Kind, NodeName, Outcome, Resources, Spec, State, Timestamp, Usage,
};

/// Job 1, which ran from 1000 to 9000.
pub(crate) fn run() -> Job {
    Job {
        spec: Spec { kind: Kind::Run, name: "pipeline".to_owned(), ..Spec::default() },
        ..job(1, "pipeline", 1_000, 9_000, Outcome::Exited { exit_code: 0 })
    }
}

/// A job of run 1 with two cpus and 8K of memory, submitted 100 ms before it started.
pub(crate) fn job(id: u64, name: &str, started: u64, ended: u64, outcome: Outcome) -> Job {
    Job {
        id: JobId(id),
        spawned_by: (id != 1).then_some(JobId(1)),
        run: JobId(1),
        spec: Spec {
            name: name.to_owned(),
            argv: vec![name.into(), "<input> & co".into()],
            resources: Resources::new(Amount::whole(2), 8_192),
            ..Spec::default()
        },
        environment: Vec::new(),
        state: State::Finished,
        attempts: Vec::new(),
        outcome: Some(outcome),
        submitted: Timestamp(started - 100),
        started: Some(Timestamp(started)),
        ended: Some(Timestamp(ended)),
        node: Some(NodeName("node".to_owned())),
        usage: Some(Usage {
            user_us: 900_000,
            system_us: 100_000,
            max_rss: 1_024,
            ..Usage::default()
        }),
        client_pid: 7,
    }
}
