//! A job on each of many hosts, and a client that waits for all of them: what LOFAR's master
//! recipe does with its `ComputeJob`s.
//!
//! ```text
//!  orders ─ submit ─► gateway       all at once; held, if a host may have only so many
//!     ┌── release ──►   │           the next of a host, when one of it has ended
//!  [Schedule] ◄─ ended ─┘           a question for each job, which is answered when it ends
//!     └── cancel ───►               all that is left: a signal, or the first failure if asked
//! ```
//!
//! What is known outlives the gateway: another one is asked for the rest.

mod drive;
mod schedule;

pub use drive::{Listener, Scatter, Signals, Ways, run, signal_name};
pub use schedule::{MaxPerNode, Schedule};

use crate::model::{JobId, NodeName, Outcome};

/// How one of the jobs ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which of the jobs it was, from 0, in the order of submission.
    pub index: usize,
    /// Its number.
    pub job: JobId,
    /// Its name in listings.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

impl Verdict {
    /// Whether the command did what was asked.
    pub const fn is_success(&self) -> bool {
        self.outcome.is_success()
    }
}

/// The nodes that a gateway knows, under the names that people have for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nodes {
    /// The gateway's own computer.
    pub own: NodeName,
    /// All, its own too.
    pub all: Vec<NodeName>,
}

impl Nodes {
    /// The node that `host` is: by its name, as `localhost`, or by its name without a domain.
    pub fn find(&self, host: &NodeName) -> Option<&NodeName> {
        let known = |name: &str| self.all.iter().find(|node| node.0 == name);
        let short = host.0.split('.').next().unwrap_or_default();
        match known(&host.0) {
            None if host.0 == "localhost" => Some(&self.own),
            None => known(short),
            found => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_several_names() {
        let node = |name: &str| NodeName(name.to_owned());
        let nodes = Nodes { own: node("head"), all: vec![node("head"), node("lce1"), node("a.b")] };
        for (host, expected) in [
            ("head", Some("head")),
            ("localhost", Some("head")),
            ("lce1.control.lofar", Some("lce1")),
            ("a.b", Some("a.b")),
            ("a", None),
            ("lce2", None),
            ("", None),
        ] {
            let found = nodes.find(&node(host)).map(|node| &*node.0);
            assert_eq!(found, expected, "{host}");
        }
    }
}
