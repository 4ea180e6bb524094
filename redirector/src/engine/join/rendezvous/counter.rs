//! A file that counts by its length.
//!
//! Its length is the one thing of a file that another computer sees as it is: whoever opens the
//! file has its attributes asked of the server ("close-to-open", nfs(5)), and a length that has
//! grown cannot be mistaken for an older one, as a time stamp can that counts in hundredths of a
//! second. No bytes are in it, so that none can be half written.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// How far a side has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub count: u64,
    /// There will be no more.
    pub is_final: bool,
}

impl Tally {
    /// What the counter `file` of the other side says.
    pub(super) fn read(file: &Path) -> io::Result<Self> {
        // Opened each time: that is when a network file system looks.
        let length = File::open(file)?.metadata()?.len();
        Ok(Self { count: length / 2, is_final: length % 2 == 1 })
    }

    const fn length(self) -> u64 {
        self.count * 2 + self.is_final as u64
    }
}

/// A counter of this side, which nobody else writes. Dropped, it says that there is no more.
#[derive(Debug)]
pub(super) struct Counter {
    file: File,
    tally: Tally,
}

impl Counter {
    /// The one in `file`, which is there and has not counted yet.
    pub(super) fn open(file: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(file)?;
        Ok(Self { file, tally: Tally::default() })
    }

    /// How many it has counted.
    pub(super) const fn count(&self) -> u64 {
        self.tally.count
    }

    /// One more.
    pub(super) fn raise(&mut self) -> io::Result<()> {
        let tally = Tally { count: self.tally.count + 1, ..self.tally };
        self.file.set_len(tally.length())?;
        self.tally = tally;
        Ok(())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // One that cannot be written is noticed by the silence that follows.
        drop(self.file.set_len(Tally { is_final: true, ..self.tally }.length()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_says_when_there_is_no_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tally = || Tally::read(file.path()).unwrap();
        let mut counter = Counter::open(file.path()).unwrap();
        assert_eq!(tally(), Tally::default());
        for count in 1..=3 {
            counter.raise().unwrap();
            assert_eq!(tally(), Tally { count, is_final: false });
        }
        drop(counter);
        assert_eq!(tally(), Tally { count: 3, is_final: true });
    }

    #[test]
    fn one_that_never_counted_says_so_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        drop(Counter::open(file.path()).unwrap());
        assert_eq!(Tally::read(file.path()).unwrap(), Tally { count: 0, is_final: true });
    }
}
