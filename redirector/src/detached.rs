//! What the gateway and the agent have in common: they are started by processes that have
//! nothing to do with them, and go on when those have ended.
//!
//! ```text
//!  starter ─ `redirector serve --embedded` ─ `redirector serve --detached`
//!     ▲        closes what it inherited,        locks, listens,
//!     │        [`launch`]es, leaves             says READY, lets go of the starter's output
//!     └──────────── a pipe: READY, or what is wrong ─┘
//! ```

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Command,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use tracing_subscriber::{EnvFilter, fmt::writer::BoxMakeWriter};

use crate::{config::GATEWAY_VARIABLES, model::CLOCK_OFFSET, node::before, place, protocol::READY};

/// A log larger than this is set aside at the start, in bytes.
const LOG_SIZE: u64 = 16 << 20;

/// Where things are, which is the same for all processes of one gateway. All other variables
/// of the session that happened to start a detached process are no business of that one's,
/// but for the gateway's settings, which an agent hands on to the next gateway.
const PLACES: [&str; 5] = [
    "REDIRECTOR_STATE_DIR",
    "REDIRECTOR_HOME",
    "REDIRECTOR_CONFIG",
    "REDIRECTOR_LOG",
    CLOCK_OFFSET,
];

/// The system refuses something.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Error {
    /// What was tried.
    pub what: String,
    /// The system's reason.
    pub cause: io::Error,
}

/// Turns the system's reason into an [`Error`] that says what was tried.
pub(crate) fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |cause| Error { what, cause }
}

/// Starts this program with `arguments` as a process that inherits nothing but the standard
/// descriptors and this program's settings, in the directory `/`, after `adjust` has seen to it.
pub(crate) fn launch(arguments: &[&str], adjust: impl FnOnce(&mut Command)) -> Result<(), Error> {
    crate::inherited::close();
    crate::inherited::unblock_signals();
    crate::open_files::restore();
    let program = crate::program::path().map_err(failed("find the redirector program"))?;
    let mut command = Command::new(&program);
    command.args(arguments).current_dir("/");
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_setting = PLACES.contains(&&*text) || GATEWAY_VARIABLES.contains(&&*text);
        let is_of_a_session = text.starts_with("REDIRECTOR_") && !is_setting;
        if is_of_a_session || text.starts_with("LD_") {
            command.env_remove(&name);
        }
    }
    before::restore(&mut command);
    adjust(&mut command);
    command.spawn().map_err(failed(format!("run {}", program.display())))?;
    Ok(())
}

/// A lock that could not be had.
#[derive(Debug)]
pub(crate) enum LockError {
    /// The process with this id holds it.
    Held(String),
    /// The system refuses it.
    System(Error),
}

/// Locks `path` for as long as this process runs, and writes its id into it; waits for up
/// to `patience` for another process that holds it.
pub(crate) fn lock(path: &Path, patience: Duration) -> Result<Flock<File>, LockError> {
    let system = |cause| LockError::System(failed(format!("lock {}", path.display()))(cause));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(system)?;
    let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let waiting = file.try_clone().map_err(system)?;
            place::lock_within(waiting, patience).ok_or_else(|| {
                let mut pid = String::new();
                drop(file.read_to_string(&mut pid));
                LockError::Held(pid.trim().to_owned())
            })?
        }
        Err((_, errno)) => return Err(system(errno.into())),
    };
    let mut write = || -> io::Result<()> {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    write().map_err(system)?;
    Ok(lock)
}

/// Opens the log at `path`, to be appended to; a long one is set aside.
pub(crate) fn open_log(path: &Path) -> Result<File, Error> {
    let open = || {
        if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_SIZE) {
            fs::rename(path, path.with_extension("log.old"))?;
        }
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    };
    open().map_err(failed(format!("open {}", path.display())))
}

/// Logs to `log`, or to standard error if there is none.
pub(crate) fn start_logging(log: Option<&File>) -> Result<(), Error> {
    let filter =
        EnvFilter::try_from_env("REDIRECTOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = match log {
        None => BoxMakeWriter::new(io::stderr),
        Some(log) => BoxMakeWriter::new(log.try_clone().map_err(failed("open the log"))?),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(log.is_none() && io::stderr().is_terminal())
        // On a full disk, the log must not be the end of the process.
        .log_internal_errors(false)
        .init();
    Ok(())
}

/// Says [`READY`] to the starter, and lets go of its output; false if the starter is gone.
pub(crate) fn announce(log: &File) -> Result<bool, Error> {
    let what = "let go of the standard descriptors";
    let nowhere =
        OpenOptions::new().read(true).write(true).open("/dev/null").map_err(failed(what))?;
    let mut output = io::stdout();
    let is_heard = output.write_all(READY.as_bytes()).and_then(|()| output.flush()).is_ok();
    let errno = |errno: Errno| failed(what)(errno.into());
    nix::unistd::dup2_stdin(&nowhere).map_err(errno)?;
    nix::unistd::dup2_stdout(&nowhere).map_err(errno)?;
    nix::unistd::dup2_stderr(log).map_err(errno)?;
    Ok(is_heard)
}
