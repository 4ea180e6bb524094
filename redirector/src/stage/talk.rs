//! What the gateway and an agent say to each other about files: lines of JSON, and bytes.
//!
//! ```text
//! /v1/stages/7.1           gateway: Manifest     agent: Missing │ Built │ Problem
//!                          gateway: empty line   agent: the same, once more
//! /v1/blobs/DIGEST         gateway: Size         agent: Whole │ Have { bytes }
//!                          gateway: the rest     agent: Whole │ Problem
//! /v1/stages/7.1/outputs   agent: Outputs
//!                          gateway: Wanted …     agent: the bytes from there on, the digest …
//!                          gateway: empty line   the tree is removed
//! ```

use serde::{Deserialize, Serialize};

use super::{manifest::Digest, path::WholePath};
use crate::{agent::protocol::AttemptId, model::Text};

/// The longest line.
pub const LONGEST_LINE: u64 = 64 << 20;

/// Where an attempt's tree is spoken of.
pub fn stage_path(attempt: AttemptId) -> String {
    format!("/v1/stages/{}.{}", attempt.job, attempt.number)
}

/// Where an attempt's outputs are.
pub fn outputs_path(attempt: AttemptId) -> String {
    format!("{}/outputs", stage_path(attempt))
}

/// Where what has this digest is sent to.
pub fn blob_path(digest: Digest) -> String {
    format!("/v1/blobs/{digest}")
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A tree is to be laid out.
    Stage(AttemptId),
    /// A tree is looked through.
    Outputs(AttemptId),
    /// A blob is sent.
    Blob(Digest),
}

impl Subject {
    /// What `path` is for; `None` if it has nothing to do with files.
    pub fn of(path: &str) -> Option<Self> {
        if let Some(digest) = path.strip_prefix("/v1/blobs/") {
            return Digest::parse(digest).map(Self::Blob);
        }
        let rest = path.strip_prefix("/v1/stages/")?;
        let (attempt, is_outputs) = match rest.strip_suffix("/outputs") {
            Some(attempt) => (attempt, true),
            None => (rest, false),
        };
        let (job, number) = attempt.split_once('.')?;
        let job = crate::model::JobId(job.parse().ok()?);
        let attempt = AttemptId { job, number: number.parse().ok()? };
        Some(if is_outputs { Self::Outputs(attempt) } else { Self::Stage(attempt) })
    }
}

/// How much is to come, and what else the host may keep.
#[derive(Debug, Serialize, Deserialize)]
pub struct Size {
    /// Bytes of the blob.
    pub bytes: u64,
    /// Most bytes that the host is to keep for later jobs; `None`: as it sees fit.
    #[serde(default)]
    pub cache_size: Option<u64>,
}

/// The agent's answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// These are not there, and the tree is not laid out.
    Missing(Vec<Digest>),
    /// The tree is laid out.
    Built {
        /// Where it begins.
        root: Text,
        /// What stands before the command so that it sees the tree where its files are here; empty
        /// if it cannot.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        entrance: Vec<Text>,
    },
    /// Only so much of a blob is there: the rest is to be sent.
    Have {
        /// Bytes, from its beginning.
        bytes: u64,
    },
    /// All of a blob is there, and is what its digest says.
    Whole,
    /// It is not possible.
    Problem {
        /// Why.
        reason: String,
    },
}

/// Something that a command has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Where.
    pub path: WholePath,
    /// What.
    #[serde(flatten)]
    pub made: Made,
}

/// See [`Output`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Made {
    /// A directory.
    Directory {
        /// Its permission bits.
        mode: u32,
    },
    /// A file.
    File {
        /// Bytes.
        size: u64,
        /// Its permission bits.
        mode: u32,
        /// When it was changed last, in nanoseconds since 1970.
        changed: i64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, in terms of the gateway's computer.
        target: Text,
    },
}

/// All that a command has done to its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// New or different; directories before what is in them.
    pub made: Vec<Output>,
    /// What was laid out for it and is not there any more.
    pub removed: Vec<WholePath>,
    /// What cannot be brought back, and why.
    pub problems: Vec<String>,
}

/// A file that is to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// Which one.
    pub path: WholePath,
    /// How much of it is there already, in bytes.
    pub from: u64,
}
