//! What a command has done to its tree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::path::WholePath;
use crate::model::Text;

/// What is seen of a thing without a look into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// A directory.
    Directory,
    /// A file.
    File(Stamp),
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: Text,
    },
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When what is in it was changed last, in nanoseconds since 1970.
    pub changed: i64,
    /// When anything of it was changed last, its number of names included.
    pub touched: i64,
}

impl Stamp {
    /// As the file system has it.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        const SECOND: i64 = 1_000_000_000;
        let time = |seconds: i64, nanoseconds: i64| {
            seconds.saturating_mul(SECOND).saturating_add(nanoseconds)
        };
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: time(metadata.mtime(), metadata.mtime_nsec()),
            touched: time(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it is the same, but perhaps with more or fewer names.
    pub fn is_same_but_for_names(&self, other: &Self) -> bool {
        Self { touched: other.touched, ..*self } == *other
    }
}

/// What was laid out for the command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// All of it.
    pub things: BTreeMap<WholePath, Sight>,
    /// Files that are names of one that other jobs have too: they come and go.
    pub shared: BTreeSet<WholePath>,
}

/// What the command has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New or different; directories before what is in them.
    pub made: Vec<WholePath>,
    /// Not there any more; what is in directories before them.
    pub removed: Vec<WholePath>,
}

/// What has to be done to `before` to have `after`.
pub fn changes(before: &Before, after: &BTreeMap<WholePath, Sight>) -> Changes {
    let is_made = |path: &WholePath, now: &Sight| match (before.things.get(path), now) {
        (Some(Sight::File(was)), Sight::File(is)) if before.shared.contains(path) => {
            !was.is_same_but_for_names(is)
        }
        (was, now) => was != Some(now),
    };
    let made = after.iter().filter(|(path, now)| is_made(path, now));
    let removed = before.things.keys().rev().filter(|path| !after.contains_key(path));
    Changes {
        made: made.map(|(path, _)| path.clone()).collect(),
        removed: removed.cloned().collect(),
    }
}
