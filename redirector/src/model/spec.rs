//! What was asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EngineOptions, JobId, NodeName, PoolList, Resources, Retries, Text};

/// What a job is to its listing and to the dispatcher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One redirected command.
    #[default]
    Command,
    /// A command under a rule with `nested`: what it starts may become jobs of
    /// its own, and while it waits for them it lends them its resources.
    Nested,
    /// A whole pipeline started by `redirector run`; holds no resources.
    Run,
    /// A whole pipeline started under a bare `LD_PRELOAD`; known only by the
    /// jobs that come out of it.
    Session,
}

impl Kind {
    /// The word for it, as in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Nested => "nested",
            Self::Run => "run",
            Self::Session => "session",
        }
    }

    /// Whether jobs of this kind are what a person started, not what a pipeline did.
    pub const fn is_whole_pipeline(self) -> bool {
        matches!(self, Self::Run | Self::Session)
    }

    /// The kind that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Command, Self::Nested, Self::Run, Self::Session]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// The whitelist line that made a command a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The whitelist's path.
    pub file: Text,
    /// Its line, from 1.
    pub line: u32,
    /// The pattern, without attributes.
    pub pattern: Text,
}

/// One of many jobs that were submitted as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// The array's first job.
    pub first: JobId,
    /// What stands for `{}` in its command.
    pub value: Text,
}

/// A job that has to end before another one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The job that goes first.
    pub job: JobId,
    /// How it has to end.
    pub on: Condition,
}

/// How a job has to end for another one to follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// With success.
    #[default]
    Ok,
    /// In any way.
    Any,
    /// Without success.
    Fail,
}

impl Condition {
    /// The word for it, as in `--after 7:any`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Any => "any",
            Self::Fail => "fail",
        }
    }

    /// The condition that `word` names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ok, Self::Any, Self::Fail].into_iter().find(|condition| condition.word() == word)
    }

    /// Whether a job with that outcome may be followed.
    pub fn is_met_by(self, outcome: &super::Outcome) -> bool {
        match self {
            Self::Ok => outcome.is_success(),
            Self::Any => true,
            Self::Fail => !outcome.is_success(),
        }
    }
}

/// Where a job may run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// On this node only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<NodeName>,
    /// On nodes of the first of these pools that takes it: allocations, or nodes that have the pool
    /// among their tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolList>,
    /// On nodes that have all these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Rather on these nodes than on others: they have its data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<NodeName>,
    /// Whether its inputs are copied to the node, and its outputs back; `None`: as the node has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<bool>,
    /// It fails when its node counts as lost, instead of waiting for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fails_without_node: bool,
    /// What the batch engine of its pool is asked for, over what the pool itself asks for.
    #[serde(skip_serializing_if = "EngineOptions::is_empty")]
    pub options: EngineOptions,
}

impl Placement {
    /// Whether nothing is asked for.
    pub fn is_anywhere(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Placement {
    /// As a whitelist has it: `host=node7 tags=big,fast stage=on`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near: Vec<_> = self.near.iter().map(|node| node.0.as_str()).collect();
        let words = [
            self.host.as_ref().map(|host| format!("host={host}")),
            self.pool.as_ref().map(|pool| format!("pool={pool}")),
            (!self.tags.is_empty()).then(|| format!("tags={}", self.tags.join(","))),
            (!near.is_empty()).then(|| format!("near={}", near.join(","))),
            self.stage.map(|stage| format!("stage={}", if stage { "on" } else { "off" })),
            (!self.options.is_empty()).then(|| self.options.to_string()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        f.pad(&words.join(" "))
    }
}

/// A command and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// What it is to the dispatcher.
    pub kind: Kind,
    /// What listings call it.
    pub name: String,
    /// The arguments, `argv[0]` included.
    pub argv: Vec<Text>,
    /// The program's resolved path; `argv[0]` may differ.
    pub program: Text,
    /// The working directory.
    pub directory: Text,
    /// What it holds while it runs.
    pub resources: Resources,
    /// Jobs of higher priority start first.
    #[serde(default)]
    pub priority: i32,
    /// The longest that one attempt may run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<u64>,
    /// How often it is tried again.
    #[serde(default, skip_serializing_if = "Retries::is_none")]
    pub retries: Retries,
    /// Nobody waits for it: an agent runs it, and its output is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// Which element of an array it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<Element>,
    /// The jobs it follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Dependency>,
    /// Nothing else of the node is given out while it runs, so that all that comes out of
    /// its run goes one at a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sequential: bool,
    /// Where it may run.
    #[serde(default, skip_serializing_if = "Placement::is_anywhere")]
    pub placement: Placement,
    /// `umask` of a detached job; others have their client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The whitelist line that matched, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}
