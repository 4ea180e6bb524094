//! The files that a detached job's standard streams go to.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::Path,
};

use crate::agent::{above_standard, protocol::Assignment};

/// An output file that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open its output file {file}: {cause}")]
pub(super) struct Error {
    file: String,
    cause: io::Error,
}

/// The open files of one attempt.
pub(super) struct Outputs {
    stdout: File,
    stderr: File,
}

impl Outputs {
    /// Opens both, to be appended to by this user only; makes their directories.
    pub(super) fn open(assignment: &Assignment) -> Result<Self, Error> {
        Ok(Self {
            stdout: open(assignment.stdout.as_path())?,
            stderr: open(assignment.stderr.as_path())?,
        })
    }

    /// What becomes descriptors 1 and 2.
    pub(super) fn streams(&self) -> [BorrowedFd<'_>; 2] {
        [self.stdout.as_fd(), self.stderr.as_fd()]
    }

    /// Adds a line of redirector's own to the standard error.
    pub(super) fn complain(&mut self, line: &str) {
        // Lost if the disk is full; the exit status says that it failed.
        drop(self.stderr.write_all(format!("redirector: {line}\n").as_bytes()));
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let attempt = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let opened = attempt().or_else(|error| match path.parent() {
        Some(directory) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            attempt()
        }
        _ => Err(error),
    });
    opened
        .and_then(|file| above_standard(OwnedFd::from(file)))
        .map(File::from)
        .map_err(|cause| Error { file: path.display().to_string(), cause })
}
