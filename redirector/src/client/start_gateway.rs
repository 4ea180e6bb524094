//! Starts the gateway when no one listens yet: once, however many clients want it.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::{
    place::{self, StateDirectory},
    protocol::READY,
};

/// What is started in the background when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The gateway.
    Gateway,
    /// The agent of a gateway on this computer.
    Agent,
    /// The agent of a gateway on another computer.
    RemoteAgent,
}

impl Service {
    /// The subcommand that starts it and leaves when it listens.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Gateway => &["serve", "--embedded"],
            Self::Agent => &["agent"],
            Self::RemoteAgent => &["agent", "--remote"],
        }
    }

    fn socket(self, state: &StateDirectory) -> PathBuf {
        match self {
            Self::Gateway => state.socket(),
            Self::Agent | Self::RemoteAgent => state.agent_socket(),
        }
    }

    fn start_lock(self, state: &StateDirectory) -> PathBuf {
        match self {
            Self::Gateway => state.start_lock(),
            Self::Agent | Self::RemoteAgent => state.agent_start_lock(),
        }
    }

    fn log(self, state: &StateDirectory) -> PathBuf {
        match self {
            Self::Gateway => state.log(),
            Self::Agent | Self::RemoteAgent => state.agent_log(),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Agent | Self::RemoteAgent => "agent",
        })
    }
}

/// No gateway could be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory cannot be used.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// A file or process of the start-up failed.
    #[error("cannot start the {service}: {what}: {cause}")]
    System {
        /// Which service.
        service: Service,
        /// What was tried.
        what: String,
        /// The system's reason.
        cause: io::Error,
    },
    /// Somebody else has been starting one for too long.
    #[error(
        "another process holds {lock} and starts no {service}; 'fuser {lock}' names it: end it"
    )]
    Stuck {
        /// Which service.
        service: Service,
        /// The lock.
        lock: String,
    },
    /// It neither listens nor ends.
    #[error("the {service} has said nothing for {seconds} s since its start; its log is {log}")]
    Silent {
        /// Which service.
        service: Service,
        /// How long it was given.
        seconds: u64,
        /// Where it logs.
        log: String,
    },
    /// It was ended while it started.
    #[error("the {service} ended at its start without a word; its log is {log}")]
    Vanished {
        /// What was started.
        service: Service,
        /// Where it logs.
        log: String,
    },
    /// It started and gave up; the text is its own.
    #[error("{0}")]
    GaveUp(String),
}

/// How long somebody may take to start a gateway: it takes over from one that is
/// leaving, or makes a journal on a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sees to it that a gateway listens in `state`.
pub fn ensure_gateway(state: &StateDirectory) -> Result<(), Error> {
    ensure(Service::Gateway, state)
}

/// Sees to it that `service` listens in `state`. Many processes may call this at
/// once: one of them starts it, the others wait for its lock, without polling.
pub(crate) fn ensure(service: Service, state: &StateDirectory) -> Result<(), Error> {
    state.create()?;
    let lock = lock(service, state)?;
    if UnixStream::connect(service.socket(state)).is_ok() {
        return Ok(());
    }
    start(service, state, &lock)
}

fn lock(service: Service, state: &StateDirectory) -> Result<Flock<File>, Error> {
    let path = service.start_lock(state);
    let failed = |cause| {
        let what = format!("lock {}", path.display());
        Error::System { service, what, cause }
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => place::lock_within(file, PATIENCE)
            .ok_or_else(|| Error::Stuck { service, lock: path.display().to_string() }),
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

/// Starts `service` and waits until it listens: it says so on its standard output, and what
/// is wrong on its standard error, then closes both.
///
/// Until then it keeps `lock`, as its standard input: when this process is killed meanwhile,
/// nobody else may start a second one, which would wait in vain for the first one to leave.
fn start(service: Service, state: &StateDirectory, lock: &File) -> Result<(), Error> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |cause| Error::System { service, what, cause }
    };
    let program = crate::program::path().map_err(failed("find the redirector program"))?;
    let mut launcher = Command::new(&program);
    launcher
        .args(service.arguments())
        .env("REDIRECTOR_STATE_DIR", state.path())
        // It would make the new process stand in for this one's command.
        .env_remove("REDIRECTOR_EXEC")
        .stdin(lock.try_clone().map_err(failed("share the lock of its start"))?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // The gateway's own directory is `/`, so it cannot find what counts here.
    if let Some(file) = place::configuration() {
        launcher.env("REDIRECTOR_CONFIG", file);
    }
    crate::open_files::hand_on(&mut launcher);
    crate::huge_pages::keep_from(&mut launcher);
    let mut launcher = launcher.spawn().map_err(failed(&format!("run {}", program.display())))?;
    let deadline = Instant::now() + PATIENCE;
    let said = launcher.stdout.take().map_or(Ok(String::new()), |pipe| read_until(pipe, deadline));
    let complaint =
        launcher.stderr.take().map_or(Ok(String::new()), |pipe| read_until(pipe, deadline));
    let log = service.log(state).display().to_string();
    let silent = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => {
            Error::Silent { service, seconds: PATIENCE.as_secs(), log: log.clone() }
        }
        _ => failed("hear from it")(error),
    };
    let said = said.map_err(silent)?;
    let complaint = complaint.map_err(silent)?;
    // The process that was started here has left by now: the daemon is its child.
    launcher.wait().map_err(failed("wait for its start"))?;
    let complaint = complaint.trim().trim_start_matches("redirector: ");
    if said == READY {
        if !complaint.is_empty() {
            // Lost if standard error is.
            drop(writeln!(io::stderr(), "redirector: {complaint}"));
        }
        return Ok(());
    }
    Err(if complaint.is_empty() {
        Error::Vanished { service, log }
    } else {
        Error::GaveUp(complaint.to_owned())
    })
}

/// All that comes through `pipe` until its end. Done without a thread: making one
/// changes signals that the command is to inherit.
fn read_until(mut pipe: impl Read + AsFd, deadline: Instant) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let mut buffer = [0; 1024];
        match pipe.read(&mut buffer)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
}
