//! How often a job is tried again, by cause.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Outcome;

/// How often a job is tried again after each kind of failure.
///
/// ```
/// # use redirector::model::Retries;
/// let retries: Retries = "node:3,oom:2".parse()?;
/// assert_eq!(retries, Retries { node: 3, oom: 2, exit: 0 });
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retries {
    /// After its node or agent was lost while it ran.
    pub node: u32,
    /// After it ran out of memory; each time it gets half as much again.
    pub oom: u32,
    /// After the command failed: an exit status other than 0, or a signal.
    pub exit: u32,
}

/// Why a job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its node or agent was lost.
    Node,
    /// It ran out of memory.
    Memory,
    /// The command failed.
    Exit,
}

impl Cause {
    /// The cause that `outcome` is, if that may be a reason to try again.
    pub const fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Lost { .. } => Some(Self::Node),
            Outcome::OutOfMemory { .. } => Some(Self::Memory),
            Outcome::Exited { exit_code: 0 } => None,
            Outcome::Exited { .. } | Outcome::Signaled { .. } => Some(Self::Exit),
            _ => None,
        }
    }
}

impl Retries {
    /// Whether it is tried once and never again.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// One retry less after `cause`; `None` if there is none left.
    #[must_use]
    pub fn after(mut self, cause: Cause) -> Option<Self> {
        let left = match cause {
            Cause::Node => &mut self.node,
            Cause::Memory => &mut self.oom,
            Cause::Exit => &mut self.exit,
        };
        *left = left.checked_sub(1)?;
        Some(self)
    }
}

impl FromStr for Retries {
    type Err = String;

    /// A number for every cause alike, or `node:3,oom:2,exit:1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            || format!("expected a number such as 2, or node:3,oom:2,exit:1, found '{text}'");
        if let Ok(number) = text.parse() {
            return Ok(Self { node: number, oom: number, exit: number });
        }
        let mut retries = Self::default();
        for part in text.split(',') {
            let (cause, number) = part.split_once(':').ok_or_else(expected)?;
            let number = number.parse().map_err(|_| expected())?;
            match cause {
                "node" => retries.node = number,
                "oom" => retries.oom = number,
                "exit" => retries.exit = number,
                _ => return Err(expected()),
            }
        }
        Ok(retries)
    }
}

impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, oom, exit } = self;
        write!(f, "node:{node},oom:{oom},exit:{exit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_for_every_cause() {
        assert_eq!("2".parse(), Ok(Retries { node: 2, oom: 2, exit: 2 }));
        assert_eq!("exit:1,node:3".parse(), Ok(Retries { node: 3, oom: 0, exit: 1 }));
        for wrong in ["", "two", "oom", "oom:x", "disk:1", "oom:1,", "-1"] {
            assert!(wrong.parse::<Retries>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn retries_are_used_up_cause_by_cause() {
        let retries = Retries { node: 1, oom: 0, exit: 0 };
        assert_eq!(retries.after(Cause::Memory), None);
        let left = retries.after(Cause::Node).unwrap();
        assert_eq!(left.after(Cause::Node), None);
    }
}
