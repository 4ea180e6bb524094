//! The directory in which agents call their gateway.

use std::{
    fs,
    io::{self, ErrorKind::NotFound},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::call::Call;
use crate::model::NodeName;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine::join) struct Place(PathBuf);

impl Place {
    /// The one in the state directory `state`.
    pub(in crate::engine::join) fn of_state(state: &Path) -> Self {
        Self(state.join("rendezvous"))
    }

    /// The one of the gateway that has written the invitation `file`, as it is seen here.
    pub(in crate::engine::join) fn beside(file: &Path) -> io::Result<Self> {
        let file = std::path::absolute(file)?;
        let state = file.parent().and_then(Path::parent);
        state.map(Self::of_state).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    pub(in crate::engine::join) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, if it is not there yet.
    pub(in crate::engine::join) fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// A new call of `node`. `reason` is why it does not come by TCP.
    pub(super) fn call(&self, node: &NodeName, reason: &str) -> io::Result<Call> {
        Call::begin(&self.0, node, reason)
    }

    /// All calls there are.
    pub(in crate::engine::join) fn calls(&self) -> io::Result<Vec<Call>> {
        self.all(|name| !name.starts_with('.'))
    }

    /// Removes the calls of which `is_left` says so, also such as were not begun yet. The error is
    /// that of the last one that could not be removed.
    pub(in crate::engine::join) fn clear(&self, is_left: impl Fn(&Call) -> bool) -> io::Result<()> {
        let mut result = Ok(());
        for call in self.all(|_| true)?.into_iter().filter(is_left) {
            if let Err(error) = call.remove() {
                result = Err(error);
            }
        }
        result
    }

    /// Removes it with all calls.
    pub(in crate::engine::join) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == NotFound => Ok(()),
            removed => removed,
        }
    }

    fn all(&self, counts: impl Fn(&str) -> bool) -> io::Result<Vec<Call>> {
        // Opened each time: that is when a network file system looks.
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut calls = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(&counts) {
                calls.extend(Call::at(entry.path()));
            }
        }
        Ok(calls)
    }
}
