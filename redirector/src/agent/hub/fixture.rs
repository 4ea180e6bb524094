//! A command whose descriptors a hub has, for tests: without an agent or a shepherd.

use std::{
    fs::OpenOptions,
    os::unix::net::UnixStream,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal as Number, kill},
    unistd::Pid,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Hub;
use crate::{
    agent::{
        protocol::{AttachedDescriptor, AttemptId},
        shepherds::Event,
    },
    model::JobId,
};

const ATTEMPT: AttemptId = AttemptId { job: JobId(7), number: 1 };

/// A command that runs, and its hub on a thread of its own.
pub(crate) struct Attached {
    streams: UnboundedSender<UnixStream>,
    ended: mpsc::Receiver<ExitStatus>,
    hub: JoinHandle<()>,
}

impl Attached {
    /// Runs `program` with these descriptors as its standard ones of these numbers.
    pub(crate) fn start(
        program: &str,
        arguments: &[&str],
        descriptors: Vec<(AttachedDescriptor, i32)>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        let (streams, mut arrivals) = unbounded_channel::<UnixStream>();
        let (end, ended) = mpsc::channel();
        let work = async move {
            let (events, mut happened) = unbounded_channel();
            let hub = Hub::new(events);
            let (attached, standard): (Vec<_>, Vec<_>) = descriptors.into_iter().unzip();
            let ends = hub.prepare(ATTEMPT, &attached).unwrap();
            for (end, number) in ends.iter().zip(standard) {
                let (reads, writes) = (end.reads, end.writes);
                let path = end.path.as_path();
                let file = OpenOptions::new().read(reads).write(writes).open(path).unwrap();
                match number {
                    0 => command.stdin(Stdio::from(file)),
                    1 => command.stdout(Stdio::from(file)),
                    2 => command.stderr(Stdio::from(file)),
                    number => panic!("descriptor {number} is not a standard one"),
                };
            }
            let mut child = command.spawn().unwrap();
            // It has the files that became the child's.
            drop(command);
            hub.started(ATTEMPT);
            let pid = Pid::from_raw(child.id() as i32);
            let mut waiter = Some(tokio::task::spawn_blocking(move || child.wait().unwrap()));
            loop {
                tokio::select! {
                    status = async { waiter.as_mut().unwrap().await }, if waiter.is_some() => {
                        waiter = None;
                        hub.ended(ATTEMPT);
                        hub.acknowledge(ATTEMPT);
                        end.send(status.unwrap()).unwrap();
                    }
                    Some(stream) = arrivals.recv() => {
                        stream.set_nonblocking(true).unwrap();
                        let stream = tokio::net::UnixStream::from_std(stream).unwrap();
                        let hub = hub.clone();
                        tokio::spawn(async move {
                            hub.attach(ATTEMPT, Box::new(stream)).await;
                        });
                    }
                    Some(event) = happened.recv() => match event {
                        Event::Signal(_, signal) => {
                            kill(pid, Number::try_from(signal.signal).unwrap()).unwrap();
                        }
                        Event::Forgotten => break,
                        other => panic!("{other:?}"),
                    },
                }
            }
            assert!(hub.is_empty());
        };
        let hub = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(work);
        });
        Self { streams, ended, hub }
    }

    /// What hands connections to the hub.
    pub(crate) fn streams(&self) -> UnboundedSender<UnixStream> {
        self.streams.clone()
    }

    /// Waits for the command's end.
    pub(crate) fn wait(&self) -> ExitStatus {
        self.ended.recv().unwrap()
    }

    /// Waits until the hub has forgotten the attempt, because everything is delivered.
    pub(crate) fn join(self) {
        self.hub.join().unwrap();
    }
}
