//! How much a pipe holds that many bytes go through.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};

use super::LARGEST_PIECE;

/// A pipe that gives that much at once was full: what one holds unless somebody changes it.
pub(crate) const FULL: usize = 64 << 10;

/// Lets a pipe hold as much as is moved at once, so that its two ends take turns less often;
/// whether it is a pipe.
///
/// A user has only so much for all pipes, beyond which every new one is tiny, so only those are
/// made larger through which much goes.
pub(crate) fn enlarge(end: &impl AsFd) -> bool {
    let Ok(holds) = fcntl(end, FcntlArg::F_GETPIPE_SZ) else { return false };
    if (holds as usize) < LARGEST_PIECE {
        // Where that is not allowed, it stays as it is.
        let _size = fcntl(end, FcntlArg::F_SETPIPE_SZ(LARGEST_PIECE as i32));
    }
    true
}
