//! How the gateway starts, and what it leaves behind.
//!
//! Started by a client, it inherits nothing of the pipeline: own session, no
//! descriptors (so that `pipeline | tee log` sees its end), no preload, working
//! directory `/`. `launch` makes such a process and leaves, so that the gateway is
//! nobody's child; `serve` is that process.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IsTerminal, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use tracing_subscriber::{EnvFilter, fmt::writer::BoxMakeWriter};

use super::{
    core::{Core, Setup},
    server,
};
use crate::{
    config::{self, Config},
    model::NodeName,
    node::{Facts, before},
    place::{self, StateDirectory},
    protocol::READY,
    store::{self, Store},
};

/// How long a new gateway waits for one that is leaving.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// How long a leaving gateway waits for its last answers to be read.
const FAREWELL: Duration = Duration::from_secs(5);

/// A log larger than this is set aside at the start, in bytes.
const LOG_SIZE: u64 = 16 << 20;

/// The gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory cannot be used.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// Its configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Its journal cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another one is there.
    #[error(
        "a gateway (process {pid}) is running with the state directory {directory}: \
         'redirector status' shows it, 'redirector stop' ends it"
    )]
    Running {
        /// Its process.
        pid: String,
        /// Where its state is.
        directory: String,
    },
    /// The system refuses something.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: String,
        /// The system's reason.
        cause: io::Error,
    },
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |cause| Error::System { what, cause }
}

/// Starts the gateway as a process that has nothing to do with this one's, on the
/// same standard output and error: it says on them whether it listens, then closes them.
pub fn launch() -> Result<(), Error> {
    close_inherited();
    let program = std::env::current_exe().map_err(system("find the redirector program"))?;
    let mut gateway = Command::new(&program);
    gateway.args(["serve", "--detached"]).current_dir("/");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let settings =
            ["REDIRECTOR_STATE_DIR", "REDIRECTOR_HOME", "REDIRECTOR_CONFIG", "REDIRECTOR_LOG"];
        let keep = settings.contains(&&*text)
            || config::GATEWAY_VARIABLES.contains(&&*text)
            || !text.starts_with("REDIRECTOR_");
        if !keep || text.starts_with("LD_") {
            gateway.env_remove(&name);
        }
    }
    before::restore(&mut gateway);
    gateway.spawn().map_err(system(format!("run {}", program.display())))?;
    Ok(())
}

/// Closes every descriptor but the standard three.
fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers: Vec<i32> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // Fails for the one that was the directory's own and is closed already.
        let _closed = nix::unistd::close(number);
    }
}

/// How to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until told to stop, with the log on standard error.
    Foreground,
    /// As a daemon that leaves when there is nothing to do.
    Detached,
}

