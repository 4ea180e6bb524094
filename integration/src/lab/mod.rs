//! Computers to log in to by ssh, for one test.
//!
//! ```text
//!   the machine        what the test itself runs on
//!   ┌ head ──────────┐ a network and a host name of its own; the machine's files and processes.
//!   │  gateway, ssh  │ A session that was made on the lab runs everything here.
//!   └───┬────┬───┬───┘
//!       │    │   │     cables that can be cut
//!      h1   h2  h3     sshd; a network, a name, processes and mounts of their own
//! ```
//!
//! ```no_run
//! use integration::{HostFiles, HostSettings, Lab, Session, Way};
//!
//! let Some(lab) = Lab::start(2, HostFiles::Shared) else { return };
//! let session = Session::on_lab(&lab, "hostname tags=lab\n", &HostSettings::default());
//! let told = session.bash(Way::Preloaded, "env hostname").expect_success("a job on a host");
//! assert!(["h1\n", "h2\n"].contains(&told.text().as_str()));
//! ```
//!
//! Labs know nothing of each other: their networks have the same addresses, and no way out. What
//! makes hosts of namespaces is `integration/testbed/sshhosts.sh`.

mod engine;
mod faults;
mod head;
mod holder;
mod processes;

use std::{
    env,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    net::{IpAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

pub use engine::EngineLab;
pub(crate) use head::Head;
use holder::Holder;
pub use processes::HostProcess;

use crate::{
    Artefacts,
    finish::{Finished, finish},
    programs_directory,
};

/// Set by who wants tests that need namespaces to be skipped where there can be none.
const MAY_BE_SKIPPED: &str = "REDIRECTOR_TESTS_WITHOUT_NAMESPACES";

/// What hosts have on their disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFiles {
    /// The machine's files, as with a cluster's file system; but `/tmp`, `/var/tmp` and `/run` are
    /// each host's own, and root's home is the lab's.
    Shared,
    /// The machine's programs; else nothing but [`Lab::directory`] and what is written there.
    Private,
}

/// What `redirector.toml` says of each host.
#[derive(Clone, Copy, Debug)]
pub struct HostSettings<'a> {
    /// Cpus for jobs.
    pub cpus: u32,
    /// Further lines of `[ssh]`.
    pub ssh: &'a str,
    /// Further lines of each `[[hosts]]`.
    pub each: &'a str,
}

impl Default for HostSettings<'_> {
    fn default() -> Self {
        Self { cpus: 2, ssh: "", each: "" }
    }
}

/// A head and hosts, named `h1`, `h2`, … They end, with all that runs there, when this is dropped
/// or the test is killed.
pub struct Lab {
    // Before the directory, which it needs to stop the hosts: fields are dropped in this order.
    _holder: Holder,
    directory: TempDir,
    head: Head,
    hosts: Vec<String>,
}

impl Lab {
    /// Starts so many hosts; `None`, with a line that says why, where there can be none and the
    /// caller of the tests has said that they may be skipped for that.
    ///
    /// # Panics
    ///
    /// When they cannot be started; the message says why.
    #[track_caller]
    pub fn start(count: usize, files: HostFiles) -> Option<Self> {
        Self::with_space(count, files, "256m")
    }

    /// As [`Lab::start`], with so much space, such as `16m`, in each of a host's own directories.
    ///
    /// # Panics
    ///
    /// As [`Lab::start`].
    #[track_caller]
    pub fn with_space(count: usize, files: HostFiles, space: &str) -> Option<Self> {
        let directory = new_directory()?;
        let shared = directory.path().join("work");
        fs::create_dir(&shared).expect("just made its parent");

        let mut command = testbed(directory.path());
        let files = if files == HostFiles::Shared { "shared" } else { "private" };
        command.args(["hold", "-n", &count.to_string(), "--files", files, "--scratch", space]);
        // The rest may be below /tmp or a home directory, which are the hosts' own.
        let redirector = Artefacts::find().redirector;
        let built = redirector.parent().expect("a file is in a directory");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
        for seen_there in [&shared, built, programs_directory(), sources] {
            command.arg("--share").arg(seen_there);
        }
        let holder = Holder::start(command);
        let head = Head::of(&directory.path().join("sshhosts"));
        let hosts = (1..=count).map(|number| format!("h{number}")).collect();
        Some(Self { _holder: holder, directory, head, hosts })
    }

    /// The hosts' names.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// A directory that the head and all hosts see under the same path.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// What `ssh -F` takes to reach the hosts from the head.
    pub fn ssh_configuration(&self) -> PathBuf {
        self.state().join("ssh_config")
    }

