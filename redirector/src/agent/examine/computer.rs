//! What this computer is, and how much room there is.

use std::{fs, io, path::Path};

use nix::sys::{
    resource::{Resource, getrlimit},
    statvfs::{FsFlags, statvfs},
    utsname::uname,
};
use serde::{Deserialize, Serialize};

use crate::model::Text;

/// What can be said without being asked more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Computer {
    /// As `uname -s -m` has it.
    pub system: String,
    /// The agent's version.
    pub version: String,
    /// Where the agent's program is.
    pub program: Text,
    /// Of the agent's own directory.
    pub state: Result<Room, String>,
    /// Of the directory that was asked for; `None`: there is none.
    pub directory: Option<Result<Room, String>>,
    /// What the agent, and so each job, may have.
    pub open_files: OpenFiles,
    /// No program can be run from `/tmp`.
    pub is_tmp_noexec: bool,
}

/// How much can be written to a file system by this user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// A directory on it.
    pub directory: Text,
    /// Bytes.
    pub bytes: u64,
    /// Files; `None` where they are not counted.
    pub files: Option<u64>,
}

/// How many files a process may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenFiles {
    /// So many without asking.
    pub soft: u64,
    /// So many if it asks.
    pub hard: u64,
}

impl Computer {
    /// This one, on which the agent has its files in `state`.
    pub(super) fn look(state: &Path, directory: &Path) -> Self {
        let system = uname().map_or_else(
            |_| std::env::consts::OS.to_owned(),
            |names| {
                let (system, machine) = (names.sysname(), names.machine());
                format!("{} {}", system.to_string_lossy(), machine.to_string_lossy())
            },
        );
        let room = |directory| Room::of(directory).map_err(|error| error.to_string());
        Self {
            system,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: Text::from(std::env::current_exe().unwrap_or_default()),
            state: room(state),
            directory: fs::metadata(directory).is_ok().then(|| room(directory)),
            open_files: OpenFiles::of_this_process(),
            is_tmp_noexec: is_noexec(Path::new("/tmp")),
        }
    }
}

impl Room {
    /// Of the file system that has `directory`.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        let disk = statvfs(directory)?;
        // Some file systems make room for files as they need it, and say that there is none.
        let files = (disk.files() > 0).then(|| disk.files_available());
        let bytes = disk.blocks_available().saturating_mul(disk.fragment_size());
        Ok(Self { directory: Text::from(directory.to_owned()), bytes, files })
    }
}

impl OpenFiles {
    pub(crate) fn of_this_process() -> Self {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
        Self { soft, hard }
    }
}

/// Whether the file system that has `directory` forbids to run programs from it.
fn is_noexec(directory: &Path) -> bool {
    statvfs(directory).is_ok_and(|disk| disk.flags().contains(FsFlags::ST_NOEXEC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computer_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let computer = Computer::look(directory.path(), &missing);
        assert_eq!(computer.directory, None);
        assert!(computer.state.unwrap().bytes > 0);
        assert!(computer.system.starts_with("Linux "), "{}", computer.system);
        let OpenFiles { soft, hard } = computer.open_files;
        assert!(0 < soft && soft <= hard);
        // What the kernel makes up has room for nothing.
        let room = Room::of(Path::new("/proc")).unwrap();
        assert_eq!((room.bytes, room.files), (0, None));
        assert!(!is_noexec(&std::env::current_exe().unwrap()), "it runs");
    }
}
