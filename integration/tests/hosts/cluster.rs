//! A session whose gateway reaches the hosts of a lab.

use std::{fs, path::Path, thread, time::Instant};

use integration::{
    DEADLINE, Finished, HostFiles, HostSettings, Job, Lab, Listener, Running, Session, Way,
    Witness, assert_same, begin,
};

/// Demands, when it is dropped, that nothing is left of any job on any host.
pub(crate) struct Cluster {
    /// None only while it is dropped: the gateway has to end before its hosts do.
    session: Option<Session>,
    pub(crate) lab: Lab,
}

impl Cluster {
    /// So many hosts with two cpus each and the machine's files; `None` where there can be none.
    #[track_caller]
    pub(crate) fn start(hosts: usize, whitelist: &str) -> Option<Self> {
        Self::configured(hosts, whitelist, &HostSettings::default())
    }

    /// As [`Cluster::start`], with other settings.
    #[track_caller]
    pub(crate) fn configured(
        hosts: usize,
        whitelist: &str,
        settings: &HostSettings,
    ) -> Option<Self> {
        Some(Self::of(Lab::start(hosts, HostFiles::Shared)?, whitelist, settings))
    }

    pub(crate) fn of(lab: Lab, whitelist: &str, settings: &HostSettings) -> Self {
        let session = Session::on_lab(&lab, whitelist, settings);
        Self { session: Some(session), lab }
    }

    /// So many hosts that have the machine's programs, but none of the session's files.
    #[track_caller]
    pub(crate) fn without_files(
        hosts: usize,
        whitelist: &str,
        settings: &HostSettings,
    ) -> Option<Self> {
        Some(Self::without_files_on(Lab::start(hosts, HostFiles::Private)?, whitelist, settings))
    }

    /// As [`Cluster::without_files`], on these hosts.
    pub(crate) fn without_files_on(lab: Lab, whitelist: &str, settings: &HostSettings) -> Self {
        let session = Session::away_from_hosts(&lab, whitelist, settings);
        Self { session: Some(session), lab }
    }

    pub(crate) fn session(&self) -> &Session {
        self.session.as_ref().expect("it is there until this is dropped")
    }

    /// Waits until jobs can be started on all these hosts.
    #[track_caller]
    pub(crate) fn wait_until_up(&self, hosts: &[&str]) {
        until("the hosts are up", || {
            let nodes = self.session().nodes();
            let is_up = |host: &&str| nodes.iter().any(|it| it.node == **host && it.is_up());
            hosts.iter().all(is_up)
        });
    }

    /// Starts a job that lives until it is given an order. The listener's name must be new.
    #[track_caller]
    pub(crate) fn start_witness(&self, name: &str, options: &[&str]) -> (Running, Witness) {
        let listener = Listener::new(&self.session().directory(), name);
        let mut command =
            self.session().command(Way::Preloaded, "env", ["witness", listener.path()]);
        let client = begin(command.args(options));
        (client, listener.accept())
    }

    /// As [`Cluster::start_witness`] for one that can be tried again: what went into a pipe could
    /// not be taken back, so its output goes into files. Each try reports to `listener`.
    #[track_caller]
    pub(crate) fn begin_witness(&self, listener: &Listener) -> Running {
        let script = "exec env witness \"$1\" >output 2>complaints";
        let arguments = ["-c", script, "job", listener.path()];
        begin(&mut self.session().command(Way::Preloaded, "bash", arguments))
    }

    /// The host on which a witness runs.
    #[track_caller]
    pub(crate) fn host_of(&self, witness: &Witness) -> &str {
        self.lab.host_of(witness.pid()).expect("it runs on a host")
    }

    /// Runs a script as it is, and with jobs on the hosts; demands that nobody can tell the two
    /// apart, and that there were so many jobs.
    #[track_caller]
    pub(crate) fn assert_same(&self, what: &str, script: &str, jobs: usize) {
        let before = self.session().commands().len();
        let plain = self.session().bash(Way::Plain, script);
        for (ways, way) in (1..).zip(Way::REDIRECTED) {
            let redirected = self.session().bash(way, script);
            assert_same(&format!("{what}, {way:?}"), &plain, &redirected);
            let made = self.session().commands().len() - before;
            assert_eq!(made, jobs * ways, "{what}, {way:?}: number of jobs");
        }
    }

    /// The only record of a whitelisted command.
    #[track_caller]
    pub(crate) fn only_command(&self) -> Job {
        let mut commands = self.session().commands();
        assert_eq!(commands.len(), 1, "{commands:?}");
        self.session().show(&commands.remove(0))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.lab.assert_no_jobs_left();
        }
        drop(self.session.take());
    }
}

/// Waits for something that nobody reports, by asking again and again.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        thread::yield_now();
    }
}

/// A line of redirector's has all these parts.
#[track_caller]
pub(crate) fn assert_says(finished: &Finished, parts: &[&str]) {
    let says = |line: &str| {
        line.starts_with("redirector: ") && parts.iter().all(|part| line.contains(part))
    };
    let complaint = finished.complaint();
    assert!(complaint.lines().any(says), "a line of redirector's with {parts:?}: {finished}");
}

/// Makes `content` a program.
pub(crate) fn write_script(file: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(file, content).expect("the session's directory is writable");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("just made");
}
