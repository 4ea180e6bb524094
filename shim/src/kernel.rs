//! The few system calls the hooks make themselves.
//!
//! They go to the kernel directly and not through libc, because libc's `open`, `read` and
//! `close` are cancellation points (`execve` is none), may be replaced by other preloaded
//! libraries that allocate or lock (hooks run in vfork children), and write `errno`.
//!
//! ```ignore
//! let file = File::open(c"/etc/redirector/whitelist")?;
//! let length = file.read(&mut buffer)?;
//! ```

use crate::arch::{number, system_call, with_stack};
use core::ffi::{CStr, c_int};

const AT_FDCWD: c_int = -100;
const X_OK: usize = 1;
const F_OK: usize = 0;

/// Long enough for nearly every path, short enough for a 16 KiB stack.
const USUAL_PATH: usize = 512;
/// Linux' `PATH_MAX`: the longest path the kernel hands out, with its zero byte.
pub(crate) const LONGEST_PATH: usize = 4096;

/// An error number of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) c_int);

impl Errno {
    pub(crate) const ENOENT: Self = Self(2);
    pub(crate) const E2BIG: Self = Self(7);
    pub(crate) const EACCES: Self = Self(13);
    pub(crate) const ENODEV: Self = Self(19);
    pub(crate) const ENOTDIR: Self = Self(20);
    pub(crate) const ERANGE: Self = Self(34);
    pub(crate) const ENOSYS: Self = Self(38);
    pub(crate) const ETIMEDOUT: Self = Self(110);
    pub(crate) const ESTALE: Self = Self(116);
}

fn checked(answer: isize) -> Result<usize, Errno> {
    usize::try_from(answer).map_err(|_| Errno(-answer as c_int))
}

/// A descriptor or number as a system call takes it: sign-extended to a register.
fn register(value: c_int) -> usize {
    value as isize as usize
}

fn access(path: &CStr, mode: usize) -> Result<(), Errno> {
    // SAFETY: `path` is a C string; the call changes no memory.
    let answer = unsafe {
        system_call(number::FACCESSAT, [register(AT_FDCWD), path.as_ptr() as usize, mode, 0, 0])
    };
    checked(answer).map(drop)
}

/// Whether this user may execute `path` (true for directories that may be searched, too).
pub(crate) fn executable(path: &CStr) -> Result<(), Errno> {
    access(path, X_OK)
}

/// Whether there is a file `path`.
pub(crate) fn exists(path: &CStr) -> bool {
    access(path, F_OK).is_ok()
}

/// An open file, closed when dropped.
pub(crate) struct File(c_int);

impl File {
    /// Opens `path` for reading. Never waits: a named pipe is just empty.
    pub(crate) fn open(path: &CStr) -> Result<Self, Errno> {
        const O_RDONLY: usize = 0;
        const O_NOCTTY: usize = 0o400;
        const O_NONBLOCK: usize = 0o4000;
        const O_CLOEXEC: usize = 0o2_000_000;
        let flags = O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
        // SAFETY: `path` is a C string; the call changes no memory.
        let answer = unsafe {
            system_call(number::OPENAT, [register(AT_FDCWD), path.as_ptr() as usize, flags, 0, 0])
        };
        checked(answer).map(|descriptor| Self(descriptor as c_int))
    }

    /// Reads up to the length of `buffer`; 0 at the end of the file.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`.
        let answer = unsafe {
            system_call(
                number::READ,
                [register(self.0), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0],
            )
        };
        checked(answer)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and not used afterwards.
        unsafe { system_call(number::CLOSE, [register(self.0), 0, 0, 0, 0]) };
    }
}

/// Writes `parts` as one message to standard error. Nobody can be told when that fails.
pub(crate) fn complain(parts: &[&[u8]]) {
    const STANDARD_ERROR: c_int = 2;
    // A slice reference has no fixed layout, the kernel's iovec is (address, length).
    const MOST_PARTS: usize = 8;
    let mut vectors = [[0_usize; 2]; MOST_PARTS];
    let count = parts.len().min(MOST_PARTS);
    for (vector, part) in vectors.iter_mut().zip(parts) {
        *vector = [part.as_ptr() as usize, part.len()];
    }
    // SAFETY: the first `count` vectors describe memory of `parts`, which is only read.
    unsafe {
        system_call(
            number::WRITEV,
            [register(STANDARD_ERROR), vectors.as_ptr() as usize, count, 0, 0],
        )
    };
}

/// Writes the absolute current directory to `buffer` and returns its length.
///
/// `ENOENT` when it has none below the root, `ERANGE` when `buffer` is too short.
pub(crate) fn current_directory(buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes to `buffer`.
    let answer = unsafe {
        system_call(number::GETCWD, [buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0])
    };
    let length = checked(answer)?.saturating_sub(1);
    // Outside of the root directory the kernel answers "(unreachable)/…".
    if buffer.first() == Some(&b'/') { Ok(length) } else { Err(Errno::ENOENT) }
}

/// Runs `with_path` on the absolute current directory, if there is one.
pub(crate) fn with_current_directory(with_path: &mut dyn FnMut(&[u8])) {
    with_answer(&mut current_directory, &mut |buffer, length| {
        if let Some(path) = buffer.get(..length) {
            with_path(path);
        }
    });
}

