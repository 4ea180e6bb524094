//! Memory limits that the kernel keeps: a control group (version 2) for each attempt.
//!
//! ```text
//!  <the agent's own group>            must be delegated to this user, with nothing else in it
//!  ├─ redirector-agent                the agent and its shepherds
//!  └─ redirector-job-7.1              attempt 1 at job 7: memory.max, cgroup.kill, …
//! ```
//!
//! Where that cannot be had, [`super::watch`] looks at the processes instead.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use super::protocol::AttemptId;

/// The group that the agent itself moves to: one with groups below it that have limits may
/// have no processes of its own.
const OWN_GROUP: &str = "redirector-agent";

/// A directory of `/sys/fs/cgroup` in which a group can be made for each attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlGroups {
    directory: PathBuf,
}

/// The group of one attempt; removed when dropped.
#[derive(Debug)]
pub(super) struct ControlGroup {
    directory: PathBuf,
    entrance: File,
}

impl ControlGroups {
    /// The groups below `directory`, which [`Self::delegated`] found.
    pub(super) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where they are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Those below this process's own group; an error is why there can be none.
    pub(super) fn delegated() -> io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let directory = own_group(&groups, &mounts)
            .ok_or_else(|| io::Error::other("this process is in no control group of version 2"))?;
        Self::prepare(directory, std::process::id())
    }

    /// Moves `process`, the only one there, out of the way and has memory accounted below.
    fn prepare(directory: PathBuf, process: u32) -> io::Result<Self> {
        let controllers = fs::read_to_string(directory.join("cgroup.controllers"))?;
        if !controllers.split_whitespace().any(|controller| controller == "memory") {
            return Err(io::Error::other(format!(
                "the group {} cannot limit memory",
                directory.display()
            )));
        }
        let own = directory.join(OWN_GROUP);
        make(&own)?;
        let moved = write(&own, "cgroup.procs", &process.to_string())
            .and_then(|()| write(&directory, "cgroup.subtree_control", "+memory"));
        let groups = Self { directory };
        match moved {
            Ok(()) => Ok(groups),
            Err(error) => {
                groups.give_back(process);
                Err(error)
            }
        }
    }

    /// Undoes what [`Self::delegated`] did to the group of `process`, as far as possible.
    pub(super) fn give_back(&self, process: u32) {
        // Each fails where it was not done; what else could be done about it is nothing.
        drop(write(&self.directory, "cgroup.subtree_control", "-memory"));
        drop(write(&self.directory, "cgroup.procs", &process.to_string()));
        drop(fs::remove_dir(self.directory.join(OWN_GROUP)));
    }

    /// A group for `attempt` whose processes may have `mem` bytes together.
    pub(super) fn create(&self, attempt: AttemptId, mem: u64) -> io::Result<ControlGroup> {
        let AttemptId { job, number } = attempt;
        let directory = self.directory.join(format!("redirector-job-{job}.{number}"));
        make(&directory)?;
        let set_up = || -> io::Result<File> {
            write(&directory, "memory.max", &mem.to_string())?;
            // All of it or nothing: half a pipeline is of no use. Came with Linux 4.19.
            drop(write(&directory, "memory.oom.group", "1"));
            // There is no such file where there is no swap.
            drop(write(&directory, "memory.swap.max", "0"));
            OpenOptions::new().write(true).open(directory.join("cgroup.procs"))
        };
        match set_up() {
            Ok(entrance) => Ok(ControlGroup { directory, entrance }),
            Err(error) => {
                drop(fs::remove_dir(&directory));
                Err(error)
            }
        }
    }
}

impl ControlGroup {
    /// A process that writes `0` to it is in the group.
    pub(super) fn entrance(&self) -> BorrowedFd<'_> {
        self.entrance.as_fd()
    }

    /// Kills all that is in it. Came with Linux 5.14; the processes are also found otherwise.
    pub(super) fn kill(&self) {
        drop(write(&self.directory, "cgroup.kill", "1"));
    }

    /// Whether the kernel killed something in it for want of memory.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.directory.join("memory.events")).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count.trim() != "0")
    }

    /// The most memory that its processes had together, in bytes. Came with Linux 5.19.
    pub(super) fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.directory.join("memory.peak")).ok()?.trim().parse().ok()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.directory) {
            eprintln!(
                "redirector: cannot remove the control group {}: {error}",
                self.directory.display()
            );
        }
    }
}

