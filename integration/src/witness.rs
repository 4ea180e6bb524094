//! The tests' side of the `witness` program: a job that reports what happens to it.

use std::{
    io::{BufRead, BufReader, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
    unistd::Pid,
};

use crate::finish::DEADLINE;

/// Where a witness reports to.
pub struct Listener {
    path: PathBuf,
    socket: UnixListener,
}

impl Listener {
    /// Listens in `directory`, at a path that `witness` takes as its argument.
    ///
    /// # Panics
    ///
    /// When the socket cannot be made.
    pub fn new(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        let socket = UnixListener::bind(&path)
            .unwrap_or_else(|error| panic!("cannot listen at {}: {error}", path.display()));
        Self { path, socket }
    }

    /// The argument for `witness`.
    ///
    /// # Panics
    ///
    /// When the directory's name is not UTF-8, as those of sessions are.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("the directories of these tests have plain names")
    }

    /// Waits until a witness runs.
    ///
    /// # Panics
    ///
    /// When none came in time.
    #[track_caller]
    pub fn accept(&self) -> Witness {
        let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(DEADLINE).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut watched, timeout).expect("polling a socket that we own");
        assert!(ready > 0, "no witness was started within {DEADLINE:?}");
        let (stream, _) = self.socket.accept().expect("a connection is waiting");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline that is not zero");
        let credentials = getsockopt(&stream, PeerCredentials).expect("a Unix socket has a peer");
        let mut witness =
            Witness { pid: Pid::from_raw(credentials.pid()), reports: BufReader::new(stream) };
        assert_eq!(witness.next_report().as_deref(), Some("ready"));
        witness
    }
}

/// A running `witness`.
pub struct Witness {
    pid: Pid,
    reports: BufReader<UnixStream>,
}

impl Witness {
    /// The process that does the work: under a redirector not necessarily the one that was started.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The next thing that it reports, none when it has ended.
    ///
    /// # Panics
    ///
    /// When it stays silent.
    #[track_caller]
    pub fn next_report(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self
            .reports
            .read_line(&mut line)
            .unwrap_or_else(|error| panic!("the witness says nothing: {error}"));
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// Everything that it reports up to and including `last`.
    ///
    /// # Panics
    ///
    /// When it ends or falls silent before.
    #[track_caller]
    pub fn reports_until(&mut self, last: &str) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|report| report != last) {
            match self.next_report() {
                Some(report) => seen.push(report),
                None => panic!("the witness ended before '{last}'; it reported {seen:?}"),
            }
        }
        seen
    }

    /// Gives it an order, such as `ping` or `exit 3`.
    ///
    /// # Panics
    ///
    /// When it has ended.
    pub fn order(&mut self, order: &str) {
        writeln!(self.reports.get_mut(), "{order}").expect("the witness listens");
    }
}