/// Runs `with_path` on the path of open file `descriptor`, if it has one: not for
/// deleted files, anonymous memory, pipes or sockets.
pub(crate) fn with_descriptor_path(descriptor: c_int, with_path: &mut dyn FnMut(&CStr)) {
    let mut link = [0; 32];
    let Some(link) = descriptor_link(descriptor, &mut link) else { return };
    with_answer(&mut |buffer| read_link(link, buffer), &mut |buffer, length| {
        if let Some(path) = buffer.get(..=length)
            && path.starts_with(b"/")
            && !path.ends_with(b" (deleted)\0")
            && let Ok(path) = CStr::from_bytes_with_nul(path)
        {
            with_path(path);
        }
    });
}

/// Writes the target of a symbolic link and a zero byte to `buffer`, and returns the length
/// of the target. `ERANGE` when `buffer` is too short.
fn read_link(link: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let room = buffer.len().saturating_sub(1);
    // SAFETY: the kernel writes at most `room` bytes to `buffer`.
    let answer = unsafe {
        system_call(
            number::READLINKAT,
            [register(AT_FDCWD), link.as_ptr() as usize, buffer.as_mut_ptr() as usize, room, 0],
        )
    };
    let length = checked(answer)?;
    // The kernel cuts what does not fit: only a target that leaves room is complete.
    let end = buffer.get_mut(length).filter(|_| length < room).ok_or(Errno::ERANGE)?;
    *end = 0;
    Ok(length)
}

/// Runs `with_path` on what `ask` writes to a buffer, which is a path of unknown length:
/// asked once more with a buffer of its very length if it is an unusually long one, so that
/// `with_path` has as much of the stack left as can be.
fn with_answer(
    ask: &mut dyn FnMut(&mut [u8]) -> Result<usize, Errno>,
    with_path: &mut dyn FnMut(&[u8], usize),
) {
    let mut usual = Err(Errno::ERANGE);
    with_stack(USUAL_PATH, |buffer| {
        usual = ask(buffer);
        if let Ok(length) = usual {
            with_path(buffer, length);
        }
    });
    if usual != Err(Errno::ERANGE) {
        return;
    }
    let mut longest = Err(Errno::ERANGE);
    with_stack(LONGEST_PATH, |buffer| longest = ask(buffer));
    let Ok(length) = longest else { return };
    // Room for the zero byte, and one more by which a complete target is told from a cut one.
    with_stack(length + 2, |buffer| {
        if let Ok(length) = ask(buffer) {
            with_path(buffer, length);
        }
    });
}

/// The symbolic link in `/proc` that names the file of an open descriptor.
fn descriptor_link(descriptor: c_int, buffer: &mut [u8; 32]) -> Option<&CStr> {
    let mut rest = u32::try_from(descriptor).ok()?;
    let mut digits = [0; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        *digits.get_mut(first)? = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    crate::strings::join(buffer, &[b"/proc/self/fd/", digits.get(first..)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn access_tells_files_apart() {
        assert_eq!(executable(c"/bin/sh"), Ok(()));
        assert_eq!(executable(c"/nowhere/sh"), Err(Errno::ENOENT));
        assert_eq!(executable(c"/bin/sh/x"), Err(Errno::ENOTDIR));
        assert!(exists(c"/"));
        assert!(!exists(c"/nowhere"));
    }

    #[test]
    fn files_are_read_to_their_end() {
        let file = File::open(c"/proc/self/cmdline").unwrap();
        let mut buffer = [0; 4096];
        let length = file.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], fs::read("/proc/self/cmdline").unwrap());
        assert_eq!(file.read(&mut buffer), Ok(0));
        assert!(matches!(File::open(c"/nowhere"), Err(Errno::ENOENT)));
    }

    #[test]
    fn the_current_directory_is_that_of_the_process() {
        let mut seen = Vec::new();
        with_current_directory(&mut |path| seen.push(path.to_vec()));
        let expected = std::env::current_dir().unwrap();
        assert_eq!(seen, [expected.as_os_str().as_bytes().to_vec()]);
        assert_eq!(current_directory(&mut [0; 1]), Err(Errno::ERANGE));
    }

    #[test]
    fn descriptors_have_the_path_of_their_file() {
        let paths = |descriptor| {
            let mut seen = Vec::new();
            with_descriptor_path(descriptor, &mut |path| seen.push(path.to_owned()));
            seen
        };
        let directory = tempfile::tempdir().unwrap();
        for name in ["short", &"n".repeat(250)] {
            let mut path = directory.path().canonicalize().unwrap();
            if name.len() > 5 {
                path.extend([&"d".repeat(250), &"e".repeat(250)]);
                fs::create_dir_all(&path).unwrap();
            }
            path.push(name);
            let file = fs::File::create(&path).unwrap();
            let expected = CString::new(path.as_os_str().as_bytes()).unwrap();
            assert_eq!(paths(file.as_raw_fd()), [expected]);
            fs::remove_file(&path).unwrap();
            assert!(paths(file.as_raw_fd()).is_empty());
        }
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(paths(reader.as_raw_fd()).is_empty());
        assert!(paths(-1).is_empty());
    }

    #[test]
    fn descriptor_links_are_decimal() {
        let mut buffer = [0; 32];
        assert_eq!(descriptor_link(0, &mut buffer), Some(c"/proc/self/fd/0"));
        assert_eq!(descriptor_link(c_int::MAX, &mut buffer), Some(c"/proc/self/fd/2147483647"));
        assert_eq!(descriptor_link(-1, &mut buffer), None);
    }
}
