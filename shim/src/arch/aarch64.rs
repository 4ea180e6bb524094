//! System call numbers of aarch64 Linux.

pub(crate) const GETCWD: usize = 17;
pub(crate) const FACCESSAT: usize = 48;
pub(crate) const OPENAT: usize = 56;
pub(crate) const CLOSE: usize = 57;
pub(crate) const READ: usize = 63;
pub(crate) const WRITEV: usize = 66;
pub(crate) const READLINKAT: usize = 78;
pub(crate) const EXECVEAT: usize = 281;
