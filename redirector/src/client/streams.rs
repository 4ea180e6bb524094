//! Standard input, output and error of an attempt that is repeated.
//!
//! What an attempt has read from a file is read again, and what it has added to a file is taken
//! back, so that a job that was tried twice leaves what one that was tried once leaves. Only where
//! nobody else can be hurt: a file that is open for appending, or that somebody else has written
//! to meanwhile, stays as it is. Pipes cannot be put back, and jobs with pipes are never retried.

use std::os::fd::{BorrowedFd, RawFd};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::{SFlag, fstat},
    unistd::{Whence, ftruncate, lseek},
};

use crate::agent::borrow_inherited;

/// Where the standard streams stood.
pub(super) struct Streams {
    /// Standard input's offset, if it is a file.
    input: Option<i64>,
    /// Standard output and error, where they stood at the end of their files.
    outputs: Vec<(RawFd, i64)>,
}

impl Streams {
    /// Where they stand now.
    pub(super) fn note() -> Self {
        let input = borrow_inherited(libc::STDIN_FILENO).and_then(File::of);
        let outputs = [libc::STDOUT_FILENO, libc::STDERR_FILENO].into_iter().filter_map(|number| {
            let file = borrow_inherited(number).and_then(File::of)?;
            file.is_at_its_end().then_some((number, file.offset))
        });
        Self { input: input.map(|file| file.offset), outputs: outputs.collect() }
    }

    /// Makes them stand where they stood when they were noted.
    pub(super) fn put_back(&self) {
        if let (Some(offset), Some(input)) = (self.input, borrow_inherited(libc::STDIN_FILENO)) {
            // The descriptor is still the file that it was; nothing can have closed it.
            let _offset = lseek(input, offset, Whence::SeekSet);
        }
        for &(number, offset) in &self.outputs {
            let Some(descriptor) = borrow_inherited(number) else { continue };
            // Whoever else wrote to it has moved its end away from this process's offset.
            if File::of(descriptor).is_some_and(|file| file.is_at_its_end())
                && ftruncate(descriptor, offset).is_ok()
            {
                let _offset = lseek(descriptor, offset, Whence::SeekSet);
            }
        }
    }
}

/// A regular file that is open at some place.
struct File {
    offset: i64,
    size: i64,
    appends: bool,
}

impl File {
    fn of(descriptor: BorrowedFd) -> Option<Self> {
        let metadata = fstat(descriptor).ok()?;
        let is_file = metadata.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        let flags = OFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFL).ok()?);
        let offset = lseek(descriptor, 0, Whence::SeekCur).ok()?;
        let appends = flags.contains(OFlag::O_APPEND);
        is_file.then_some(Self { offset, size: metadata.st_size, appends })
    }

    fn is_at_its_end(&self) -> bool {
        !self.appends && self.offset == self.size
    }
}
