//! Jobs on hosts without this computer's files: what they need goes there, what they made comes
//! back. See [`crate::stage`].
//!
//! ```text
//!   core ── [`Stages::send`] ──► plan, digests ══ manifest, blobs ══► agent
//!        ◄── Staged { arguments, directory } ───────── Built ──┘
//!        ── Start … Ended ──
//!        ── [`Stages::land`] ──► [`shore`] ◄══ outputs ══ agent
//!        ◄── Landed ── then only the job has ended
//! ```
//!
//! Both are tasks that the core may drop at any byte and start again: what is there already is
//! not sent again. A record in the state directory says what a command may write, until its
//! outputs are here: the gateway may be killed meanwhile.

mod digests;
mod record;
mod shore;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    sync::mpsc::UnboundedSender,
    task::{AbortHandle, JoinError, JoinSet, spawn_blocking},
};

use self::{
    digests::{Digests, is_changing},
    record::Record,
    shore::Shore,
};
use super::message::Message;
use crate::{
    agent::protocol::AttemptId,
    engine::Channel,
    model::{NodeName, Text},
    node::mapping::Mapping,
    place::StateDirectory,
    stage::{
        Digest, Manifest, Thing, WholePath,
        diff::Stamp,
        plan::{Found, Plan},
        talk::{self, Answer, Made, Output, Outputs, Size, Wanted},
        transfer::{expect, receive, say, send},
    },
};

/// Blobs of one job that are sent at a time.
const AT_ONCE: usize = 8;

/// How often a file may have changed before the job is given up.
const CHANGES: u32 = 3;

/// How often blobs may be missing that were sent just now, because others took their room.
const EVICTIONS: u32 = 5;

/// Pause before a file that could not be written (a full disk) is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// How long a host may take to remove a tree before the job has ended nevertheless.
const FAREWELL: Duration = Duration::from_secs(5);

/// Whoever has it sends.
type Turn = Arc<tokio::sync::Mutex<()>>;

/// What the gateway has for all jobs that stage.
#[derive(Clone, Debug)]
pub(super) struct Stages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records: PathBuf,
    digests: Digests,
    /// Each blob goes to each node once at a time; who waits finds it there.
    turns: Mutex<HashMap<(NodeName, Digest), Turn>>,
}

/// A command for which a tree is to be laid out.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub attempt: AttemptId,
    pub node: NodeName,
    pub channel: Channel,
    pub argv: Vec<Text>,
    /// Where the host has it.
    pub program: Text,
    pub directory: Text,
    pub mapping: Mapping,
    /// Most bytes that the host is to keep for later jobs.
    pub cache_size: Option<u64>,
}

/// What a command is called in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Staged {
    /// What stands before the program and its arguments.
    pub entrance: Vec<Text>,
    pub argv: Vec<Text>,
    pub directory: Text,
}

/// Why a tree cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// It would be the same on other hosts.
    #[error("its inputs cannot be copied: {0}")]
    Here(String),
    /// The host cannot do it.
    #[error("its inputs cannot be copied to {node}: {reason}")]
    There { node: NodeName, reason: String },
}

/// Why a tree was not laid out this time.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the connection failed: {0}")]
    Link(#[from] io::Error),
    /// A file is not what it was a moment ago.
    #[error("{0}")]
    Changing(io::Error),
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        Self::Problem(Problem::Here(format!("a part of the gateway crashed: {error}")))
    }
}

/// Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is in a tree, and which files here that comes from.
struct Inputs {
    plan: Plan,
    manifest: Manifest,
    sources: BTreeMap<Digest, (WholePath, Stamp)>,
}

impl Stages {
    pub(super) fn new(state: &StateDirectory) -> Self {
        Self(Arc::new(Inner {
            records: state.path().join("stages"),
            digests: Digests::default(),
            turns: Mutex::default(),
        }))
    }

    /// Sends what a command needs, and tells the core.
    pub(super) fn send(&self, order: Order, core: UnboundedSender<Message>) -> Task {
        let own = self.clone();
        let task = tokio::spawn(async move {
            let attempt = order.attempt;
            let result = loop {
                match own.stage(&order).await {
                    Ok(result) => break result,
                    // The core drops this task when the node is connected again.
                    Err(error) => tracing::debug!(job = %attempt.job, "inputs not sent: {error}"),
                }
                tokio::time::sleep(TRY_AGAIN).await;
            };
            // Fails only when the core is gone.
            drop(core.send(Message::Staged { attempt, result }));
        });
        Task(task.abort_handle())
    }

