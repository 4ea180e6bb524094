//! How the gateway starts, and what it leaves behind.
//!
//! Started by a client, it inherits nothing of the pipeline: own session, no
//! descriptors (so that `pipeline | tee log` sees its end), no preload, working
//! directory `/`. `launch` makes such a process and leaves, so that the gateway is
//! nobody's child; `serve` is that process.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use nix::fcntl::Flock;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use super::{
    core::{Core, Setup},
    server,
};
use crate::{
    config::{self, Config},
    detached::{self, LockError},
    huge_pages,
    model::NodeName,
    node::Facts,
    place::{self, StateDirectory},
    store::{self, Store},
};

/// How long a new gateway waits for one that is leaving.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// How long a leaving gateway waits for its last answers to be read.
const FAREWELL: Duration = Duration::from_secs(5);

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
    #[error(transparent)]
    System(#[from] detached::Error),
}

fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let failed = detached::failed(what);
    move |cause| Error::System(failed(cause))
}

/// Starts the gateway as a process that has nothing to do with this one's, on the
/// same standard output and error: it says on them whether it listens, then closes them.
pub fn launch() -> Result<(), Error> {
    Ok(detached::launch(&["serve", "--detached"], huge_pages::use_in)?)
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
    if mode == Mode::Foreground {
        huge_pages::use_here();
    }
    let state = StateDirectory::locate()?;
    state.create()?;
    if mode == Mode::Detached {
        nix::unistd::setsid().map_err(|errno| system("start a session")(errno.into()))?;
    }
    crate::agent::ignore_broken_pipes();
    let log = detached::open_log(&state.log())?;
    detached::start_logging((mode == Mode::Detached).then_some(&log))?;
    crate::open_files::raise();
    let config = Config::load()?;
    let lock = lock(&state, mode)?;
    let store = open_journal(&state, &config)?;
    set_strange_output_aside(&state, &store)?;
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
    let facts = Facts::detect(&config.node);
    let capacity = facts.resources();
    let core = Core::new(Setup {
        store,
        state: state.clone(),
        node: NodeName(place::host_name()),
        facts,
        settings: config.clone(),
        idle_timeout: (mode == Mode::Detached).then_some(config.gateway.idle_timeout.value),
        connections: Arc::clone(&connections),
        messages: messages.clone(),
    })?;
    if mode == Mode::Detached {
        // Others will come where the starter is gone.
        let _is_heard = detached::announce(log)?;
    }
    let directory = state.path().display();
    tracing::info!(pid = std::process::id(), state = %directory, cpus = %capacity.cpus, mem = capacity.mem, "listening");
    let (leave, leaving) = watch::channel(false);
    let router = server::router(messages, state.clone());
    let server = tokio::spawn(server::serve(listener, router, connections, leaving));
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
    // A person is told at once that another one is there.
    let patience = if mode == Mode::Detached { TAKE_OVER } else { Duration::ZERO };
    detached::lock(&state.gateway_lock(), patience).map_err(|error| match error {
        LockError::System(error) => Error::System(error),
        LockError::Held(pid) => {
            Error::Running { pid, directory: state.path().display().to_string() }
        }
    })
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

/// What is there before a journal knows any job was written by jobs of another journal, whose
/// numbers will be given out again.
fn set_strange_output_aside(state: &StateDirectory, store: &Store) -> Result<(), Error> {
    let outputs = state.outputs();
    if store.last_id()?.0 > 0 || !outputs.exists() {
        return Ok(());
    }
    let aside =
        PathBuf::from(format!("{}.before-{}", outputs.display(), crate::model::Timestamp::now().0));
    fs::rename(&outputs, &aside).map_err(system(format!("set {} aside", outputs.display())))?;
    tracing::warn!("the output of jobs of an earlier journal is kept as {}", aside.display());
    Ok(())
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
