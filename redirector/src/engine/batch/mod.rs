//! Batch engines: what lends whole computers, or parts of them, for a time.
//!
//! ```text
//!   gateway core ── Request ──► start ──► sbatch, qsub, …  ──► a script on some node, which
//!        │                        └─► EngineJobId               becomes an agent
//!        ├── once per interval ─► status ─► Pending, Running, Ended(TimeLimit), … of all of them
//!        ├── `explain JOB` ─────► explain ─► "waits for free cpus, expected to start at 12:05"
//!        └── after a restart ───► find ───► which jobs of the engine are this gateway's
//! ```
//!
//! An engine knows nothing of jobs, clients or agents: it starts scripts, and tells what became of
//! them. What it tells only fills gaps, for the agent itself knows better how its jobs have ended
//! (`docs/engines.md`, "Who is believed").
//!
//! ```no_run
//! # async fn example(pool: &redirector::config::Pool, request: redirector::engine::batch::Request)
//! # -> Result<(), redirector::engine::batch::Refusal> {
//! use redirector::engine::batch;
//! let engine = batch::of(pool)?;
//! let id = engine.start(&request).await?;
//! let states = engine.status(std::slice::from_ref(&id)).await;
//! engine.stop(&[id]).await?;
//! # Ok(()) }
//! ```
//!
//! To add one: a file that implements [`Batch`], a variant of [`crate::config::Engine`] and a line
//! in [`of`]; `docs/design/engines.md` has the whole way.

pub mod command;
pub mod gridengine;
mod log;
mod request;
pub mod slurm;
mod status;
mod tools;

use std::{fmt, pin::Pin};

pub use log::{Memory, out_of_memory};
pub use request::{Mark, Request};
pub use status::{End, Status};

use serde::{Deserialize, Serialize};

use crate::config::{Engine, EngineOptions, Pool};

/// What an engine's method gives in the end.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an engine calls a job of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EngineJobId(pub String);

impl fmt::Display for EngineJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An engine does not do what it is asked for. Its own words are in it, whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would do so at another time: too much to do, or its daemon is down.
    #[error("{0}")]
    Temporary(String),
    /// It never will: no such partition, no such account, more than any node has.
    #[error("{0}")]
    Permanent(String),
    /// It did not answer in time, and may have done it. Before a request is repeated, ask
    /// [`Batch::find`]; where that cannot tell ([`Batch::search_by_hand`]), do not repeat it.
    #[error("{0}")]
    Unsure(String),
}

impl Refusal {
    /// What a `complaint` means in which an engine says one of these things; else it is for good.
    fn of(complaint: String, temporary: &[&str], unsure: &[&str]) -> Self {
        let says = |sayings: &[&str]| sayings.iter().any(|saying| complaint.contains(saying));
        if says(unsure) {
            Self::Unsure(complaint)
        } else if says(temporary) {
            Self::Temporary(complaint)
        } else {
            Self::Permanent(complaint)
        }
    }
}

/// Whether all of `jobs` are numbers, as those of `engine` are: anything else might be taken for an
/// option or a pattern, and mean other jobs.
fn only_numbers(engine: &str, jobs: &[EngineJobId]) -> Result<(), Refusal> {
    match jobs.iter().find(|id| !id.0.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(strange) => Err(Refusal::Permanent(format!(
            "'{strange}' is no job id of {engine}, and nothing was ended"
        ))),
        None => Ok(()),
    }
}

/// An engine. Several methods may be under way at the same time.
pub trait Batch: Send + Sync {
    /// Hands a script in; it starts when the engine sees fit, once at most.
    ///
    /// An engine that is killed may lose what it took in its last seconds, and give the same id to
    /// the next job: with an id that is known already, the older job is lost.
    fn start<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<EngineJobId, Refusal>>;

    /// What has become of `jobs`: all of them in one query, and one answer for each. What the
    /// engine does not answer in time is [`Status::Unknown`].
    fn status<'a>(&'a self, jobs: &'a [EngineJobId]) -> Answer<'a, Vec<(EngineJobId, Status)>>;

    /// Ends jobs that wait or run; those that have ended already are passed over.
    fn stop<'a>(&'a self, jobs: &'a [EngineJobId]) -> Answer<'a, Result<(), Refusal>>;

    /// Why a job waits, or what is wrong with it: a sentence for the person.
    fn explain<'a>(&'a self, job: &'a EngineJobId) -> Answer<'a, String>;

    /// The jobs that carry a mark of the gateway `gateway` and have not ended.
    fn find<'a>(
        &'a self,
        gateway: &'a str,
    ) -> Answer<'a, Result<Vec<(EngineJobId, Mark)>, Refusal>>;

    /// Of an engine that has no place for marks, so that [`Batch::find`] can find nothing: how a
    /// person looks for the job of `request`, and ends it. `None`: what is not found is not there.
    fn search_by_hand(&self, _request: &Request) -> Option<String> {
        None
    }

    /// What answers here, and which version of it.
    fn version(&self) -> Answer<'_, Result<String, Refusal>>;

    /// What there is to be had with these options: lines for the person; none if it cannot tell.
    fn capacity<'a>(
        &'a self,
        _options: &'a EngineOptions,
    ) -> Answer<'a, Result<Vec<String>, Refusal>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// The engine of a pool.
///
/// # Errors
/// If the pool's settings do not make one; the message says what to change.
pub fn of(pool: &Pool) -> Result<Box<dyn Batch>, Refusal> {
    Ok(match &pool.engine {
        Engine::Slurm { rest: None } => Box::new(slurm::Programs::new(pool)),
        Engine::Slurm { rest: Some(address) } => Box::new(slurm::Rest::new(pool, address)?),
        Engine::GridEngine { memory_resource, gpu_resource } => {
            Box::new(gridengine::GridEngine::new(pool, memory_resource, gpu_resource))
        }
        Engine::Command(templates) => Box::new(command::Command::new(pool, templates)?),
    })
}
