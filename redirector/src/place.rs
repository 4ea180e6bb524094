//! Where things are: home, state directory, socket, configuration files.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use serde::{Deserialize, Serialize};

use crate::model::JobId;

/// Directory below the home directory for state, one sub-directory per computer:
/// homes are often shared, sockets and journals must not be.
const STATE_BELOW_HOME: &str = ".local/state/redirector";

/// The longest path of a Unix socket (`sun_path` less its terminator).
const SOCKET_PATH_MAX: usize = 107;

/// The longest name of an agent on a host, in bytes: a directory of that name in
/// `/tmp/redirector-4294967295` still has room for a socket.
pub const AGENT_NAME_MAX: usize = 64;

/// A directory that cannot be found or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the environment nor the user database names a home.
    #[error(
        "no home directory: set HOME, or REDIRECTOR_STATE_DIR to a directory for redirector's state"
    )]
    NoHome,
    /// The socket could not be bound there.
    #[error(
        "the state directory's path is too long for a socket ({length} of at most {SOCKET_PATH_MAX} bytes with \
         'gateway.sock'): set REDIRECTOR_STATE_DIR to a shorter one than {directory}"
    )]
    TooLong {
        /// The state directory.
        directory: String,
        /// Length of the socket's path in bytes.
        length: usize,
    },
    /// It cannot be made or entered.
    #[error(
        "cannot use the state directory {directory}: {cause}; set REDIRECTOR_STATE_DIR to a directory of yours"
    )]
    Unusable {
        /// The state directory.
        directory: String,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// Another user could have put files there.
    #[error(
        "the state directory {directory} belongs to user {owner}, not to you: set REDIRECTOR_STATE_DIR to a directory of yours"
    )]
    Foreign {
        /// The state directory.
        directory: String,
        /// Its owner's user id.
        owner: u32,
    },
}

/// The home directory that a run started with: `$REDIRECTOR_HOME`, which libshim.so
/// hands down because tools change or clear `HOME`; else `$HOME`; else the user database's.
pub fn home() -> Result<PathBuf, Error> {
    ["REDIRECTOR_HOME", "HOME"]
        .into_iter()
        .filter_map(env::var_os)
        .map(PathBuf::from)
        .find(|path| path.is_absolute())
        .or_else(home_in_user_database)
        .ok_or(Error::NoHome)
}

/// Reads `/etc/passwd` itself: libc's lookup loads plug-ins, which a static binary cannot.
fn home_in_user_database() -> Option<PathBuf> {
    let user = nix::unistd::getuid().to_string();
    let database = fs::read_to_string("/etc/passwd").ok()?;
    database.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2) == Some(&user.as_str()))
            .then(|| PathBuf::from(fields.get(5).copied().unwrap_or("/")))
    })
}

/// This computer's name, as far as the first dot.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
    name.split('.').next().filter(|name| !name.is_empty()).unwrap_or("localhost").to_owned()
}

/// One of the two streams that a job writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word for it, in file names and queries.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The files of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDirectory(PathBuf);

impl StateDirectory {
    /// `$REDIRECTOR_STATE_DIR`, else the computer's own directory below the home directory.
    pub fn locate() -> Result<Self, Error> {
        let directory = match env::var_os("REDIRECTOR_STATE_DIR").filter(|value| !value.is_empty())
        {
            Some(directory) => std::path::absolute(&directory).unwrap_or_else(|_| directory.into()),
            None => home()?.join(STATE_BELOW_HOME).join(host_name()),
        };
        let state = Self(directory);
        let length = state.socket().as_os_str().len();
        if length > SOCKET_PATH_MAX {
            return Err(Error::TooLong { directory: state.0.display().to_string(), length });
        }
        Ok(state)
    }

