//! How an agent starts and leaves.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{net::UnixListener, sync::mpsc::UnboundedReceiver};

use super::{
    control_group::ControlGroups,
    remains,
    server::{self, Way},
    shepherds::{Event, Shepherds},
    supervisor::Reason,
};
use crate::{
    detached::{self, LockError, failed},
    engine::join::{self, Caller},
    place::{self, StateDirectory},
};

/// How long a new agent waits for one that is leaving, or for shepherds that clear up
/// after one that was killed.
const TAKE_OVER: Duration = Duration::from_secs(10);

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory cannot be used.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// Another one is there.
    #[error(
        "an agent (process {pid}) is running with the state directory {directory}; end it \
         with 'kill {pid}', which also ends its jobs"
    )]
    Running {
        /// Its process.
        pid: String,
        /// Where its state is.
        directory: String,
    },
    /// No gateway expects it.
    #[error(transparent)]
    Join(#[from] join::Error),
    /// The system refuses something.
    #[error(transparent)]
    System(#[from] detached::Error),
}

/// Whose agent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateways {
    /// Those of this user on this computer, one after the other.
    Here,
    /// One on another computer, which comes by way of [`super::attach`].
    Elsewhere,
}

/// Starts the agent as a process that has nothing to do with this one's, on the same
/// standard output and error: it says on them whether it listens, then closes them.
pub fn launch(gateways: Gateways) -> Result<(), Error> {
    let arguments: &[&str] = match gateways {
        Gateways::Here => &["agent", "--detached"],
        Gateways::Elsewhere => &["agent", "--detached", "--remote"],
    };
    Ok(detached::launch(arguments, |_| ())?)
}

/// Serves `gateways` until one tells it to leave or there is nothing left to do.
pub fn serve(gateways: Gateways) -> Result<(), Error> {
    let state = StateDirectory::locate()?;
    state.create()?;
    // Fails for the leader of a group, which only a person starts; then it stays in theirs.
    let _own_session = nix::unistd::setsid();
    super::ignore_broken_pipes();
    let log = detached::open_log(&state.agent_log())?;
    detached::start_logging(Some(&log))?;
    run(&state, async |shepherds, events| {
        let listener = listen(&state.agent_socket())?;
        let has_starter = detached::announce(&log)?;
        Ok(match gateways {
            Gateways::Here => server::serve(&state, listener, shepherds, events, has_starter).await,
            Gateways::Elsewhere => {
                server::serve_remote(&state, Way::Visits(listener), shepherds, events).await
            }
        })
    })
}

/// Serves the gateway that has written the invitation `file`, in the foreground: whoever has
/// started this process takes its end for the end of all that it runs. The log is standard error.
pub fn join(file: &Path) -> Result<(), Error> {
    crate::inherited::close();
    super::ignore_broken_pipes();
    detached::start_logging(None)?;
    let caller = Caller::begin(file)?;
    let state = StateDirectory::of_agent(caller.directory())?;
    let ended = run(&state, async |shepherds, events| {
        if let Err(error) = remains::mark(&state).and_then(|()| remains::remove_beside(&state)) {
            tracing::warn!("cannot clear up beside {}: {error}", state.path().display());
        }
        Ok(server::serve_remote(&state, Way::Joins(caller), shepherds, events).await)
    });
    if ended.is_ok() {
        remains::remove(&state);
    }
    ended
}

/// Locks `state`, and runs `serve` with all that an agent needs.
fn run(
    state: &StateDirectory,
    serve: impl AsyncFnOnce(Shepherds, UnboundedReceiver<Event>) -> Result<Reason, Error>,
) -> Result<(), Error> {
    let lock = detached::lock(&state.agent_lock(), TAKE_OVER).map_err(|error| match error {
        LockError::System(error) => Error::System(error),
        LockError::Held(pid) => {
            Error::Running { pid, directory: state.path().display().to_string() }
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed("start the event loop"))?;
    let groups = ControlGroups::delegated()
        .inspect_err(|error| {
            tracing::info!("memory limits are kept by looking at the processes: {error}");
        })
        .ok();
    let served = runtime.block_on(async {
        let shared_lock = lock.try_clone().map_err(failed("share the lock"))?;
        let directory = groups.as_ref().map(|groups| groups.directory().to_owned());
        let (shepherds, events) = Shepherds::new(shared_lock, directory);
        tracing::info!(pid = std::process::id(), state = %state.path().display(), "serving");
        let leave = serve(shepherds, events).await?;
        // First nobody can find the socket any more; whoever comes now starts another agent.
        drop(fs::remove_file(state.agent_socket()));
        tracing::info!("leaving: {leave}");
        Ok(())
    });
    // A gateway that is being started needs this process no more.
    runtime.shutdown_background();
    if let Some(groups) = groups {
        groups.give_back(std::process::id());
    }
    served
}

/// Serves one gateway on `socket`, which must not exist or be stale.
fn listen(socket: &PathBuf) -> Result<UnixListener, Error> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(format!("remove the stale socket {}", socket.display()))(error))?;
        }
        _ => {}
    }
    Ok(UnixListener::bind(socket).map_err(failed(format!("listen on {}", socket.display())))?)
}
