//! Files that are read while somebody writes to them: what jobs have written and go on to write.
//!
//! ```text
//!   let mut file = Growing::new(&watches, path, offset)?;
//!   loop {
//!       while let Some(piece) = file.next().await? { … }    // all that it has now
//!       file.changed().await;                              // it is there, or it grew
//!   }
//! ```

mod reader;
mod watches;

use std::{fs, io, path::PathBuf};

use hyper::body::Bytes;

pub(crate) use reader::Reader;
pub(crate) use watches::Watches;
use watches::{Change, Watch};

/// A file that may not be there yet.
pub(crate) struct Growing {
    reader: Reader,
    watches: Watches,
    directory: Watch,
    /// Once the file is there.
    growth: Option<Watch>,
}

impl Growing {
    /// The file at `path` from `offset` on, in bytes.
    ///
    /// # Errors
    /// If its directory can neither be made nor watched.
    pub(crate) fn new(watches: &Watches, path: PathBuf, offset: u64) -> io::Result<Self> {
        // Made here if need be, so that there is something to watch until the file is there.
        let directory = path.parent().unwrap_or(&path);
        fs::create_dir_all(directory)?;
        let directory = watches.on(directory, Change::NewEntry)?;
        let reader = Reader::new(path, offset);
        Ok(Self { reader, watches: watches.clone(), directory, growth: None })
    }

    /// The next piece; `None` if there is no more for now.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        // The watch is made before what is there is read: no growth falls between.
        if self.growth.is_none() && self.reader.open()? {
            self.growth = Some(self.watches.on(self.reader.path(), Change::Growth)?);
        }
        self.reader.next().await
    }

    /// Returns when there may be more than there was.
    pub(crate) async fn changed(&mut self) {
        match &mut self.growth {
            None => self.directory.changed().await,
            Some(growth) => tokio::select! {
                () = growth.changed() => {}
                () = self.directory.changed() => {}
            },
        }
    }
}