    /// Fetches what a command has made, and tells the core.
    pub(super) fn land(
        &self,
        attempt: AttemptId,
        channel: Channel,
        core: UnboundedSender<Message>,
    ) -> Task {
        let own = self.clone();
        let task = tokio::spawn(async move {
            loop {
                match own.fetch(attempt, &channel).await {
                    // Fails only when the core is gone.
                    Ok(problems) => return drop(core.send(Message::Landed { attempt, problems })),
                    // The core drops this task when the node is connected again.
                    Err(error) => {
                        tracing::debug!(job = %attempt.job, "outputs not fetched: {error}");
                    }
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
        });
        Task(task.abort_handle())
    }

    /// An error is the connection's.
    async fn stage(&self, order: &Order) -> io::Result<Result<Staged, Problem>> {
        let mut changes = 0;
        loop {
            return match self.try_stage(order).await {
                Ok(staged) => Ok(Ok(staged)),
                Err(Failure::Changing(error)) if changes < CHANGES => {
                    tracing::debug!(job = %order.attempt.job, "{error}");
                    changes += 1;
                    continue;
                }
                Err(Failure::Changing(error)) => Ok(Err(Problem::Here(error.to_string()))),
                Err(Failure::Problem(problem)) => Ok(Err(problem)),
                Err(Failure::Link(error)) => Err(error),
            };
        }
    }

    async fn try_stage(&self, order: &Order) -> Result<Staged, Failure> {
        let (own, its) = (self.clone(), order.clone());
        let inputs = spawn_blocking(move || own.inputs(&its)).await??;
        let inputs = Arc::new(inputs);
        let stream = order.channel.open(talk::stage_path(order.attempt)).await?;
        let mut stream = BufReader::new(stream);
        say(&mut stream, &inputs.manifest).await?;
        let there = |reason| Problem::There { node: order.node.clone(), reason };
        let otherwise = |argument: &Text| order.mapping.argument(argument);
        for _ in 0..EVICTIONS {
            match expect(&mut stream).await? {
                Answer::Built { root, entrance } => {
                    let argv = match &entrance[..] {
                        [] => inputs.plan.arguments(Some(root.as_bytes()), otherwise),
                        _ => inputs.plan.arguments(None, otherwise),
                    };
                    let directory = [root.as_bytes(), inputs.plan.directory.as_bytes()].concat();
                    return Ok(Staged { entrance, argv, directory: Text(directory) });
                }
                Answer::Missing(digests) => {
                    self.send_blobs(order, &inputs, digests).await?;
                    stream.write_all(b"\n").await?;
                }
                Answer::Problem { reason } => return Err(there(reason).into()),
                answer @ (Answer::Have { .. } | Answer::Whole) => {
                    let reason = format!("its agent said what is not understood: {answer:?}");
                    return Err(there(reason).into());
                }
            }
        }
        let reason = "other jobs' inputs took the room of its own ('cache_size' of [ssh])";
        Err(there(reason.to_owned()).into())
    }

    /// Looks for all that the command needs. Blocks.
    fn inputs(&self, order: &Order) -> Result<Inputs, Failure> {
        let is_there = |path: &[u8]| order.mapping.covers(path);
        let plan = Plan::new(&order.argv, &order.directory, &record::Files, is_there)
            .map_err(|error| Problem::Here(error.to_string()))?;
        let (mut things, mut sources) = (BTreeMap::new(), BTreeMap::new());
        for (path, found) in &plan.things {
            let thing = match found {
                Found::Directory => Thing::Directory,
                Found::Symlink { target } => Thing::Symlink { target: target.clone() },
                Found::Other => continue,
                Found::File { stamp, mode } => match self.0.digests.of(path, *stamp) {
                    Ok(digest) => {
                        sources.insert(digest, (path.clone(), *stamp));
                        let (size, changed) = (stamp.size, stamp.changed);
                        Thing::File { digest, size, mode: *mode, changed }
                    }
                    // As the command would find it.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
                    Err(error) if is_changing(&error) => return Err(Failure::Changing(error)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Err(Failure::Changing(error));
                    }
                    Err(error) => return Err(Problem::Here(format!("{path}: {error}")).into()),
                },
            };
            things.insert(path.clone(), thing);
        }
        Record::of(&plan)
            .write(&self.0.records, order.attempt)
            .map_err(|error| Problem::Here(error.to_string()))?;
        let cache_size = order.cache_size;
        let (directory, program) = (plan.directory.clone(), Some(order.program.clone()));
        let manifest = Manifest { directory, things, program, cache_size };
        Ok(Inputs { plan, manifest, sources })
    }

    async fn send_blobs(
        &self,
        order: &Order,
        inputs: &Arc<Inputs>,
        digests: Vec<Digest>,
    ) -> Result<(), Failure> {
        let mut sending = JoinSet::new();
        for digest in digests {
            if sending.len() >= AT_ONCE
                && let Some(joined) = sending.join_next().await
            {
                joined??;
            }
            let (own, order, inputs) = (self.clone(), order.clone(), Arc::clone(inputs));
            sending.spawn(async move { own.send_blob(&order, &inputs, digest).await });
        }
        while let Some(joined) = sending.join_next().await {
            joined??;
        }
        Ok(())
    }

    async fn send_blob(
        &self,
        order: &Order,
        inputs: &Inputs,
        digest: Digest,
    ) -> Result<(), Failure> {
        let there = |reason| Problem::There { node: order.node.clone(), reason };
        let Some((path, stamp)) = inputs.sources.get(&digest).cloned() else {
            let reason = format!("its agent asks for {digest}, which it was not told of");
            return Err(there(reason).into());
        };
        let name = path.clone();
        let key = (order.node.clone(), digest);
        let turn = Arc::clone(
            self.0.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default(),
        );
        let sent = {
            let _turn = turn.lock().await;
            self.send_file(order, digest, path, stamp).await
        };
        drop(turn);
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        drop(turns);
        match sent? {
            Answer::Whole => Ok(()),
            Answer::Problem { reason } => Err(there(format!("{name}: {reason}")).into()),
            answer => {
                let reason = format!("its agent said what is not understood: {answer:?}");
                Err(there(reason).into())
            }
        }
    }

    async fn send_file(
        &self,
        order: &Order,
        digest: Digest,
        path: WholePath,
        stamp: Stamp,
    ) -> Result<Answer, Failure> {
        let stream = order.channel.open(talk::blob_path(digest)).await?;
        let mut stream = BufReader::new(stream);
        let (bytes, cache_size) = (stamp.size, order.cache_size);
        say(&mut stream, &Size { bytes, cache_size }).await?;
        let from = match expect(&mut stream).await? {
            Answer::Have { bytes } => bytes.min(stamp.size),
            answer => return Ok(answer),
        };
        let name = path.clone();
        let file = spawn_blocking(move || digests::open(&path, stamp)).await;
        let file = file?.map_err(Failure::Changing)?;
        let sent = match send(file, from, stamp.size, &mut stream).await {
            Ok(sent) => sent,
            // An agent that cannot take it does not read on; its answer is there.
            Err(error) => match expect(&mut stream).await {
                Ok(answer @ Answer::Problem { .. }) => return Ok(answer),
                _ => return Err(error.into()),
            },
        };
        if sent.map_err(Failure::Changing)? != digest {
            let error = format!("{name} changes while it is being copied");
            return Err(Failure::Changing(io::Error::other(error)));
        }
        Ok(expect(&mut stream).await?)
    }

    /// Brings the outputs of an attempt here; what could not be. An error is the connection's.
    async fn fetch(&self, attempt: AttemptId, channel: &Channel) -> io::Result<Vec<String>> {
        let record = Record::read(&self.0.records, attempt);
        // All is here, or nothing was staged.
        let Some(record) = record else { return Ok(Vec::new()) };
        let shore = Shore::new(attempt, record.writable.clone());
        let mut refused = BTreeMap::new();
        loop {
            let stream = channel.open(talk::outputs_path(attempt)).await?;
            let mut stream = BufReader::new(stream);
            let outputs = match expect(&mut stream).await? {
                Said::Outputs(outputs) => outputs,
                Said::Answer(Answer::Problem { reason }) => return Ok(vec![reason]),
                Said::Answer(answer) => {
                    return Ok(vec![format!("its agent said what is not understood: {answer:?}")]);
                }
            };
            let Outputs { made, removed, problems } = outputs;
            let (place, wanted) = (shore.clone(), made.clone());
            let files = spawn_blocking(move || prepare(&place, wanted)).await?;
            let (files, unprepared) = files;
            refused.extend(unprepared);
            let files = files.into_iter().filter(|file| !refused.contains_key(&file.path));
            match bring(&shore, files.collect(), &mut stream).await? {
                None => {}
                Some((path, error)) if is_full(&error) => {
                    tracing::error!(job = %attempt.job,
                        "cannot write {path}, trying again: {error}");
                    tokio::time::sleep(TRY_AGAIN).await;
                    continue;
                }
                Some((path, error)) => {
                    refused.insert(path, error.to_string());
                    continue;
                }
            }
            let (records, place) = (self.0.records.clone(), shore.clone());
            spawn_blocking(move || {
                finish(&place, &made, &removed, &record);
                Record::forget(&records, attempt);
            })
            .await?;
            farewell(&mut stream).await;
            let refused = refused.into_iter().map(|(path, why)| format!("{path}: {why}"));
            return Ok(problems.into_iter().chain(refused).collect());
        }
    }
}

/// Has the agent remove the tree. All is here, whatever it hears.
async fn farewell(stream: &mut BufReader<crate::engine::ByteStream>) {
    let heard = async {
        stream.write_all(b"\n").await?;
        stream.shutdown().await?;
        // A stream that is dropped at once may take the line with it.
        stream.read_to_end(&mut Vec::new()).await
    };
    if !matches!(tokio::time::timeout(FAREWELL, heard).await, Ok(Ok(_))) {
        tracing::debug!("a job's tree may be left on its host until the agent there ends");
    }
}

/// The first that comes from an agent of which outputs are asked for.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Said {
    Outputs(Outputs),
    Answer(Answer),
}

/// A file that is not here yet.
struct File {
    path: WholePath,
    size: u64,
    mode: u32,
    changed: i64,
}

/// Makes directories and links; which files are to be fetched, and what is not possible. Blocks.
fn prepare(shore: &Shore, made: Vec<Output>) -> (Vec<File>, Vec<(WholePath, String)>) {
    let (mut files, mut refused) = (Vec::new(), Vec::new());
    for Output { path, made } in made {
        let done = match made {
            Made::Directory { mode } => shore.make_directory(&path, mode),
            Made::Symlink { target } => shore.link(&path, &target),
            Made::File { size, changed, .. } if shore.has(&path, size, changed) => Ok(()),
            Made::File { size, mode, changed } => {
                files.push(File { path, size, mode, changed });
                continue;
            }
        };
        if let Err(error) = done {
            refused.push((path, error.to_string()));
        }
    }
    (files, refused)
}

/// Fetches files one after the other, without a pause between them. If one cannot be written,
/// which; an error is the connection's.
async fn bring(
    shore: &Shore,
    files: Vec<File>,
    stream: &mut BufReader<crate::engine::ByteStream>,
) -> io::Result<Option<(WholePath, io::Error)>> {
    let mut landings = std::collections::VecDeque::new();
    let mut files = files.into_iter();
    loop {
        // So many are asked for ahead.
        while landings.len() < AT_ONCE
            && let Some(file) = files.next()
        {
            let (place, path, size) = (shore.clone(), file.path.clone(), file.size);
            let landing = match spawn_blocking(move || place.open(&path, size)).await? {
                Ok(landing) => landing,
                Err(error) => return Ok(Some((file.path, error))),
            };
            let wanted = Wanted { path: file.path.clone(), from: landing.have };
            say(stream, &wanted).await?;
            landings.push_back((file, landing));
        }
        let Some((file, landing)) = landings.pop_front() else { return Ok(None) };
        let own = landing.file.try_clone();
        let own = match own {
            Ok(own) => own,
            Err(error) => return Ok(Some((file.path, error))),
        };
        let digest = match receive(own, landing.have, file.size, stream).await? {
            Ok(digest) => digest,
            Err(error) => return Ok(Some((file.path, error))),
        };
        let mut said = Digest([0; 32]);
        stream.read_exact(&mut said.0).await?;
        let File { path, mode, changed, .. } = file;
        let finished = spawn_blocking(move || {
            if digest == said {
                return landing.finish(mode, changed).map(|()| true);
            }
            landing.discard().map(|()| false)
        });
        match finished.await? {
            Ok(true) => {}
            // Fetched again over another stream.
            Ok(false) => return Err(io::Error::other(format!("{path} arrived damaged"))),
            Err(error) => return Ok(Some((path, error))),
        }
    }
}

/// What can be done only when all files are here. Blocks.
fn finish(shore: &Shore, made: &[Output], removed: &[WholePath], record: &Record) {
    for Output { path, made } in made.iter().rev() {
        if let Made::Directory { mode } = made
            && mode & 0o700 != 0o700
            && let Err(error) = shore.close_directory(path, *mode)
        {
            tracing::warn!("cannot set the mode of {path}: {error}");
        }
    }
    for path in removed {
        let is_removed = match record.named.get(path) {
            Some(stamp) => shore.remove(path, *stamp),
            None => Ok(false),
        };
        match is_removed {
            Ok(true) => tracing::debug!("{path} was removed by its job"),
            Ok(false) => tracing::info!(
                "a job on a host has removed its copy of {path}; the file here stays"
            ),
            Err(error) => tracing::warn!("cannot remove {path}, as its job did: {error}"),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
