//! The descriptors that a command would inherit from this process.

use std::os::fd::{BorrowedFd, RawFd};

use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    sys::stat::{FileStat, SFlag, fstat, major, minor},
    unistd::{Whence, isatty, lseek},
};

use crate::agent::{
    borrow_inherited,
    protocol::{AttachedDescriptor, Direction},
};

/// The device number of `/dev/null`.
const NULL: (u64, u64) = (1, 3);

/// How arguments name descriptors.
const NAMES: [&[u8]; 2] = [b"/dev/fd/", b"/proc/self/fd/"];

/// What a descriptor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file, at this offset.
    File(i64),
    Terminal,
    /// A pipe, a socket, a device.
    Other,
}

/// A descriptor that this process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub number: RawFd,
    pub direction: Direction,
    pub kind: Kind,
}

impl Own {
    /// What the agent is told of it.
    pub(super) fn attached(self) -> AttachedDescriptor {
        AttachedDescriptor { number: self.number, direction: self.direction }
    }

    /// The descriptor.
    pub(super) fn borrow(&self) -> BorrowedFd<'static> {
        borrow_inherited(self.number).expect("open descriptors have numbers that are not negative")
    }
}

/// The standard three and those that `arguments` name, as far as they are open.
pub(super) fn gather<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> Vec<Own> {
    let mut numbers: Vec<RawFd> = (libc::STDIN_FILENO..=libc::STDERR_FILENO).collect();
    for number in arguments.flat_map(named) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let mut found: Vec<(Own, FileStat)> = Vec::new();
    for number in numbers {
        let Some((mut own, stat)) = look(number) else { continue };
        let twin = found.iter().find(|(other, other_stat)| is_same(own, &stat, *other, other_stat));
        if let Some((other, _)) = twin {
            own.direction = Direction::As(other.number);
        }
        found.push((own, stat));
    }
    found.into_iter().map(|(own, _)| own).collect()
}

fn look(number: RawFd) -> Option<(Own, FileStat)> {
    let descriptor = borrow_inherited(number)?;
    let stat = fstat(descriptor).ok()?;
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL).ok()?);
    let own_flags = FdFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFD).ok()?);
    let file_type = stat.st_mode & SFlag::S_IFMT.bits();
    // No command would have got the first, nor could it read the second.
    if own_flags.contains(FdFlag::FD_CLOEXEC) || file_type == SFlag::S_IFDIR.bits() {
        return None;
    }
    let is_null =
        file_type == SFlag::S_IFCHR.bits() && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL;
    let direction = match flags & OFlag::O_ACCMODE {
        _ if is_null => Direction::Null,
        OFlag::O_RDONLY => Direction::Reads,
        OFlag::O_WRONLY => Direction::Writes,
        // A terminal or a socket, most likely.
        _ if matches!(number, libc::STDOUT_FILENO | libc::STDERR_FILENO) => Direction::Writes,
        _ => Direction::Reads,
    };
    let kind = if file_type == SFlag::S_IFREG.bits() {
        Kind::File(lseek(descriptor, 0, Whence::SeekCur).ok()?)
    } else if isatty(descriptor).unwrap_or(false) {
        Kind::Terminal
    } else {
        Kind::Other
    };
    Some((Own { number, direction, kind }, stat))
}

/// Whether two are, most likely, the same open file. A file that is open for reading twice has
/// two offsets, and is not.
fn is_same(one: Own, stat: &FileStat, other: Own, other_stat: &FileStat) -> bool {
    let place = |stat: &FileStat| (stat.st_dev, stat.st_ino, stat.st_rdev);
    let is_file = matches!(one.kind, Kind::File(_));
    one.direction == other.direction
        && one.kind == other.kind
        && place(stat) == place(other_stat)
        && one.direction != Direction::Null
        && !(is_file && one.direction == Direction::Reads)
}

/// The descriptors that an argument names, wherever in it.
fn named(argument: &[u8]) -> Vec<RawFd> {
    let mut numbers = Vec::new();
    for name in NAMES {
        for at in 0..argument.len() {
            let Some(rest) = argument[at..].strip_prefix(name) else { continue };
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number: Option<RawFd> =
                std::str::from_utf8(&rest[..digits]).ok().and_then(|it| it.parse().ok());
            numbers.extend(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_found_wherever_arguments_name_them() {
        assert_eq!(named(b"/dev/fd/63"), [63]);
        assert_eq!(named(b"--in=/dev/fd/5:/proc/self/fd/12,x"), [5, 12]);
        assert_eq!(named(b"/dev/fd/"), [] as [RawFd; 0]);
        assert_eq!(named(b"/dev/fd/99999999999999"), [] as [RawFd; 0]);
    }
}
