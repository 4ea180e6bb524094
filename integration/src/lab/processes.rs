//! What runs on a host.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::Lab;
use crate::Watched;

/// A process on a host, by its number on the machine.
pub struct HostProcess {
    /// The process.
    pub process: Watched,
    /// The file name of its program.
    pub program: String,
    /// Its arguments, with blanks between them.
    pub command_line: String,
}

impl HostProcess {
    fn read(directory: &Path) -> Option<Self> {
        let pid = directory.file_name()?.to_str()?.parse().ok()?;
        let process = Watched::new(pid)?;
        // Neither can be read once it has ended.
        let program = fs::read_link(directory.join("exe")).ok()?;
        let program = program.file_name()?.to_string_lossy().trim_end_matches(" (deleted)").into();
        let command_line = fs::read(directory.join("cmdline")).ok()?;
        let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
        Some(Self { process, program, command_line })
    }

    fn is_of_redirector(&self) -> bool {
        self.program == "redirector"
    }
}

impl Lab {
    /// What runs on a host, but for what is always there: its first process and sshd. Nothing
    /// for one that is down.
    ///
    /// # Panics
    ///
    /// When there is no `/proc`.
    pub fn processes(&self, host: &str) -> Vec<HostProcess> {
        let Some(first) = self.first_process(host) else { return Vec::new() };
        let namespace = namespace_of(format!("/proc/{first}"));
        let Some(namespace) = namespace else { return Vec::new() };
        let entries = fs::read_dir("/proc").expect("/proc is mounted").filter_map(Result::ok);
        entries
            .filter(|entry| entry.file_name() != OsStr::new(&first))
            .map(|entry| entry.path())
            .filter(|directory| namespace_of(directory).as_ref() == Some(&namespace))
            .filter_map(|directory| HostProcess::read(&directory))
            .filter(|process| process.program != "sshd")
            .collect()
    }

    /// The host on which the process runs that has the number `pid` on the machine.
    pub fn host_of(&self, pid: nix::unistd::Pid) -> Option<&str> {
        let namespace = namespace_of(format!("/proc/{pid}"))?;
        let hosts = self.hosts.iter().map(String::as_str);
        hosts.into_iter().find(|host| {
            let first = self.first_process(host);
            first.is_some_and(|first| {
                namespace_of(format!("/proc/{first}")).as_ref() == Some(&namespace)
            })
        })
    }

    /// The agents' processes on a host, shepherds included.
    pub fn agents(&self, host: &str) -> Vec<HostProcess> {
        self.processes(host).into_iter().filter(HostProcess::is_of_redirector).collect()
    }

    /// Demands that nothing is left of any job on the hosts that are up.
    ///
    /// # Panics
    ///
    /// When something is left.
    #[track_caller]
    pub fn assert_no_jobs_left(&self) {
        self.assert_none_left(|process| !process.is_of_redirector());
    }

    /// Demands that nothing of redirector's is left on the hosts that are up either.
    ///
    /// # Panics
    ///
    /// When something is left.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        self.assert_none_left(|_| true);
    }

    #[track_caller]
    fn assert_none_left(&self, counts: impl Fn(&HostProcess) -> bool) {
        // For processes that are on their way out.
        const PATIENCE_SECONDS: u16 = 10;

        let on_host = |host: &String| {
            let running = self.processes(host).into_iter().filter(&counts);
            let left = running.filter(|it| !it.process.ends_within_seconds(PATIENCE_SECONDS));
            left.map(|it| format!("{host}: {}", it.command_line)).collect::<Vec<_>>()
        };
        let left: Vec<String> = self.hosts.iter().flat_map(on_host).collect();
        assert!(left.is_empty(), "left running on hosts:\n{}", left.join("\n"));
    }

    /// The number that its first process has on the machine; `None`: the host is down.
    pub(super) fn first_process(&self, host: &str) -> Option<String> {
        let pid = fs::read_to_string(self.state().join(format!("run/host.{host}.pid"))).ok()?;
        Some(pid.trim().to_owned())
    }
}

fn namespace_of(process: impl AsRef<Path>) -> Option<PathBuf> {
    fs::read_link(process.as_ref().join("ns/pid")).ok()
}
