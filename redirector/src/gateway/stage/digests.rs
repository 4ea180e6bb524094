//! Digests of files here, worked out once for each.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::stage::{Digest, WholePath, diff::Stamp, transfer};

/// The most files that are remembered.
const MOST: usize = 100_000;

/// A file that has just been changed may change again and look the same: times are coarse.
const SETTLED: Duration = Duration::from_secs(2);

/// A file that is not what it was.
#[derive(Debug, thiserror::Error)]
#[error("{path} changes while it is being copied")]
pub(super) struct Changing {
    path: WholePath,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<Stamp, Digest>>);

impl Digests {
    /// The digest of the file at `path`, which has `stamp`.
    pub(super) fn of(&self, path: &WholePath, stamp: Stamp) -> io::Result<Digest> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&stamp).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut file = open(path, stamp)?;
        let digest = Digest::from(transfer::hash(&mut file, stamp.size)?.finalize());
        if Stamp::of(&file.metadata()?) != stamp {
            return Err(io::Error::other(Changing { path: path.clone() }));
        }
        if is_settled(stamp) {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(stamp, digest);
        }
        Ok(digest)
    }
}

/// Opens the file at `path`, if it still has `stamp`.
pub(super) fn open(path: &WholePath, stamp: Stamp) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path.as_path())?;
    if Stamp::of(&file.metadata()?) != stamp {
        return Err(io::Error::other(Changing { path: path.clone() }));
    }
    Ok(file)
}

/// Whether that is why something failed.
pub(super) fn is_changing(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Changing>)
}

fn is_settled(stamp: Stamp) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let touched = Duration::from_nanos(u64::try_from(stamp.touched).unwrap_or(0));
    now.saturating_sub(touched) > SETTLED
}