/// The directory of the version 2 group in `/proc/PID/cgroup`'s text, by the mounts in
/// `/proc/PID/mountinfo`'s.
fn own_group(groups: &str, mounts: &str) -> Option<PathBuf> {
    let group = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::"))?);
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        if file_system.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        Some(Path::new(mount_point).join(group.strip_prefix(root).ok()?))
    })
}

fn make(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        // Left behind by one that was killed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn write(directory: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = directory.join(file);
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;

    /// A directory with `files`, as the kernel would have made them.
    fn mimic(directory: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(directory).unwrap();
        for (name, content) in files {
            fs::write(directory.join(name), content).unwrap();
        }
    }

    fn text(directory: &Path, file: &str) -> String {
        fs::read_to_string(directory.join(file)).unwrap()
    }

    #[test]
    fn the_own_group_is_found_below_its_mount() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      31 23 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 none rw\n";
        let groups = "4:memory:/x\n0::/user.slice/run-7.scope\n";
        let expected = "/sys/fs/cgroup/unified/user.slice/run-7.scope";
        assert_eq!(own_group(groups, mounts), Some(expected.into()));
        assert_eq!(own_group("4:memory:/x\n", mounts), None);
        let in_a_container = "31 23 0:27 /user.slice /mnt rw - cgroup2 none rw\n";
        assert_eq!(own_group(groups, in_a_container), Some("/mnt/run-7.scope".into()));
    }

    #[test]
    fn detection_agrees_with_this_computer() {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        if let Some(directory) = own_group(&groups, &mounts) {
            let members = text(&directory, "cgroup.procs");
            let own = std::process::id().to_string();
            assert!(members.lines().any(|line| line == own), "{}", directory.display());
        }
    }

    #[test]
    fn a_group_that_cannot_limit_memory_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        mimic(directory.path(), &[("cgroup.controllers", "cpu io\n")]);
        let error = ControlGroups::prepare(directory.path().into(), 7).unwrap_err();
        assert!(error.to_string().contains("cannot limit memory"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_agent_moves_out_of_the_way_of_its_attempts() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let files = [("cgroup.controllers", "cpu memory\n"), ("cgroup.subtree_control", "")];
        mimic(root, &files);
        mimic(&root.join(OWN_GROUP), &[("cgroup.procs", "")]);
        let groups = ControlGroups::prepare(root.into(), 7).unwrap();
        assert_eq!(groups, ControlGroups::at(root.into()));
        assert_eq!(text(root, "cgroup.subtree_control"), "+memory");
        assert_eq!(text(&root.join(OWN_GROUP), "cgroup.procs"), "7");
    }

    #[test]
    fn an_attempt_is_limited_and_its_end_is_told_from_an_end_for_want_of_memory() {
        let directory = tempfile::tempdir().unwrap();
        let group = directory.path().join("redirector-job-7.2");
        let files = ["memory.max", "memory.swap.max", "memory.oom.group", "cgroup.procs"];
        mimic(&group, &files.map(|name| (name, "")));
        mimic(&group, &[("memory.events", "low 0\noom 0\noom_kill 0\n"), ("cgroup.kill", "")]);
        let groups = ControlGroups::at(directory.path().into());
        let attempt = AttemptId { job: JobId(7), number: 2 };
        let made = groups.create(attempt, 1 << 20).unwrap();
        assert_eq!(text(&group, "memory.max"), "1048576");
        assert_eq!(text(&group, "memory.swap.max"), "0");
        assert!(!made.ran_out_of_memory());
        assert_eq!(made.peak(), None);
        mimic(&group, &[("memory.events", "low 0\noom 1\noom_kill 2\n"), ("memory.peak", "99\n")]);
        assert!(made.ran_out_of_memory());
        assert_eq!(made.peak(), Some(99));
        made.kill();
        assert_eq!(text(&group, "cgroup.kill"), "1");
    }

    #[test]
    fn what_cannot_be_limited_is_said_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let groups = ControlGroups::at(directory.path().into());
        let error = groups.create(AttemptId::default(), 1).unwrap_err();
        assert!(error.to_string().contains("memory.max"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "it is removed again");
    }
}
