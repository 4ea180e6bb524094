//! Small files by which two computers find out whether they see the same directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Most of a file that is read, in bytes: those in question are much shorter.
const LONGEST: u64 = 4096;

/// A file that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Made(PathBuf);

impl Made {
    /// Makes `file` with `content`.
    ///
    /// # Errors
    /// If it cannot be made, or is there already.
    pub(crate) fn new(file: &Path, content: &str) -> io::Result<Self> {
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o644).open(file)?;
        let made = Self(file.to_owned());
        open.write_all(content.as_bytes())?;
        // Before anybody on another computer is told of it.
        open.sync_all()?;
        Ok(made)
    }

    /// Takes over a file that somebody else is about to make.
    pub(crate) const fn to_come(file: PathBuf) -> Self {
        Self(file)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

/// What is in `file`; `None` if there is none.
///
/// # Errors
/// If it is there and cannot be read, or is no text.
pub(crate) fn read(file: &Path) -> io::Result<Option<String>> {
    let open = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut content = String::new();
    open.take(LONGEST).read_to_string(&mut content)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_as_long_as_it_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("probe");
        assert_eq!(read(&file).unwrap(), None);
        let made = Made::new(&file, "content").unwrap();
        assert_eq!(read(&file).unwrap().as_deref(), Some("content"));
        let again = Made::new(&file, "other");
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&file).unwrap().as_deref(), Some("content"), "not touched");
        drop(made);
        assert!(!file.exists());
        drop(Made::to_come(file));
    }

    #[test]
    fn what_cannot_be_read_is_no_missing_file() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_err());
    }
}
