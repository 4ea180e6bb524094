//! The agent's shepherds: processes that each run one attempt at a time.
//!
//! ```text
//!   agent ── Task ──► one asynchronous task per shepherd ══ socket ══ [`super::shepherd`]
//!         ◄─ Event ──
//! ```

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tokio::{
    net::UnixStream,
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    task::JoinHandle,
};

use super::{
    protocol::{AttemptId, LogRecord},
    shepherd::task::{Said, Task},
    wire::{Connection, Progress},
};
use crate::stdio::Signal;

/// Shepherds without work beyond these are let go.
const IDLE: usize = 64;

/// Names a shepherd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ShepherdId(u64);

#[cfg(test)]
impl ShepherdId {
    pub(super) const fn for_test(number: u64) -> Self {
        Self(number)
    }
}

/// What a shepherd, or somebody who waits for an attempt elsewhere, did.
#[derive(Debug)]
pub(super) enum Event {
    /// It said something about its attempt.
    Said(ShepherdId, Said),
    /// It is gone, with this reason if it is known.
    Gone(ShepherdId, Option<io::Error>),
    /// Whoever waits for an attempt elsewhere sends it a signal.
    Signal(AttemptId, Signal),
    /// A program logs something, and is to hear whether its token is that of an attempt here.
    Logged { token: String, record: LogRecord, reply: oneshot::Sender<bool> },
    /// Somebody who waited elsewhere has everything.
    Forgotten,
}

/// How shepherds are started.
#[derive(Debug)]
pub(super) struct Shepherds {
    /// Held by each of them: no other agent starts before the last one has cleared up.
    lock: File,
    control_groups: Option<PathBuf>,
    events: UnboundedSender<Event>,
    last: u64,
    busy: HashMap<ShepherdId, Shepherd>,
    idle: Vec<(ShepherdId, Shepherd)>,
}

#[derive(Debug)]
struct Shepherd {
    process: Child,
    tasks: UnboundedSender<Task>,
    /// The digest of the environment that it was given last.
    environment: String,
}

impl Shepherds {
    /// None yet. They make control groups in `control_groups` where that is possible.
    pub(super) fn new(
        lock: File,
        control_groups: Option<PathBuf>,
    ) -> (Self, UnboundedReceiver<Event>) {
        let (events, receiver) = unbounded_channel();
        let (busy, idle) = (HashMap::new(), Vec::new());
        (Self { lock, control_groups, events, last: 0, busy, idle }, receiver)
    }

    /// Where events go.
    pub(super) fn events(&self) -> UnboundedSender<Event> {
        self.events.clone()
    }

    /// An idle shepherd or a new one, which is given `task` and keeps to the environment
    /// that `digest` names. It is busy until it says that its attempt ended.
    pub(super) fn give(
        &mut self,
        task: Task,
        digest: &str,
        environment: impl FnOnce() -> Task,
    ) -> io::Result<ShepherdId> {
        let (id, mut shepherd) = match self.idle.pop() {
            Some(idle) => idle,
            None => self.start()?,
        };
        shepherd.run(task, digest, environment);
        self.busy.insert(id, shepherd);
        Ok(id)
    }

    /// Gives `task` to a busy shepherd, which does it after what it has to do before, in the
    /// environment that `digest` names.
    pub(super) fn give_next(
        &mut self,
        id: ShepherdId,
        task: Task,
        digest: &str,
        environment: impl FnOnce() -> Task,
    ) {
        if let Some(shepherd) = self.busy.get_mut(&id) {
            shepherd.run(task, digest, environment);
        }
    }

    /// Gives `task` to a busy shepherd.
    pub(super) fn tell(&self, id: ShepherdId, task: Task) {
        if let Some(shepherd) = self.busy.get(&id) {
            shepherd.tell(task);
        }
    }

    /// Whether they have the kernel keep memory limits.
    pub(super) fn limit_memory(&self) -> bool {
        self.control_groups.is_some()
    }

    /// The process of a busy shepherd: all processes of its attempt are below it.
    pub(super) fn process(&self, id: ShepherdId) -> Option<i32> {
        self.busy.get(&id).map(|shepherd| shepherd.process.id() as i32)
    }

    /// Its attempt ended; it may have another one.
    pub(super) fn take_back(&mut self, id: ShepherdId) {
        if let Some(shepherd) = self.busy.remove(&id) {
            if self.idle.len() < IDLE {
                self.idle.push((id, shepherd));
            } else {
                shepherd.dismiss();
            }
        }
    }

    /// It is gone: no attempt will be given to it.
    pub(super) fn forget(&mut self, id: ShepherdId) {
        let idle = self.idle.iter().position(|(other, _)| *other == id);
        let idle = idle.map(|index| self.idle.swap_remove(index).1);
        if let Some(mut shepherd) = self.busy.remove(&id).or(idle) {
            // It may only have closed its socket; then it is of no use either.
            drop(shepherd.process.kill());
            drop(shepherd.process.wait());
        }
    }

    /// Lets all of them go that have no attempt, and waits until they are gone.
    pub(super) async fn dismiss_idle(&mut self) {
        let leaving: Vec<_> = self.idle.drain(..).map(|(_, shepherd)| shepherd.dismiss()).collect();
        for gone in leaving {
            // An error means that it panicked, which ends this process anyway.
            drop(gone.await);
        }
    }

    fn start(&mut self) -> io::Result<(ShepherdId, Shepherd)> {
        let (own, its) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        // Not the path of this program: it may have been replaced by another version.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("redirector").args(["agent", "--shepherd"]);
        if let Some(directory) = &self.control_groups {
            command.arg("--control-groups").arg(directory);
        }
        let process = command
            .stdin(Stdio::from(OwnedFd::from(its)))
            .stdout(Stdio::from(self.lock.try_clone()?))
            .spawn()?;
        self.last += 1;
        let id = ShepherdId(self.last);
        let (tasks, inbox) = unbounded_channel();
        let connection = Connection::new(UnixStream::from_std(own)?);
        tokio::spawn(converse(id, connection, inbox, self.events.clone()));
        Ok((id, Shepherd { process, tasks, environment: String::new() }))
    }
}

impl Shepherd {
    fn run(&mut self, task: Task, digest: &str, environment: impl FnOnce() -> Task) {
        if self.environment != digest {
            digest.clone_into(&mut self.environment);
            self.tell(environment());
        }
        self.tell(task);
    }

    fn tell(&self, task: Task) {
        // Lost if it is gone, which is told in a moment.
        drop(self.tasks.send(task));
    }

    /// Has it leave, which it does at once when its socket is closed.
    fn dismiss(mut self) -> JoinHandle<()> {
        drop(self.tasks);
        tokio::task::spawn_blocking(move || drop(self.process.wait()))
    }
}

/// Passes on what is said until the shepherd is gone or dismissed.
async fn converse(
    id: ShepherdId,
    mut connection: Connection<UnixStream>,
    mut tasks: UnboundedReceiver<Task>,
    events: UnboundedSender<Event>,
) {
    let reason = loop {
        tokio::select! {
            task = tasks.recv() => match task.map(|task| connection.say(&task)) {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => break Some(error),
            },
            progress = connection.exchange() => {
                let heard = progress.and_then(|progress| {
                    while let Some(said) = connection.hear()? {
                        // Fails when the agent leaves.
                        drop(events.send(Event::Said(id, said)));
                    }
                    Ok(progress)
                });
                match heard {
                    Ok(Progress::Read) => {}
                    Ok(Progress::End) => break None,
                    Err(error) => break Some(error),
                }
            }
        }
    };
    drop(events.send(Event::Gone(id, reason)));
}
