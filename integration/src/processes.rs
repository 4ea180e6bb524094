//! Finds what a session left running.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path};

/// A process that is alive.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command_line: String,
}

/// The live processes in whose environment or command line `path` appears.
///
/// Every command of a session has the session's directory in its environment (`HOME`, `TMPDIR`),
/// and the gateway has its state directory, so nothing that a session started escapes this.
pub(crate) fn mentioning(path: &Path) -> Vec<Process> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name() != OsStr::new(&own))
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter_map(|(pid, directory)| {
            // Both are empty for a process that has ended and was not waited for yet.
            let command_line = fs::read(directory.join("cmdline")).ok()?;
            let environment = fs::read(directory.join("environ")).unwrap_or_default();
            let needle = path.as_os_str().as_bytes();
            (contains(&command_line, needle) || contains(&environment, needle)).then(|| Process {
                pid,
                command_line: String::from_utf8_lossy(&command_line).replace('\0', " "),
            })
        })
        .collect()
}

/// The command lines of live processes in whose environment or command line `path` appears.
///
/// # Panics
///
/// When there is no `/proc`.
pub fn left_in(path: &Path) -> Vec<String> {
    mentioning(path).into_iter().map(|process| process.command_line).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
