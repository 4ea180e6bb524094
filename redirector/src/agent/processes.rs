//! What `/proc` says about the processes of this computer.

use std::{fs, path::Path};

/// A process, as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub pid: i32,
    /// `R`, `S`, `D`, `Z`, … (proc(5)).
    pub state: u8,
    pub parent: i32,
    pub session: i32,
    /// Processor time in user mode and in the kernel, in clock ticks.
    pub ticks: u64,
    /// In clock ticks since the start of the computer; no later process with this id has the same.
    pub start_time: u64,
    /// Memory that it has, shared or not, in pages.
    pub resident: u64,
    /// It is about to become another program, and nobody can see yet in what environment.
    pub is_starting: bool,
}

impl Process {
    /// The process `pid`, if there is one.
    pub(crate) fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: i32, stat: &str) -> Option<Self> {
        // Fields are counted from behind the name, which may hold anything (proc(5)).
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse().ok();
        let resident = number(21)?;
        Some(Self {
            pid,
            // The end of the environment; the kernel sets it late in execve. A kernel thread
            // has none either, and no memory.
            is_starting: resident > 0 && number(48) == Some(0),
            state: *fields.first()?.as_bytes().first()?,
            parent: number(1)? as i32,
            session: number(3)? as i32,
            ticks: number(11)? + number(12)?,
            start_time: number(19)?,
            resident,
        })
    }

    /// Whether one of the process's environment entries is one of `entries`; false if it
    /// is another user's.
    pub(crate) fn has_variable(&self, entries: &[Vec<u8>]) -> bool {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entries.iter().any(|wanted| wanted == entry))
    }

    /// Whether this process may look into it: of others it looks as if they never had started.
    pub(crate) fn is_own(&self) -> bool {
        fs::File::open(format!("/proc/{}/environ", self.pid)).is_ok()
    }
}

/// All processes that can be seen.
pub(crate) fn all() -> impl Iterator<Item = Process> {
    let directory = fs::read_dir(Path::new("/proc")).into_iter().flatten();
    directory.filter_map(|entry| Process::read(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 3 7 5 0 -1 0 0 0 0 0 11 22 0 0 20 0 1 0 99 4096 33 0";
        let process = Process::parse(7, stat).unwrap();
        assert_eq!(
            process,
            Process {
                pid: 7,
                state: b'S',
                parent: 3,
                session: 5,
                ticks: 33,
                start_time: 99,
                resident: 33,
                is_starting: false,
            }
        );
        assert_eq!(Process::parse(7, "7 (sh) S 3"), None);
    }

    #[test]
    fn this_process_is_among_all() {
        let own = std::process::id() as i32;
        let found = all().find(|process| process.pid == own).expect("it runs");
        assert!(found.resident > 0);
        assert_eq!(found.session, Process::read(own).expect("it runs").session);
    }
}
