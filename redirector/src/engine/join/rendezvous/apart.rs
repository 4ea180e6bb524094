//! Work that may take as long as a file system likes, apart from the threads that must not wait.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{runtime::Handle, task::spawn_blocking};

/// Something that is used, and dropped, in threads that may wait.
#[derive(Debug)]
pub(super) struct Apart<T: Send + 'static>(Arc<Mutex<Option<T>>>);

impl<T: Send + 'static> Apart<T> {
    pub(super) fn new(thing: T) -> Self {
        Self(Arc::new(Mutex::new(Some(thing))))
    }

    /// Does something with it, to the end even if nobody waits for that any more.
    pub(super) async fn act<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut T) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let thing = Arc::clone(&self.0);
        apart(move || match &mut *thing.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(thing) => act(thing),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
        .await
    }

    /// Returns when it was dropped.
    pub(super) async fn end(&self) {
        let thing = Arc::clone(&self.0);
        // Fails when the program ends, which drops it as well.
        drop(spawn_blocking(move || drop(take(&thing))).await);
    }
}

impl<T: Send + 'static> Drop for Apart<T> {
    fn drop(&mut self) {
        if let Ok(runtime) = Handle::try_current() {
            let thing = Arc::clone(&self.0);
            runtime.spawn_blocking(move || drop(take(&thing)));
        }
    }
}

fn take<T>(thing: &Mutex<Option<T>>) -> Option<T> {
    thing.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Does something in a thread that may wait.
pub(super) async fn apart<R: Send + 'static>(
    act: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    spawn_blocking(act).await?
}
