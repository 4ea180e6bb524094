//! System call numbers of x86-64 Linux.

pub(crate) const READ: usize = 0;
pub(crate) const CLOSE: usize = 3;
pub(crate) const WRITEV: usize = 20;
pub(crate) const GETCWD: usize = 79;
pub(crate) const OPENAT: usize = 257;
pub(crate) const READLINKAT: usize = 267;
pub(crate) const FACCESSAT: usize = 269;
pub(crate) const EXECVEAT: usize = 322;
