//! The files that a detached job's standard streams go to.
//!
//! Making a file costs some file systems more than a short job does (136 µs on ext4, 3 µs to rename
//! one), and most jobs leave at least one of theirs empty. So an attempt takes over the files
//! that the one before it has left empty, open as they are; that a file is missing says the same as
//! that it is empty.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::fs::{CWD, RenameFlags, renameat_with};

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
    stdout: Output,
    stderr: Output,
}

struct Output {
    file: File,
    path: PathBuf,
}

/// Files that an attempt has left empty.
#[derive(Default)]
pub(super) struct Spares(Vec<Output>);

impl Outputs {
    /// Opens both, to be appended to by this user only; makes their directories.
    pub(super) fn open(assignment: &Assignment, spares: &mut Spares) -> Result<Self, Error> {
        Ok(Self {
            stdout: open(assignment.stdout.as_path(), spares)?,
            stderr: open(assignment.stderr.as_path(), spares)?,
        })
    }

    /// Those that are empty. Nobody may have them open for writing any more.
    pub(super) fn into_spares(self) -> Spares {
        let is_empty =
            |output: &Output| output.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        // The next attempt takes the last one first: each stream keeps its file.
        Spares([self.stderr, self.stdout].into_iter().filter(is_empty).collect())
    }

    /// What becomes descriptors 1 and 2.
    pub(super) fn streams(&self) -> [BorrowedFd<'_>; 2] {
        [self.stdout.file.as_fd(), self.stderr.file.as_fd()]
    }

    /// The standard error.
    pub(super) fn stderr(&self) -> &File {
        &self.stderr.file
    }
}

/// The spare under its new name; `None` where that does not work, for whatever reason. What has that
/// name already is from before and is kept.
fn take_over(spare: Output, path: &Path) -> Option<Output> {
    renameat_with(CWD, &spare.path, CWD, path, RenameFlags::NOREPLACE).ok()?;
    // Whoever had it may have changed how it is written to, for all who have it open.
    fcntl(&spare.file, FcntlArg::F_SETFL(OFlag::O_APPEND)).ok()?;
    Some(Output { path: path.to_owned(), ..spare })
}

fn open(path: &Path, spares: &mut Spares) -> Result<Output, Error> {
    if let Some(output) = spares.0.pop().and_then(|spare| take_over(spare, path)) {
        return Ok(output);
    }
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
        .map(|file| Output { file: File::from(file), path: path.to_owned() })
        .map_err(|cause| Error { file: path.display().to_string(), cause })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::model::Text;

    fn assignment(directory: &Path, job: u64) -> Assignment {
        let path = |stream: &str| Text::from(directory.join(format!("{}/{job}.{stream}", job % 2)));
        Assignment { stdout: path("out"), stderr: path("err"), ..Assignment::default() }
    }

    #[test]
    fn what_one_attempt_has_left_empty_the_next_one_takes_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut spares = Spares::default();
        let outputs = Outputs::open(&assignment(directory.path(), 1), &mut spares).unwrap();
        outputs.stderr().write_all(b"a word").unwrap();
        spares = outputs.into_spares();
        assert_eq!(spares.0.len(), 1);
        assert_eq!(spares.0[0].path, path("1/1.out"));

        // Its directory is made first; a spare does not do that.
        drop(Outputs::open(&assignment(directory.path(), 2), &mut spares).unwrap());
        assert!(path("0/2.out").exists() && path("0/2.err").exists());
        spares =
            Outputs::open(&assignment(directory.path(), 3), &mut spares).unwrap().into_spares();
        assert_eq!(spares.0.len(), 2);
        drop(Outputs::open(&assignment(directory.path(), 5), &mut spares).unwrap());
        assert!(path("1/5.out").exists() && !path("1/3.out").exists());
        assert_eq!(fs::read_to_string(path("1/1.err")).unwrap(), "a word");
    }

    #[test]
    fn a_file_that_is_taken_over_is_appended_to_whatever_was_done_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = Outputs::open(&assignment(directory.path(), 1), &mut Spares::default());
        let first = first.unwrap();
        fcntl(first.stderr(), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let mut spares = first.into_spares();
        let second = Outputs::open(&assignment(directory.path(), 3), &mut spares).unwrap();
        let path = directory.path().join("1/3.err");
        fs::write(&path, "before\n").unwrap();
        second.stderr().write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "before\nafter\n");
    }

    #[test]
    fn what_is_there_is_kept_and_added_to() {
        let directory = tempfile::tempdir().unwrap();
        let mut spares = Outputs::open(&assignment(directory.path(), 1), &mut Spares::default())
            .unwrap()
            .into_spares();
        let mut outputs =
            Outputs::open(&assignment(directory.path(), 3), &mut Spares::default()).unwrap();
        outputs.stderr().write_all(b"before\n").unwrap();
        drop(outputs);
        outputs = Outputs::open(&assignment(directory.path(), 3), &mut spares).unwrap();
        outputs.stderr().write_all(b"after\n").unwrap();
        let text = fs::read_to_string(directory.path().join("1/3.err")).unwrap();
        assert_eq!(text, "before\nafter\n");
    }
}
