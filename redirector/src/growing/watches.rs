//! Tells when files grow: one inotify instance for all who follow some output, because a user may
//! have few of them (128 by default) and a whole array may be followed at once.
//!
//! ```text
//! follower ── Watches::on(path, change) ──► Watch
//!          ◄── Watch::changed().await ───── one task, which reads the kernel's events
//! ```

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};
use tokio::{io::unix::AsyncFd, sync::watch};

use crate::agent;

/// What is looked out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The file is written to.
    Growth,
    /// The directory gets a new entry.
    NewEntry,
}

/// All watches; the kernel is asked when the first is made.
#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<Option<Arc<Shared>>>>);

struct Shared {
    inotify: Inotify,
    /// A channel for each watch of the kernel's, which is one per file.
    watched: Mutex<HashMap<WatchDescriptor, watch::Sender<()>>>,
}

/// A file or directory that is watched until this is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    descriptor: WatchDescriptor,
    changes: watch::Receiver<()>,
}

impl Watches {
    /// Watches `path`, which exists.
    pub(crate) fn on(&self, path: &Path, change: Change) -> io::Result<Watch> {
        let shared = self.shared()?;
        let flags = match change {
            Change::Growth => AddWatchFlags::IN_MODIFY,
            Change::NewEntry => {
                AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR
            }
        };
        let mut watched = shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptor = shared.inotify.add_watch(path, flags)?;
        let changes =
            watched.entry(descriptor).or_insert_with(|| watch::Sender::new(())).subscribe();
        drop(watched);
        Ok(Watch { shared, descriptor, changes })
    }

    fn shared(&self) -> io::Result<Arc<Shared>> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = &*shared {
            return Ok(Arc::clone(shared));
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let descriptor = inotify.as_fd().try_clone_to_owned()?;
        let made = Arc::new(Shared { inotify, watched: Mutex::new(HashMap::new()) });
        tokio::spawn(pass_on(Arc::clone(&made), agent::watch_for_input(descriptor)?));
        *shared = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl Watch {
    /// Returns when something has changed since the watch was made or this last returned.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The file was removed, with its watch: nothing more will come.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last =
            watched.get(&self.descriptor).is_some_and(|sender| sender.receiver_count() == 1);
        if is_last {
            watched.remove(&self.descriptor);
            // Fails when the file, and its watch with it, are gone.
            let _gone = self.shared.inotify.rm_watch(self.descriptor);
        }
    }
}

/// Reads the kernel's events for as long as the gateway lives.
async fn pass_on(shared: Arc<Shared>, input: AsyncFd<OwnedFd>) {
    while let Ok(mut ready) = input.readable().await {
        let events = match shared.inotify.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN) => {
                ready.clear_ready();
                continue;
            }
            Err(error) => {
                tracing::error!("cannot see output growing any more: {error}");
                return;
            }
        };
        let mut watched = shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                // Some events are lost: everybody looks.
                watched.values().for_each(|sender| sender.send_replace(()));
            } else if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                watched.remove(&event.wd);
            } else if let Some(sender) = watched.get(&event.wd) {
                sender.send_replace(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, future::Future, io::Write, time::Duration};

    use super::*;

    async fn in_time(future: impl Future<Output = ()>) {
        let seconds = 20;
        tokio::time::timeout(Duration::from_secs(seconds), future).await.expect("a change is seen");
    }

    #[tokio::test]
    async fn each_follower_of_a_file_hears_that_it_grew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("output");
        let mut file = fs::File::create(&path).unwrap();
        let watches = Watches::default();
        let mut first = watches.on(&path, Change::Growth).unwrap();
        let mut second = watches.on(&path, Change::Growth).unwrap();
        file.write_all(b"1").unwrap();
        in_time(first.changed()).await;
        in_time(second.changed()).await;
        drop(first);
        file.write_all(b"2").unwrap();
        in_time(second.changed()).await;
    }

    #[tokio::test]
    async fn a_new_file_is_seen_in_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let watches = Watches::default();
        let mut watch = watches.on(directory.path(), Change::NewEntry).unwrap();
        let file = directory.path().join("output");
        fs::write(&file, "").unwrap();
        in_time(watch.changed()).await;
        fs::rename(&file, directory.path().join("output of another")).unwrap();
        in_time(watch.changed()).await;
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_watch_that_was_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let watches = Watches::default();
        let first = watches.on(directory.path(), Change::NewEntry).unwrap();
        let second = watches.on(directory.path(), Change::NewEntry).unwrap();
        let shared = Arc::clone(&first.shared);
        drop(first);
        assert_eq!(shared.watched.lock().unwrap().len(), 1);
        drop(second);
        assert!(shared.watched.lock().unwrap().is_empty());
    }
}
