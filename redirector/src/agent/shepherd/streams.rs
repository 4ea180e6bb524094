//! What a command finds as its descriptors: its output files, or what is attached to a process
//! elsewhere.
//!
//! The shepherd must not keep what is attached: a pipe that it has open has no end, and a
//! command that writes to it is never told that nobody reads.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
};

use super::{
    outputs::{self, Outputs, Spares},
    task::CommandEnd,
};
use crate::agent::{above, protocol::Assignment};

/// The standard descriptors.
const STANDARD: [RawFd; 3] = [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO];

/// The descriptors cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// An output file.
    #[error(transparent)]
    Output(#[from] outputs::Error),
    /// One that is attached.
    #[error("cannot open what is to be its descriptor {number}: {cause}")]
    Attached { number: RawFd, cause: io::Error },
}

/// See the module.
pub(super) enum Streams {
    /// Nobody waits for the command.
    Files(Outputs),
    /// Somebody waits for it elsewhere.
    Attached(Vec<(RawFd, File)>),
}

impl Streams {
    /// Opens the attempt's output files, or `ends` if it is attached.
    pub(super) fn open(
        assignment: &Assignment,
        ends: Option<&[CommandEnd]>,
        spares: &mut Spares,
    ) -> Result<Self, Error> {
        let Some(ends) = ends else {
            return Ok(Self::Files(Outputs::open(assignment, spares)?));
        };
        let last = ends.iter().map(|end| end.number).max().unwrap_or_default();
        let open = |end: &CommandEnd| {
            let failed = |cause| Error::Attached { number: end.number, cause };
            OpenOptions::new()
                .read(end.reads)
                .write(end.writes)
                .open(end.path.as_path())
                .and_then(|file| above(OwnedFd::from(file), last.max(libc::STDERR_FILENO)))
                .map(|file| (end.number, File::from(file)))
                .map_err(failed)
        };
        Ok(Self::Attached(ends.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// What the command's descriptors are; `nothing` is `/dev/null`. Those without one are closed.
    pub(super) fn descriptors<'a>(
        &'a self,
        nothing: BorrowedFd<'a>,
    ) -> Vec<(RawFd, Option<BorrowedFd<'a>>)> {
        match self {
            Self::Files(outputs) => {
                let [stdout, stderr] = outputs.streams();
                STANDARD.into_iter().zip([nothing, stdout, stderr].map(Some)).collect()
            }
            Self::Attached(files) => {
                let is_closed = |number: &RawFd| files.iter().all(|(open, _)| open != number);
                let closed = STANDARD.into_iter().filter(is_closed).map(|number| (number, None));
                let open = files.iter().map(|(number, file)| (*number, Some(file.as_fd())));
                open.chain(closed).collect()
            }
        }
    }

    /// Whether somebody waits for the command elsewhere.
    pub(super) fn are_attached(&self) -> bool {
        matches!(self, Self::Attached(_))
    }

    /// The command has them: closes what it must be alone to have.
    pub(super) fn command_has_them(&mut self) {
        if let Self::Attached(files) = self {
            files.clear();
        }
    }

    /// Adds a line of redirector's own to the standard error.
    pub(super) fn complain(&self, line: &str) {
        let mut stderr = match self {
            Self::Files(outputs) => outputs.stderr(),
            Self::Attached(files) => {
                match files.iter().find(|(number, _)| *number == libc::STDERR_FILENO) {
                    Some((_, stderr)) => stderr,
                    None => return,
                }
            }
        };
        // Lost if the disk is full; the exit status says that it failed.
        drop(stderr.write_all(format!("redirector: {line}\n").as_bytes()));
    }

    /// Output files that were left empty. Nobody may have them open for writing any more.
    pub(super) fn into_spares(self) -> Option<Spares> {
        match self {
            Self::Files(outputs) => Some(outputs.into_spares()),
            Self::Attached(_) => None,
        }
    }
}
