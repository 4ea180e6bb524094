//! What the next gateway has to know of allocations: a file for each, in `allocations/` of the
//! state directory.
//!
//! A file is written before the engine is asked, and once more when it has answered. So an
//! allocation without an id may have been taken or not; the engine's listing tells.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::allocation::Claim;
use crate::{
    engine::batch::{End, Memory, Status, out_of_memory},
    model::NodeName,
    place::StateDirectory,
};

/// Most characters of an allocation's last line that are repeated.
const LONGEST: usize = 300;

/// The directory of those files.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

impl Kept {
    pub(super) fn in_directory(state: &StateDirectory) -> Self {
        Self(state.allocations())
    }

    /// Where an allocation's own output goes.
    pub(super) fn log(&self, node: &NodeName) -> PathBuf {
        self.0.join(format!("{node}.log"))
    }

    fn file(&self, node: &NodeName) -> PathBuf {
        self.0.join(format!("{node}.json"))
    }

    fn last(&self) -> PathBuf {
        self.0.join("last")
    }

    /// What earlier gateways have left, and the number of their latest allocation.
    pub(super) fn load(&self) -> io::Result<(Vec<Claim>, u64)> {
        fs::create_dir_all(&self.0)?;
        let last = match fs::read_to_string(self.last()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            read => read?.trim().parse().map_err(io::Error::other)?,
        };
        let mut claims = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "json") {
                claims.push(serde_json::from_slice(&fs::read(path)?)?);
            }
        }
        Ok((claims, last))
    }

    /// Remembers an allocation, and that there have been `last` of them.
    pub(super) fn keep(&self, claim: &Claim, last: u64) -> io::Result<()> {
        write(&self.last(), last.to_string().as_bytes())?;
        write(&self.file(&claim.node), &serde_json::to_vec(claim)?)
    }

    /// What an allocation's own output adds to what the engine says of its end.
    pub(super) fn with_last_words(
        &self,
        node: &NodeName,
        status: Status,
    ) -> (Status, Option<String>) {
        let Status::Ended(end) = status else { return (status, None) };
        let Ok(log) = fs::read(self.log(node)) else { return (Status::Ended(end), None) };
        let log = String::from_utf8_lossy(&log);
        let is_unexplained = matches!(end, End::Done(_) | End::Signal(_) | End::Failed(_));
        let end = if is_unexplained && out_of_memory(&log) { End::OutOfMemory } else { end };
        let last = log.lines().rfind(|line| !line.trim().is_empty());
        (Status::Ended(end), last.map(|line| line.chars().take(LONGEST).collect()))
    }

    /// What an allocation's own output says of the memory for which it was ended.
    pub(super) fn memory(&self, node: &NodeName) -> Option<Memory> {
        let log = fs::read(self.log(node)).ok()?;
        Memory::told(&String::from_utf8_lossy(&log))
    }

    /// An allocation is no more.
    pub(super) fn forget(&self, node: &NodeName) {
        for file in [self.file(node), self.log(node)] {
            // What is not there need not be removed.
            drop(fs::remove_file(file));
        }
    }
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = file.with_extension("new");
    fs::write(&draft, bytes)?;
    fs::rename(&draft, file)
}
