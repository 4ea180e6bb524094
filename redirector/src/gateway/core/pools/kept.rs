//! What the next gateway has to know of allocations: a file for each, in `allocations/` of the
//! state directory.
//!
//! A file is written before the engine is asked, and once more when it has answered. So an
//! allocation without an id may have been taken or not; the engine's listing tells.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;

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

    /// What earlier gateways have left, and the number of their latest allocation. What cannot be
    /// read is put aside.
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
                claims.extend(read_or_put_aside(&path));
            } else if path.extension().is_some_and(|it| it == "log") && is_old(&path) {
                // One less is no loss, and the next gateway tries again.
                drop(fs::remove_file(path));
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

    /// An allocation is no more. Its log stays if that may tell why.
    pub(super) fn forget(&self, node: &NodeName, keeps_log: bool) {
        let log = Some(self.log(node)).filter(|_| !keeps_log);
        for file in log.into_iter().chain([self.file(node)]) {
            // What is not there need not be removed.
            drop(fs::remove_file(file));
        }
    }
}

/// Logs that somebody may look for are kept this long.
const LOG_AGE: Duration = Duration::from_hours(7 * 24);

fn is_old(file: &Path) -> bool {
    let changed = fs::metadata(file).and_then(|it| it.modified()).ok();
    changed.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > LOG_AGE)
}

/// What a file says. One that cannot be read costs its allocation only, and is kept for whoever
/// wants to know.
pub(super) fn read_or_put_aside<T: DeserializeOwned>(file: &Path) -> Option<T> {
    let read = fs::read(file).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    let error = match read {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    let aside = file.with_extension("unreadable");
    let kept = match fs::rename(file, &aside) {
        Ok(()) => format!("it is now {}", aside.display()),
        Err(error) => format!("it stays, for it cannot be renamed: {error}"),
    };
    tracing::error!(
        "{} cannot be read ({error}), and what it says of an allocation is not known; {kept}",
        file.display()
    );
    None
}

/// Writes a whole file, which a machine that loses its power has in full or as it was before.
pub(super) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = file.with_extension("new");
    let mut opened = fs::File::create(&draft)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    fs::rename(&draft, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_costs_nothing_but_itself() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept(directory.path().to_owned());
        write(&kept.last(), b"4\n").unwrap();
        let claim = r#"{"node":"p-3","pool":"p","name":"n","job":null,"id":"7",
            "size":{"cpus":1,"mem":null,"gpus":0,"others":{"cpus":0,"mem":0},"walltime":null}}"#;
        fs::write(kept.file(&NodeName("p-3".to_owned())), claim).unwrap();
        fs::write(kept.file(&NodeName("p-4".to_owned())), "").unwrap();
        let (claims, last) = kept.load().unwrap();
        let nodes: Vec<_> = claims.iter().map(|claim| &*claim.node.0).collect();
        assert_eq!((nodes, last), (vec!["p-3"], 4));
        assert!(directory.path().join("p-4.unreadable").exists());
    }

    #[test]
    fn the_log_of_what_failed_stays() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept(directory.path().to_owned());
        for (node, keeps_log) in [("p-1", false), ("p-2", true)] {
            let node = NodeName(node.to_owned());
            fs::write(kept.log(&node), "agent: no such file\n").unwrap();
            kept.forget(&node, keeps_log);
            assert_eq!(kept.log(&node).exists(), keeps_log);
        }
        kept.load().unwrap();
        assert!(kept.log(&NodeName("p-2".to_owned())).exists(), "it is not old");
    }
}
