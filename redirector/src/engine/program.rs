//! This program as a file, which is copied to hosts that do not have it.
//!
//! It is told from other builds by the digest of its bytes: a version number would be the same
//! for two builds of one day.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    sync::OnceLock,
};

use crate::random;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;

/// A build of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    file: PathBuf,
    /// Names it.
    pub digest: String,
    /// How long its file is, in bytes.
    pub length: u64,
}

impl Program {
    /// The one that is running, whatever is installed in its place by now.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn own() -> io::Result<&'static Self> {
        static OWN: OnceLock<Program> = OnceLock::new();
        if let Some(own) = OWN.get() {
            return Ok(own);
        }
        let own = Self::at("/proc/self/exe")?;
        Ok(OWN.get_or_init(|| own))
    }

    /// The one in `file`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn at(file: impl Into<PathBuf>) -> io::Result<Self> {
        let file = file.into();
        let mut open = File::open(&file)?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK];
        let mut length = 0;
        loop {
            match open.read(&mut chunk)? {
                0 => break,
                count => {
                    length += count as u64;
                    hasher.update(&chunk[..count]);
                }
            }
        }
        let digest = random::hex(&hasher.finalize().as_bytes()[..16]);
        Ok(Self { file, digest, length })
    }

    /// All its bytes.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        std::fs::read(&self.file)
    }
}
