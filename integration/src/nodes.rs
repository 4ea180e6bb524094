//! The records that `redirector nodes --json` prints.

use serde::Deserialize;

/// What the tests look at in a node's record.
#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// Whether it takes jobs: `up`, `connecting`, `unreachable`, `lost`, `draining`.
    pub state: String,
    /// Why it cannot be reached.
    #[serde(default)]
    pub problem: Option<String>,
}

impl Node {
    /// Whether jobs can be started there.
    pub fn is_up(&self) -> bool {
        self.state == "up"
    }
}