/// Serves until told to stop or, detached, until there is nothing to do.
pub fn serve(mode: Mode) -> Result<(), Error> {
    let state = StateDirectory::locate()?;
    state.create()?;
    if mode == Mode::Detached {
        nix::unistd::setsid().map_err(|errno| system("start a session")(errno.into()))?;
    }
    crate::agent::ignore_broken_pipes();
    let log = open_log(&state).map_err(system(format!("open {}", state.log().display())))?;
    start_logging(mode, &log)?;
    let config = Config::load()?;
    let lock = lock(&state, mode)?;
    let store = open_journal(&state, &config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the event loop"))?;
    runtime.block_on(run(mode, &state, &config, store, &log))?;
    drop(lock);
    Ok(())
}

async fn run(
    mode: Mode,
    state: &StateDirectory,
    config: &Config,
    store: Store,
    log: &File,
) -> Result<(), Error> {
    let listener = listen(state)?;
    let (messages, inbox) = mpsc::unbounded_channel();
    let connections = Arc::new(());
    let capacity = Facts::detect(&config.node).resources();
    let core = Core::new(Setup {
        store,
        state_directory: state.path().to_owned(),
        node: NodeName(place::host_name()),
        capacity: capacity.clone(),
        idle_timeout: (mode == Mode::Detached).then_some(config.gateway.idle_timeout.value),
        connections: Arc::clone(&connections),
        messages: messages.clone(),
    })?;
    announce(mode, log)?;
    let directory = state.path().display();
    tracing::info!(pid = std::process::id(), state = %directory, cpus = %capacity.cpus, mem = capacity.mem, "listening");
    let (leave, leaving) = watch::channel(false);
    let server =
        tokio::spawn(server::serve(listener, server::router(messages), connections, leaving));
    tokio::select! {
        () = core.run(inbox) => {}
        () = interrupted() => tracing::info!("leaving: told to by a signal"),
    }
    // First nobody can find the socket any more, then those that did are answered:
    // whoever connects from here on starts another gateway.
    drop(fs::remove_file(state.socket()));
    leave.send_replace(true);
    if tokio::time::timeout(FAREWELL, server).await.is_err() {
        tracing::warn!("leaving although some connections are still open");
    }
    Ok(())
}

/// Returns on the first signal that asks a service to end.
async fn interrupted() {
    let mut signals =
        [SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok());
    let [interrupt, terminate] = &mut signals;
    let (Some(interrupt), Some(terminate)) = (interrupt, terminate) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Locks the state directory for this gateway; the file tells its process id.
fn lock(state: &StateDirectory, mode: Mode) -> Result<Flock<File>, Error> {
    let path = state.gateway_lock();
    let what = format!("lock {}", path.display());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(system(&*what))?;
    let running = |mut file: File| {
        let mut pid = String::new();
        drop(file.read_to_string(&mut pid));
        Error::Running { pid: pid.trim().to_owned(), directory: state.path().display().to_string() }
    };
    let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => lock,
        Err((file, Errno::EWOULDBLOCK)) if mode == Mode::Detached => {
            let spare = file.try_clone().map_err(system(&*what))?;
            place::lock_within(file, TAKE_OVER).ok_or_else(|| running(spare))?
        }
        Err((file, Errno::EWOULDBLOCK)) => return Err(running(file)),
        Err((_, errno)) => return Err(system(what)(errno.into())),
    };
    let write = |lock: &mut File| -> io::Result<()> {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    write(&mut lock).map_err(system(format!("write {}", path.display())))?;
    Ok(lock)
}

/// Opens the journal; a damaged one is set aside, so that the service starts.
fn open_journal(state: &StateDirectory, config: &Config) -> Result<Store, Error> {
    let path = state.journal();
    let durability = config.gateway.durability.value;
    // Damage shows when what a gateway starts with is read.
    let opened = Store::open(&path, durability).and_then(|mut store| {
        store.secret()?;
        store.last_id()?;
        store.unfinished()?;
        Ok(store)
    });
    match opened {
        Err(error) if error.is_corruption() => {
            let aside = PathBuf::from(format!(
                "{}.damaged-{}",
                path.display(),
                crate::model::Timestamp::now().0
            ));
            fs::rename(&path, &aside)
                .map_err(system(format!("set the damaged {} aside", path.display())))?;
            for suffix in ["-wal", "-shm"] {
                let name = |base: &PathBuf| format!("{}{suffix}", base.display());
                // They exist only if the journal was not closed.
                drop(fs::rename(name(&path), name(&aside)));
            }
            let warning =
                format!("{error}; it is kept as {} and a new one begins", aside.display());
            tracing::error!("{warning}");
            // Read by the client that started this gateway, if it still lives.
            drop(writeln!(io::stderr(), "redirector: {warning}"));
            Ok(Store::open(&path, durability)?)
        }
        opened => Ok(opened?),
    }
}

fn listen(state: &StateDirectory) -> Result<UnixListener, Error> {
    let socket = state.socket();
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(system(format!("remove the stale socket {}", socket.display()))(error));
        }
        _ => {}
    }
    UnixListener::bind(&socket).map_err(system(format!("listen on {}", socket.display())))
}

/// Says that the gateway listens. A daemon then lets go of its starter's output.
fn announce(mode: Mode, log: &File) -> Result<(), Error> {
    if mode == Mode::Foreground {
        return Ok(());
    }
    let what = "let go of the standard descriptors";
    let nowhere =
        OpenOptions::new().read(true).write(true).open("/dev/null").map_err(system(what))?;
    let mut output = io::stdout();
    // Fails when the client that started this gateway is gone; others will come.
    drop(output.write_all(READY.as_bytes()).and_then(|()| output.flush()));
    let errno = |errno: Errno| system(what)(errno.into());
    nix::unistd::dup2_stdin(&nowhere).map_err(errno)?;
    nix::unistd::dup2_stdout(&nowhere).map_err(errno)?;
    nix::unistd::dup2_stderr(log).map_err(errno)
}

/// A gateway in the foreground logs to standard error, a daemon to its file.
fn start_logging(mode: Mode, log: &File) -> Result<(), Error> {
    let filter =
        EnvFilter::try_from_env("REDIRECTOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = match mode {
        Mode::Foreground => BoxMakeWriter::new(io::stderr),
        Mode::Detached => BoxMakeWriter::new(log.try_clone().map_err(system("open the log"))?),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(mode == Mode::Foreground && io::stderr().is_terminal())
        // On a full disk, the log must not be the end of the gateway.
        .log_internal_errors(false)
        .init();
    Ok(())
}

fn open_log(state: &StateDirectory) -> io::Result<File> {
    let path = state.log();
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_SIZE) {
        fs::rename(&path, path.with_extension("log.old"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
