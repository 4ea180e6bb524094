//! Reads a file from an offset on.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use hyper::body::Bytes;

/// Most bytes of one piece.
const PIECE: usize = 64 << 10;

/// See the module.
pub(crate) struct Reader {
    path: PathBuf,
    /// Once it exists.
    file: Option<File>,
    offset: u64,
}

impl Reader {
    /// What `path` has from `offset` on, in bytes.
    pub(crate) const fn new(path: PathBuf, offset: u64) -> Self {
        Self { path, file: None, offset }
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file if it is there.
    pub(crate) fn open(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            let mut file = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                opened => opened?,
            };
            file.seek(SeekFrom::Start(self.offset))?;
            self.file = Some(file);
        }
        Ok(true)
    }

    /// The next piece; `None` if the file has no more now. A file that is not there has none.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        self.open()?;
        // Taken out meanwhile: the read may be slow, and others share the thread.
        let Some(mut file) = self.file.take() else { return Ok(None) };
        let read = move || {
            let mut piece = vec![0; PIECE];
            let count = file.read(&mut piece)?;
            piece.truncate(count);
            Ok::<_, io::Error>((file, piece))
        };
        let (file, piece) = tokio::task::spawn_blocking(read).await??;
        // An empty file may have become that of another attempt before it was written to.
        let is_another = fs::metadata(&self.path)
            .is_ok_and(|now| file.metadata().is_ok_and(|then| then.ino() != now.ino()))
            || !self.path.exists();
        self.file = Some(file);
        Ok((!piece.is_empty() && !is_another).then(|| piece.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The agent gives an empty file to another attempt while a reader has it open.
    #[tokio::test]
    async fn what_another_writes_into_a_file_that_was_left_empty_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let [own, another] = ["own", "another"].map(|name| directory.path().join(name));
        fs::write(&own, "").unwrap();
        let mut reader = Reader::new(own.clone(), 0);
        assert!(reader.open().unwrap());
        fs::rename(own, &another).unwrap();
        fs::write(&another, "not its own\n").unwrap();
        assert_eq!(reader.next().await.unwrap(), None);
    }
}
