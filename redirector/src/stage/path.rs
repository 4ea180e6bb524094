//! Paths that lead nowhere else than they say.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::model::Text;

/// Each computer has its own files here: they are neither copied there nor brought back.
const SYSTEM: [&[u8]; 12] = [
    b"bin", b"boot", b"dev", b"etc", b"lib", b"lib32", b"lib64", b"libx32", b"proc", b"sbin",
    b"sys", b"usr",
];

/// Memory that people use for files.
const NOT_SYSTEM: &[u8] = b"/dev/shm";

/// An absolute path without `.`, `..` and empty parts. Which file it names is as plain as that
/// only if none of its directories is a symbolic link.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct WholePath(Vec<u8>);

/// What is no [`WholePath`].
#[derive(Debug, thiserror::Error)]
#[error("{path:?} is no absolute path without '.' and '..'")]
pub struct NotWhole {
    path: Text,
}

impl WholePath {
    /// `/`
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// `bytes`, if they are one.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes == b"/" {
            return Some(Self::root());
        }
        let parts = bytes.strip_prefix(b"/")?.split(|byte| *byte == b'/');
        parts.clone().all(is_name).then(|| Self(bytes.to_vec()))
    }

    /// The bytes, `/` first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path of this computer.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Its names, the outermost first.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// The directory that it is in; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        let (directory, _) = self.split()?;
        Some(directory)
    }

    /// The directory that it is in, and its name there; `None` for `/`.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        let at = self.0.iter().rposition(|byte| *byte == b'/').filter(|_| self.0.len() > 1)?;
        let directory = if at == 0 { Self::root() } else { Self(self.0[..at].to_vec()) };
        Some((directory, &self.0[at + 1..]))
    }

    /// What is called `name` in this directory; `None` if nothing can be called so.
    pub fn child(&self, name: &[u8]) -> Option<Self> {
        let slash: &[u8] = if self.0.len() > 1 { b"/" } else { b"" };
        is_name(name).then(|| Self([&self.0, slash, name].concat()))
    }

    /// Whether it is `directory` or anywhere below it.
    pub fn is_in(&self, directory: &Self) -> bool {
        let mut parts = self.parts();
        directory.parts().all(|part| parts.next() == Some(part))
    }

    /// Whether each computer has its own of it.
    pub fn is_systems(&self) -> bool {
        let is_exempt = self.0.strip_prefix(NOT_SYSTEM);
        self.parts().next().is_some_and(|first| SYSTEM.contains(&first))
            && !is_exempt.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    /// Where it is in a tree that begins at `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.0[1..]))
    }
}

/// Whether something in a directory can be called so.
fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

impl fmt::Debug for WholePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for WholePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl TryFrom<Text> for WholePath {
    type Error = NotWhole;

    fn try_from(path: Text) -> Result<Self, NotWhole> {
        Self::new(path.as_bytes()).ok_or(NotWhole { path })
    }
}

impl From<WholePath> for Text {
    fn from(path: WholePath) -> Self {
        Self(path.0)
    }
}
