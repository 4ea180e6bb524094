//! Trees of jobs that run where the gateway's files are not: see [`crate::stage`].
//!
//! ```text
//!   [`Stages::serve`] ─┬─ /v1/stages/7.1 ─────────► [`tree`]: lay
//!                      ├─ /v1/blobs/D ────────────► [`store`]
//!                      └─ /v1/stages/7.1/outputs ─► [`tree`]: outputs, open, remove
//! ```

mod store;
mod tree;
pub(crate) mod view;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use tokio::{
    io::{AsyncWriteExt, BufReader},
    task::spawn_blocking,
};

use self::{store::Store, tree::Tree, view::View};
use super::protocol::AttemptId;
use crate::{
    engine::ByteStream,
    model::Text,
    place::StateDirectory,
    stage::{
        Digest, Manifest, Thing, WholePath,
        talk::{Answer, Made, Size, Subject, Wanted},
        transfer::{expect, hear, receive, say, send},
    },
};

/// All trees of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Stages(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: PathBuf,
    /// This program, by which commands enter their views.
    program: Option<PathBuf>,
    /// Whether they can.
    can_have_views: OnceLock<bool>,
    store: Store,
    trees: Mutex<BTreeMap<AttemptId, Arc<Tree>>>,
    /// What is about to be laid out.
    needed: Mutex<HashMap<AttemptId, BTreeSet<Digest>>>,
    /// Blobs that come in: each over one stream at a time.
    incoming: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl Stages {
    /// Those of the agent with the directory `state`, which is `program`. What an agent before it
    /// has left there nobody will ask for.
    pub(crate) fn new(state: &StateDirectory, program: Option<PathBuf>) -> Self {
        let jobs = state.path().join("jobs");
        if let Err(error) = fs::remove_dir_all(&jobs)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", jobs.display());
        }
        let name = state.path().file_name().unwrap_or(OsStr::new("agent")).to_string_lossy();
        // Beside the agents' directories, where files of all can be linked.
        let cache = state.path().parent().unwrap_or(state.path()).join("cache/blobs");
        Self(Arc::new(Inner {
            jobs,
            program,
            can_have_views: OnceLock::new(),
            store: Store::new(cache, &name),
            trees: Mutex::default(),
            needed: Mutex::default(),
            incoming: Mutex::default(),
        }))
    }

    /// Serves a stream that a gateway has opened.
    pub(crate) async fn serve(self, subject: Subject, stream: ByteStream) {
        let mut stream = BufReader::new(stream);
        let served = match subject {
            Subject::Stage(attempt) => self.stage(attempt, &mut stream).await,
            Subject::Outputs(attempt) => self.outputs(attempt, &mut stream).await,
            Subject::Blob(digest) => self.blob(digest, &mut stream).await,
        };
        if let Subject::Stage(attempt) = subject {
            held(&self.0.needed).remove(&attempt);
        }
        let served = match served {
            // The gateway is told; if it does not listen any more, it knows.
            Err(error) => say(&mut stream, &Answer::Problem { reason: error.to_string() }).await,
            served => served,
        };
        if let Err(error) = served {
            tracing::debug!("a stream for {subject:?} ended: {error}");
        }
        drop(stream.shutdown().await);
    }

    async fn stage(
        &self,
        attempt: AttemptId,
        stream: &mut BufReader<ByteStream>,
    ) -> io::Result<()> {
        let manifest: Manifest = expect(stream).await?;
        let digests = manifest.things.values().filter_map(|thing| match thing {
            Thing::File { digest, .. } => Some(*digest),
            Thing::Directory | Thing::Symlink { .. } => None,
        });
        held(&self.0.needed).insert(attempt, digests.collect());
        loop {
            let (own, manifest) = (self.clone(), manifest.clone());
            let answer = spawn_blocking(move || own.lay(attempt, manifest)).await??;
            let is_built = matches!(answer, Answer::Built { .. });
            say(stream, &answer).await?;
            if is_built {
                return Ok(());
            }
            // What was missing is there when the gateway says so.
            let mut line = String::new();
            if tokio::io::AsyncBufReadExt::read_line(stream, &mut line).await? == 0 {
                return Ok(());
            }
        }
    }

    fn lay(&self, attempt: AttemptId, manifest: Manifest) -> io::Result<Answer> {
        let known = held(&self.0.trees).get(&attempt).cloned();
        let tree = if let Some(tree) = known.filter(|tree| tree.is_for(&manifest)) {
            tree
        } else {
            self.remove_others(attempt);
            let view = self.program().and_then(|_| {
                let program = manifest.program.as_ref().map(Text::as_path);
                let own = [self.0.jobs.parent(), program].into_iter().flatten().map(Path::to_owned);
                View::of(&manifest, &own.chain(std::env::home_dir()).collect::<Vec<_>>())
            });
            match Tree::lay(&self.job(attempt), manifest, view.as_ref(), &self.0.store)? {
                Ok(tree) => Arc::new(tree),
                Err(missing) => return Ok(Answer::Missing(missing)),
            }
        };
        let root = Text::from(tree.root().as_os_str().as_bytes());
        let entrance = match self.program().filter(|_| tree.is_in_place()) {
            Some(program) => view::entrance(program, &self.job(attempt)),
            None => Vec::new(),
        };
        held(&self.0.trees).insert(attempt, tree);
        Ok(Answer::Built { root, entrance })
    }

    fn job(&self, AttemptId { job, number }: AttemptId) -> PathBuf {
        self.0.jobs.join(format!("{job}.{number}"))
    }

    /// By what commands enter views; `None`: they cannot.
    fn program(&self) -> Option<&Path> {
        let program = self.0.program.as_deref()?;
        let try_it =
            || fs::create_dir_all(&self.0.jobs).is_ok() && view::is_possible(program, &self.0.jobs);
        self.0.can_have_views.get_or_init(try_it).then_some(program)
    }

    /// An attempt that is tried again has ended before.
    fn remove_others(&self, attempt: AttemptId) {
        let earlier = |other: &AttemptId| other.job == attempt.job;
        let others: Vec<_> = held(&self.0.trees).keys().copied().filter(earlier).collect();
        for other in others {
            self.remove(other);
        }
    }

    fn remove(&self, attempt: AttemptId) {
        let Some(tree) = held(&self.0.trees).remove(&attempt) else { return };
        if let Err(error) = tree.remove(&self.0.store) {
            let root = tree.root().display();
            tracing::warn!(job = %attempt.job, "cannot remove all of {root}: {error}");
        }
    }

    async fn blob(&self, digest: Digest, stream: &mut BufReader<ByteStream>) -> io::Result<()> {
        let turn = Arc::clone(held(&self.0.incoming).entry(digest).or_default());
        let answer = {
            let _turn = turn.lock().await;
            self.take_blob(digest, stream).await?
        };
        drop(turn);
        held(&self.0.incoming).retain(|_, turn| Arc::strong_count(turn) > 1);
        say(stream, &answer).await
    }

    async fn take_blob(
        &self,
        digest: Digest,
        stream: &mut BufReader<ByteStream>,
    ) -> io::Result<Answer> {
        let Size { bytes, cache_size } = expect(stream).await?;
        let own = self.clone();
        let incoming = spawn_blocking(move || {
            let needed = held(&own.0.needed).values().flatten().copied().collect::<BTreeSet<_>>();
            own.0.store.receive(digest, bytes, cache_size, |it| needed.contains(&it))
        });
        let incoming = incoming.await??;
        let Some(file) = incoming.file else { return Ok(Answer::Whole) };
        say(stream, &Answer::Have { bytes: incoming.have }).await?;
        let found = receive(file, incoming.have, bytes, stream).await??;
        let own = self.clone();
        if spawn_blocking(move || own.0.store.received(digest, found)).await?? {
            return Ok(Answer::Whole);
        }
        let reason = "what arrived is not what was announced: the file changes, or the connection \
                      is broken";
        Ok(Answer::Problem { reason: reason.to_owned() })
    }

    async fn outputs(
        &self,
        attempt: AttemptId,
        stream: &mut BufReader<ByteStream>,
    ) -> io::Result<()> {
        let Some(tree) = held(&self.0.trees).get(&attempt).cloned() else {
            return Err(io::Error::other("there is no tree of that attempt"));
        };
        let own = self.clone();
        let (outputs, tree) = spawn_blocking(move || (tree.outputs(&own.0.store), tree)).await?;
        let outputs = outputs?;
        let size = |output: &_| match output {
            crate::stage::talk::Output { path, made: Made::File { size, .. } } => {
                Some((path.clone(), *size))
            }
            _ => None,
        };
        let sizes: HashMap<WholePath, u64> = outputs.made.iter().filter_map(size).collect();
        say(stream, &outputs).await?;
        while let Some(Wanted { path, from }) = hear(stream).await? {
            let Some(size) = sizes.get(&path).copied() else {
                return Err(io::Error::other(format!("{path} is no output")));
            };
            let opened = Arc::clone(&tree);
            let file = spawn_blocking(move || opened.open(&path)).await??;
            let digest = send(file, from.min(size), size, stream).await??;
            stream.write_all(&digest.0).await?;
        }
        // Ends here only after the line that says so, not with the connection.
        let own = self.clone();
        Ok(spawn_blocking(move || own.remove(attempt)).await?)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