    /// The one of the agent that a gateway on another computer calls `name` on this one. It is
    /// in `/tmp`, because a home may be shared with other hosts, and makes no sockets then.
    ///
    /// # Errors
    /// If another user has put something there.
    pub fn of_agent(name: &str) -> Result<Self, Error> {
        let all = Self(Path::new("/tmp").join(format!("redirector-{}", nix::unistd::getuid())));
        let unusable = |place: &Path, reason: &str| Error::Unusable {
            directory: place.display().to_string(),
            cause: std::io::Error::other(reason.to_owned()),
        };
        // It would be somebody else who says where the directory is.
        if fs::symlink_metadata(&all.0).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(unusable(&all.0, "it is a symbolic link"));
        }
        all.create()?;
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(unusable(&all.0.join(name), "this is no name of an agent"));
        }
        let state = Self(all.0.join(name));
        state.create()?;
        Ok(state)
    }

    /// The one at `path`, wherever the environment says it is.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the directory, private to the user, if it is not there yet.
    pub fn create(&self) -> Result<(), Error> {
        let directory = || self.0.display().to_string();
        let unusable = |cause| Error::Unusable { directory: directory(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(unusable)?;
        let metadata = fs::metadata(&self.0).map_err(unusable)?;
        if metadata.uid() != nix::unistd::getuid().as_raw() {
            return Err(Error::Foreign { directory: directory(), owner: metadata.uid() });
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        }
        Ok(())
    }

    /// The process of the gateway that holds the directory, if one does.
    pub fn gateway(&self) -> Option<String> {
        let file = fs::File::open(self.gateway_lock()).ok()?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err((_, Errno::EWOULDBLOCK)) => {}
            _ => return None,
        }
        fs::read_to_string(self.gateway_lock()).ok().map(|pid| pid.trim().to_owned())
    }

    /// Returns when no gateway holds the directory any more.
    pub fn wait_until_left(&self) -> std::io::Result<()> {
        let file = match fs::File::open(self.gateway_lock()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        Flock::lock(file, FlockArg::LockShared).map(drop).map_err(|(_, errno)| errno.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The gateway's socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("gateway.sock")
    }

    /// Locked by the running gateway; holds its process id.
    pub fn gateway_lock(&self) -> PathBuf {
        self.0.join("gateway.lock")
    }

    /// Locked by the client that is starting a gateway.
    pub fn start_lock(&self) -> PathBuf {
        self.0.join("start.lock")
    }

    /// The gateway's log, when it was started by a client.
    pub fn log(&self) -> PathBuf {
        self.0.join("gateway.log")
    }

    /// The socket of this computer's agent.
    pub fn agent_socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }

    /// Where jobs on a host give their agent what they log.
    pub fn agent_log_socket(&self) -> PathBuf {
        self.0.join("log.sock")
    }

    /// Locked by the gateway that is starting an agent.
    pub fn agent_start_lock(&self) -> PathBuf {
        self.0.join("agent.start.lock")
    }

    /// Locked by the running agent.
    pub fn agent_lock(&self) -> PathBuf {
        self.0.join("agent.lock")
    }

    /// The names of agents that left with nothing to do.
    pub fn agents_left(&self) -> PathBuf {
        self.0.join("agents.left")
    }

    /// The agent's own log.
    pub fn agent_log(&self) -> PathBuf {
        self.0.join("agent.log")
    }

    /// Where the output of detached jobs is kept.
    pub fn outputs(&self) -> PathBuf {
        self.0.join("output")
    }

    /// What one attempt at a detached job has written.
    pub fn output(&self, job: JobId, attempt: u32, stream: Stream) -> PathBuf {
        self.output_shelf(job).join(format!("{job}.{attempt}.{}", stream.word()))
    }

    /// What was logged by, and about, one attempt at a job.
    pub fn records(&self, job: JobId, attempt: u32) -> PathBuf {
        self.output_shelf(job).join(format!("{job}.{attempt}.log"))
    }

    /// The directory of [`output`](Self::output), which each thousand jobs share: one of a
    /// million files is slow to list, and one for each job slow to make.
    pub fn output_shelf(&self, job: JobId) -> PathBuf {
        self.outputs().join((job.0 / 1000).to_string())
    }

    /// Locked by the doctor that is at work.
    pub fn doctor_lock(&self) -> PathBuf {
        self.0.join("doctor.lock")
    }

    /// Hosts that were added by hand.
    pub fn hosts(&self) -> PathBuf {
        self.0.join("hosts.json")
    }

    /// What is known of the allocations that batch engines lend.
    pub fn allocations(&self) -> PathBuf {
        self.0.join("allocations")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal.sqlite")
    }
}

/// Waits for an exclusive lock on `file`, but not for ever. `flock` knows no time
/// limit, so a thread waits that may stay behind.
pub fn lock_within(file: fs::File, limit: Duration) -> Option<Flock<fs::File>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        loop {
            match Flock::lock(file.try_clone()?, FlockArg::LockExclusive) {
                Ok(lock) => {
                    // Fails when it came too late; dropping the lock then releases it.
                    drop(sender.send(lock));
                    break;
                }
                Err((_, Errno::EINTR)) => {}
                Err((_, errno)) => return Err(std::io::Error::from(errno)),
            }
        }
        Ok(())
    });
    receiver.recv_timeout(limit).ok()
}

/// Configuration files in the order in which they are looked for; the first
/// `redirector.toml` that exists is the one that counts, and the computer's own
/// `redirector.<host>.toml` beside it goes over it.
pub fn configuration_candidates() -> Vec<PathBuf> {
    if let Some(file) = env::var_os("REDIRECTOR_CONFIG").filter(|value| !value.is_empty()) {
        return vec![file.into()];
    }
    candidates("redirector.toml")
}

/// The `redirector.toml` that counts here and now.
pub fn configuration() -> Option<PathBuf> {
    let named = env::var_os("REDIRECTOR_CONFIG").is_some_and(|value| !value.is_empty());
    let found = configuration_candidates().into_iter().find(|path| named || path.exists())?;
    Some(std::path::absolute(&found).unwrap_or(found))
}

/// Whitelists in the order in which they are looked for when `$REDIRECTOR_WHITELIST`
/// is not set; the first that exists is the one that counts.
pub fn whitelist_candidates() -> Vec<PathBuf> {
    candidates("whitelist")
}

fn candidates(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(directory) = env::current_dir() {
        found.extend(directory.ancestors().map(|parent| parent.join(".redirector").join(name)));
    }
    if let Ok(home) = home() {
        found.push(home.join(".config/redirector").join(name));
    }
    found.push(Path::new("/etc/redirector").join(name));
    found
}

/// The whitelists that count here and now; `None` if there is none.
pub fn whitelists() -> Option<Vec<PathBuf>> {
    match env::var_os("REDIRECTOR_WHITELIST") {
        Some(list) if list.is_empty() => None,
        Some(list) => {
            Some(env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
        }
        None => {
            whitelist_candidates().into_iter().find(|path| path.is_file()).map(|path| vec![path])
        }
    }
}
