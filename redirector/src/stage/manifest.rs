//! What a job's tree is to have when its command starts.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::path::WholePath;
use crate::model::Text;

/// Names what is in a file: its blake3 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// What [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = blake3::Hash::from_hex(text).ok()?;
        let digest = Self(*hash.as_bytes());
        (digest.to_string() == text).then_some(digest)
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("'{text}' is no digest"))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thing {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// What is in it.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// Its permission bits.
        mode: u32,
        /// When it was changed last, in nanoseconds since 1970.
        changed: i64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads; an absolute path is one of the gateway's computer.
        target: Text,
    },
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Manifest {
    /// The working directory.
    pub directory: WholePath,
    /// What there is to be. Directories on the way that are not among them are made.
    pub things: BTreeMap<WholePath, Thing>,
    /// Where the host has the program, if it has to be seen.
    pub program: Option<Text>,
    /// Most bytes that the host is to keep for later jobs; `None`: as it sees fit.
    pub cache_size: Option<u64>,
}

/// As it travels: names that are not UTF-8 cannot be keys in JSON.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    directory: WholePath,
    things: Vec<(WholePath, Thing)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_size: Option<u64>,
}

impl From<Manifest> for Written {
    fn from(manifest: Manifest) -> Self {
        let Manifest { directory, things, program, cache_size } = manifest;
        Self { directory, things: things.into_iter().collect(), program, cache_size }
    }
}

/// Things cannot be where they are said to be.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be there, because {ancestor} is no directory")]
pub struct Impossible {
    path: WholePath,
    ancestor: WholePath,
}

impl TryFrom<Written> for Manifest {
    type Error = Impossible;

    /// Nothing is laid through a symbolic link, which may lead out of the tree.
    fn try_from(written: Written) -> Result<Self, Impossible> {
        let Written { directory, things, program, cache_size } = written;
        let things: BTreeMap<_, _> = things.into_iter().collect();
        let is_directory =
            |path: &WholePath| things.get(path).is_none_or(|thing| *thing == Thing::Directory);
        for path in things.keys().chain([&directory]) {
            let mut ancestor = path.parent();
            while let Some(above) = ancestor {
                if !is_directory(&above) {
                    return Err(Impossible { path: path.clone(), ancestor: above });
                }
                ancestor = above.parent();
            }
        }
        if !is_directory(&directory) {
            return Err(Impossible { path: directory.clone(), ancestor: directory });
        }
        Ok(Self { directory, things, program, cache_size })
    }
}

/// Where a symbolic link leads in the tree at `root`, if `target` is where it leads here.
pub fn target_there(target: &Text, root: &[u8]) -> Text {
    match WholePath::new(target.as_bytes()) {
        Some(path) if !path.is_systems() => Text([root, target.as_bytes()].concat()),
        _ => target.clone(),
    }
}

/// The reverse of [`target_there`].
pub fn target_here(target: &Text, root: &[u8]) -> Text {
    match target.as_bytes().strip_prefix(root) {
        Some(b"") => Text::from("/"),
        Some(rest) if rest.starts_with(b"/") => Text::from(rest),
        _ => target.clone(),
    }
}
