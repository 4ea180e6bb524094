//! What facts are read from: the files of the kernel, the environment, this process's cpus.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};

/// A computer, or a directory that a test has made to look like one.
pub(super) struct Computer<'a> {
    /// Where `/proc`, `/sys` and `/dev` are.
    pub root: &'a Path,
    /// Values of variables.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// The cpus that this process may run on, by the kernel's numbers.
    pub affinity: Vec<u32>,
}

impl Computer<'_> {
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of the file at an absolute path; `None` if it is not there.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.place(path.as_ref())).ok()
    }

    /// The names in the directory at an absolute path.
    pub(super) fn names_in(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.place(path.as_ref())).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
    }

    /// The value of a variable; an empty one is a value.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }
}

/// The cpus that this process may run on.
pub(super) fn affinity() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        // More cpus than a cpu_set_t has room for.
        let count = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        return (0..count as u32).collect();
    };
    let may_run_on = |cpu: &usize| set.is_set(*cpu).unwrap_or(false);
    (0..CpuSet::count()).filter(may_run_on).map(|cpu| cpu as u32).collect()
}