    /// The host keys that ssh trusts, one a line that begins with the host's name.
    pub fn known_hosts(&self) -> PathBuf {
        self.state().join("known_hosts")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("sshhosts")
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Has `command`, and all that comes of it, run on the head.
    pub fn enter(&self, command: &mut Command) {
        self.head.enter(command);
    }

    /// What to put before a command to have it run on the head.
    pub fn head_prefix(&self) -> Vec<String> {
        self.head.prefix()
    }

    /// A TCP connection from the head to a host: the head's end, and the host's.
    ///
    /// # Panics
    ///
    /// When the host is down.
    #[track_caller]
    pub fn connect(&self, host: &str) -> (TcpStream, TcpStream) {
        let first = self.first_process(host).expect("the host is up");
        let there = Head::of_process(first.parse().expect("a process id"));
        let address = self.on(host, "hostname", &["--all-ip-addresses"]).text();
        let address: IpAddr = address.trim().parse().expect("a host has one address");
        let listener = there.within(|| TcpListener::bind((address, 0)));
        let listener = listener.expect("the host has free ports");
        let port = listener.local_addr().expect("just bound").port();
        let here = self.head.within(|| TcpStream::connect((address, port)));
        let here = here.expect("the host can be reached");
        (here, listener.accept().expect("the head has connected").0)
    }

    /// The part of `redirector.toml` by which a gateway on the head reaches the hosts. All of them
    /// have the tag `lab`.
    ///
    /// # Panics
    ///
    /// When the lab's directory has no plain name.
    pub fn configuration(&self, settings: &HostSettings) -> String {
        let HostSettings { cpus, ssh, each } = settings;
        let file = self.ssh_configuration();
        let file = file.to_str().expect("the directories of these tests have plain names");
        let mut text = format!("[ssh]\ncommand = [\"ssh\", \"-F\", \"{file}\"]\n{ssh}\n");
        for host in &self.hosts {
            write!(
                text,
                "[[hosts]]\nname = \"{host}\"\naddress = \"{host}\"\ncpus = {cpus}\n\
                 tags = [\"lab\"]\n{each}\n"
            )
            .expect("a string has room");
        }
        text
    }

    /// A plain `ssh OPTION… HOST SCRIPT` on the head.
    pub fn ssh(&self, options: &[&str], host: &str, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.ssh_configuration()).args(["-o", "BatchMode=yes"]);
        command.args(options).args([host, script]);
        self.head.enter(&mut command);
        command
    }

    /// Runs a program on a host as if somebody sat there: without ssh.
    ///
    /// # Panics
    ///
    /// When the host is down, or the program fails.
    #[track_caller]
    pub fn on(&self, host: &str, program: impl AsRef<OsStr>, arguments: &[&str]) -> Finished {
        let mut command = testbed(self.directory.path());
        command.args(["exec", host]).arg(&program).args(arguments);
        finish(&mut command).expect_success(&format!("{} on {host}", program.as_ref().display()))
    }

    #[track_caller]
    fn testbed(&self, arguments: &[&str]) {
        let done = finish(testbed(self.directory.path()).args(arguments));
        done.expect_success(&format!("sshhosts.sh {arguments:?}"));
    }
}

/// A directory for a testbed; `None` where there can be none, and that is no failure.
#[track_caller]
fn new_directory() -> Option<TempDir> {
    if let Err(reason) = namespaces_can_be_made() {
        assert!(
            env::var_os(MAY_BE_SKIPPED).is_some(),
            "hosts cannot be made here: {reason}; with {MAY_BE_SKIPPED}=1 the tests that need \
             them are skipped"
        );
        println!("skipped: hosts cannot be made here: {reason}");
        return None;
    }
    // Not below $TMPDIR: the path of a gateway's Unix socket must stay below 108 bytes.
    let directory = tempfile::Builder::new().prefix("rdlab-").tempdir_in("/tmp");
    let mut directory = directory.expect("/tmp can be written to");
    directory
        .disable_cleanup(env::var_os("REDIRECTOR_TEST_KEEP").is_some_and(|value| value == "1"));
    Some(directory)
}

fn testbed(directory: &Path) -> Command {
    script("sshhosts.sh", directory)
}

/// A script of `integration/testbed` with its files in `directory`.
fn script(name: &str, directory: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("testbed").join(name);
    let mut command = Command::new(script);
    command.env("TESTBED_DIR", directory).current_dir("/");
    command
}

fn namespaces_can_be_made() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("only root can make networks, and this is another user".to_owned());
    }
    let mut probe = Command::new("unshare");
    probe.args(["--net", "--uts", "--mount", "--pid", "--ipc", "--fork", "true"]);
    match probe.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("unshare cannot be started: {error}")),
    }
}
