//! What was asked for.

use serde::{Deserialize, Serialize};

use super::{Resources, Text};

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
    /// The whitelist line that matched, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
}
