//! Where outputs land: only in and below directories that their command has named.
//!
//! No symbolic link is followed below those, whoever has put it there: a host may say what it
//! likes, and is not to write elsewhere.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat},
    sys::{
        stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstatat, futimens, mkdirat},
        time::TimeSpec,
    },
    unistd::{UnlinkatFlags, symlinkat, unlinkat},
};

use crate::{
    agent::protocol::AttemptId,
    model::Text,
    stage::{WholePath, diff::Stamp},
};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Shore {
    attempt: AttemptId,
    writable: Vec<WholePath>,
}

/// A file that is being brought here.
#[derive(Debug)]
pub(super) struct Landing {
    directory: OwnedFd,
    temporary: String,
    name: Vec<u8>,
    /// The file, at its end.
    pub file: File,
    /// How much of it is here, in bytes.
    pub have: u64,
}

const DIRECTORY: OFlag =
    OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

impl Shore {
    pub(super) fn new(attempt: AttemptId, mut writable: Vec<WholePath>) -> Self {
        // The innermost first.
        writable.sort_unstable_by(|one, other| other.cmp(one));
        Self { attempt, writable }
    }

    /// The directory of `path`, and its name there.
    fn open_parent<'p>(&self, path: &'p WholePath) -> io::Result<(OwnedFd, &'p [u8])> {
        let outside =
            || io::Error::other("it is not in or below a directory that the command line names");
        let (directory, name) = path.split().ok_or_else(outside)?;
        let base = self.writable.iter().find(|base| directory.is_in(base)).ok_or_else(outside)?;
        let mut opened = openat(AT_FDCWD, base.as_path(), DIRECTORY, Mode::empty())?;
        for part in directory.parts().skip(base.parts().count()) {
            opened = openat(&opened, OsStr::from_bytes(part), DIRECTORY, Mode::empty())?;
        }
        Ok((opened, name))
    }

    /// Makes a directory into which this process can write, unless there is one.
    pub(super) fn make_directory(&self, path: &WholePath, mode: u32) -> io::Result<()> {
        let (parent, name) = self.open_parent(path)?;
        let name = OsStr::from_bytes(name);
        match mkdirat(&parent, name, Mode::from_bits_truncate(mode | 0o700)) {
            Ok(()) => set_mode(&parent, name, mode | 0o700),
            Err(Errno::EEXIST) => {
                openat(&parent, name, DIRECTORY, Mode::empty())?;
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives a directory its mode when all is in it.
    pub(super) fn close_directory(&self, path: &WholePath, mode: u32) -> io::Result<()> {
        let (parent, name) = self.open_parent(path)?;
        set_mode(&parent, OsStr::from_bytes(name), mode)
    }

    /// Makes a symbolic link, in the place of any file.
    pub(super) fn link(&self, path: &WholePath, target: &Text) -> io::Result<()> {
        let (directory, name) = self.open_parent(path)?;
        let temporary = self.temporary(path);
        remove(&directory, OsStr::new(&temporary))?;
        symlinkat(target.as_path(), &directory, temporary.as_str())?;
        let to = OsStr::from_bytes(name);
        renameat(&directory, temporary.as_str(), &directory, to)?;
        Ok(())
    }

    /// Whether a file like that is there already.
    pub(super) fn has(&self, path: &WholePath, size: u64, changed: i64) -> bool {
        self.open_parent(path).is_ok_and(|(directory, name)| {
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            let found = fstatat(&directory, OsStr::from_bytes(name), flags);
            found.is_ok_and(|found| {
                let is_file = found.st_mode & libc::S_IFMT == libc::S_IFREG;
                let time = found.st_mtime.saturating_mul(1_000_000_000) + found.st_mtime_nsec;
                is_file && found.st_size as u64 == size && time == changed
            })
        })
    }

    /// Opens the file in which `path`, of `size` bytes, grows until it is whole.
    pub(super) fn open(&self, path: &WholePath, size: u64) -> io::Result<Landing> {
        let (directory, name) = self.open_parent(path)?;
        let temporary = self.temporary(path);
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = File::from(openat(&directory, temporary.as_str(), flags, mode)?);
        let mut have = file.metadata()?.len();
        if have > size {
            file.set_len(0)?;
            have = 0;
        }
        Ok(Landing { directory, temporary, name: name.to_vec(), file, have })
    }

    /// Removes a file, if it is still what it was; whether it was.
    pub(super) fn remove(&self, path: &WholePath, stamp: Stamp) -> io::Result<bool> {
        let (directory, name) = self.open_parent(path)?;
        let is_same = std::fs::symlink_metadata(path.as_path())
            .is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
        if is_same {
            remove(&directory, OsStr::from_bytes(name))?;
        }
        Ok(is_same)
    }

    /// Short, however long the name is.
    fn temporary(&self, path: &WholePath) -> String {
        let AttemptId { job, number } = self.attempt;
        let name = blake3::hash(path.as_bytes()).to_hex();
        format!(".redirector-{job}.{number}-{}", &name[..16])
    }
}

impl Landing {
    /// It is whole: gives it its mode, its time and its name.
    pub(super) fn finish(self, mode: u32, changed: i64) -> io::Result<()> {
        const SECOND: i64 = 1_000_000_000;
        fchmod(&self.file, Mode::from_bits_truncate(mode))?;
        let time = TimeSpec::new(changed.div_euclid(SECOND), changed.rem_euclid(SECOND));
        futimens(&self.file, &time, &time)?;
        let to = Path::new(OsStr::from_bytes(&self.name));
        renameat(&self.directory, self.temporary.as_str(), &self.directory, to)?;
        Ok(())
    }

    /// It is not what it should be.
    pub(super) fn discard(self) -> io::Result<()> {
        remove(&self.directory, OsStr::new(&self.temporary))
    }
}

fn set_mode(directory: &impl AsFd, name: &OsStr, mode: u32) -> io::Result<()> {
    // What was a directory a moment ago may be a link now, which has no mode.
    let opened = openat(directory, name, DIRECTORY, Mode::empty())?;
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
    let mode = Mode::from_bits_truncate(mode);
    Ok(fchmodat(AT_FDCWD, own.as_str(), mode, FchmodatFlags::FollowSymlink)?)
}

fn remove(directory: &impl AsFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
