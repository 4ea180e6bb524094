//! The records that `redirector jobs --json` prints.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Names a job or a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Id(Value);

/// As the command line takes it.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the tests look at in a job's record.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// The job's own id.
    pub id: Id,
    /// What listings call it.
    pub name: String,
    /// `held`, `waiting`, `queued`, `running` or `finished`.
    pub state: String,
    /// How it ended, such as `exited`; none before it did.
    pub outcome: Option<String>,
    /// The command's exit status, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the command, if one did.
    pub signal: Option<i32>,
    /// Why it ended, where that is not the command's own doing.
    pub reason: Option<String>,
    /// The computer that it runs or ran on; none before it was given one.
    #[serde(default)]
    pub node: Option<String>,
    /// The tries at running it. Listings leave them out, `redirector show` has them.
    pub attempts: Vec<Attempt>,
    /// When its resources were granted, in milliseconds since 1970.
    pub started: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    pub ended: Option<u64>,
    /// The command line, as the tool gave it; what is not UTF-8 as it stands in the JSON.
    #[serde(deserialize_with = "arguments")]
    pub argv: Vec<String>,
    /// The whitelist rule that matched; none for what `redirector run` was asked to start.
    pub rule: Option<Rule>,
    /// The job whose process submitted this one.
    pub spawned_by: Option<Id>,
    /// The run it belongs to: the same for all that one person's command started.
    pub run: Option<Id>,
}

fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values: Vec<Value> = Deserialize::deserialize(deserializer)?;
    Ok(values
        .iter()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect())
}

/// The whitelist line that made a command a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// Its pattern.
    pub pattern: String,
}

/// One try at running a job.
#[derive(Clone, Debug, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// The computer that it ran on.
    pub node: String,
    /// How it ended, such as `exited`.
    pub outcome: String,
    /// The command's exit status, if it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the command, if one did.
    pub signal: Option<i32>,
    /// What is to be said of that, where it is not the command's own doing.
    pub reason: Option<String>,
}

impl Attempt {
    /// How it ended, as listings show it.
    pub fn ending(&self) -> String {
        ending(&self.outcome, self.exit_code.or(self.signal))
    }
}

fn ending(outcome: &str, number: Option<i32>) -> String {
    number.map_or_else(|| outcome.to_owned(), |number| format!("{outcome}({number})"))
}

impl Job {
    /// How it ended, as listings show it: `exited(0)`, `signaled(9)`, `cancelled`; empty before.
    pub fn ending(&self) -> String {
        ending(self.outcome.as_deref().unwrap_or_default(), self.exit_code.or(self.signal))
    }

    /// File name of the program, as `argv[0]` has it.
    ///
    /// # Panics
    ///
    /// When the record has no arguments, which no command line lacks.
    pub fn program(&self) -> &str {
        let name = self.argv.first().expect("a command line has a program");
        name.rsplit('/').next().unwrap_or(name)
    }
}
