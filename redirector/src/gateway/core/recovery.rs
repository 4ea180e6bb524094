//! Takes over jobs that a gateway before this one left unfinished.

use super::{Core, live::Live};
use crate::{
    dispatcher::Event,
    gateway::processes,
    model::{Kind, State},
    store::Unfinished,
};

impl Core {
    /// Running jobs hold their resources from now on, and waiting ones have their places
    /// in the queue. What becomes of a job is for its client to say, which comes back
    /// by itself. A client that has ended cannot.
    pub(super) fn recover(&mut self, mut unfinished: Vec<Unfinished>) {
        // What runs holds its resources before anybody is given some.
        unfinished.sort_by_key(|left| (left.job.state != State::Running, left.job.id));
        for Unfinished { job: record, key, .. } in unfinished {
            let job = record.id;
            let spec = &record.spec;
            let request = self.request(
                spec.kind,
                spec.resources.clone(),
                record.spawned_by,
                spec.priority,
                &[],
            );
            let mut live = Live::session(key.clone(), job, record.client_pid);
            live.kind = spec.kind;
            live.spawned_by = record.spawned_by;
            live.run = record.run;
            live.state = record.state;
            live.request = request.clone();
            self.keys.insert(key, job);
            self.live.insert(job, live);
            if spec.kind == Kind::Session {
                self.watch(job, record.client_pid);
                continue;
            }
            let has_client = processes::is_client(record.client_pid);
            if record.state == State::Running {
                let node = self.setup.node.clone();
                self.dispatch(Event::Recovered { job, request, node, indices: Vec::new() });
            } else if has_client {
                // In its old place: not when its client comes back, but now.
                self.dispatch(Event::Submitted { job, request });
            }
            let client = record.client_pid;
            if has_client {
                tracing::info!(%job, client, "waiting for a job's client to come back");
                self.watch(job, client);
            } else {
                tracing::warn!(%job, client, "a job's client ended while there was no gateway");
                self.lose(job);
            }
        }
    }
}
