//! The directories of agents in allocations. Each allocation has one of its own on its node, which
//! nobody needs after it; an agent that was killed leaves it to the next one there.

use std::{fs, io, path::Path};

use nix::fcntl::{Flock, FlockArg};

use crate::place::StateDirectory;

/// In a directory that is of an allocation's agent; made when that one has its lock.
const MARK: &str = "allocation";

/// Marks `state`, which is locked, as one that goes with its agent.
pub(super) fn mark(state: &StateDirectory) -> io::Result<()> {
    fs::write(state.path().join(MARK), "")
}

/// Removes what agents in allocations have left beside `state` that were killed.
pub(super) fn remove_beside(state: &StateDirectory) -> io::Result<()> {
    let all = state.path().parent().unwrap_or(state.path());
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        if path != state.path() && path.join(MARK).exists() && is_left(&path) {
            tracing::info!("removing {}, whose agent is gone", path.display());
            remove(&StateDirectory::at(&path));
        }
    }
    Ok(())
}

/// Whether neither an agent nor one of its shepherds holds the directory at `path`.
fn is_left(path: &Path) -> bool {
    let lock = fs::File::open(StateDirectory::at(path).agent_lock());
    lock.is_ok_and(|file| Flock::lock(file, FlockArg::LockSharedNonblock).is_ok())
}

/// Removes `state`, whose agent is gone.
pub(super) fn remove(state: &StateDirectory) {
    match fs::remove_dir_all(state.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove {}: {error}", state.path().display());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detached;

    #[test]
    fn what_killed_agents_of_allocations_left_is_removed_and_nothing_else() {
        let all = tempfile::tempdir().unwrap();
        let state = |name: &str| {
            let state = StateDirectory::at(&all.path().join(name));
            state.create().unwrap();
            state
        };
        let [own, of_a_host, killed, alive] = ["own", "of_a_host", "killed", "alive"].map(state);
        let locks = [&own, &of_a_host, &killed, &alive]
            .map(|state| detached::lock(&state.agent_lock(), std::time::Duration::ZERO).unwrap());
        for state in [&own, &killed, &alive] {
            mark(state).unwrap();
        }
        let [own_lock, of_a_host_lock, killed_lock, alive_lock] = locks;
        drop((of_a_host_lock, killed_lock));
        remove_beside(&own).unwrap();
        let are_there = [&own, &of_a_host, &killed, &alive].map(|state| state.path().exists());
        assert_eq!(are_there, [true, true, false, true]);
        drop((own_lock, alive_lock));
    }
}
