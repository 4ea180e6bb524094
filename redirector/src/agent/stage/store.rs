//! What is in files that jobs had, kept for the next ones.
//!
//! ```text
//!   incoming ─► D.NAME.part ─ its digest is D? ─► D ─┬─ link ─► a job's tree   (large files)
//!                                                    └─ copy ─► a job's tree
//!   D.stamp   what D was like when nobody had touched it; its time is that of the last use
//! ```
//!
//! A job that may write into a file with several names would change it for all. So only large
//! files are linked, and cannot be written to but by root; and before a blob is used, or taken
//! for unchanged, what it is like is compared with its stamp. If it differs, its digest decides.
//!
//! All agents of a user on a host share one store, under a lock.

use std::{
    collections::BTreeSet,
    fs::{self, File, FileTimes, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::fcntl::{Flock, FlockArg};

use crate::stage::{Digest, diff::Stamp, transfer};

/// Smaller files are copied: see docs/decisions/staging.md.
pub(super) const LINKED_FROM: u64 = 16 << 20;

/// Most bytes that are kept unless the settings say so, …
const MOST: u64 = 50 << 30;

/// … and this part of the disk: 1/2.
const PART_OF_DISK: u64 = 2;

/// What the names of blobs end with that have not come in yet.
const UNFINISHED: &str = ".part";

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// What this agent's unfinished blobs end with.
    unfinished: String,
}

/// A blob that is to come, or to go on.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Where it grows; `None`: it is there.
    pub file: Option<File>,
    /// How much of it there is, in bytes.
    pub have: u64,
}

/// How a file got into a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Laid {
    /// It is one of several names of this blob.
    Linked(Digest),
    /// It is the job's own.
    Own,
}

impl Store {
    /// The one in `directory`, for the agent called `agent`.
    pub(super) fn new(directory: PathBuf, agent: &str) -> Self {
        Self { directory, unfinished: format!(".{agent}{UNFINISHED}") }
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    fn stamp(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}.stamp"))
    }

    fn part(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}{}", self.unfinished))
    }

    fn lock(&self) -> io::Result<Flock<File>> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let lock = self.directory.join("lock");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(lock)?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into())
    }

    /// Those of `digests` that are not there.
    pub(super) fn missing(&self, digests: BTreeSet<(Digest, u64)>) -> io::Result<Vec<Digest>> {
        let _lock = self.lock()?;
        let mut missing = Vec::new();
        for (digest, size) in digests {
            if !self.is_there(digest, size)? {
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    fn is_there(&self, digest: Digest, size: u64) -> io::Result<bool> {
        match fs::symlink_metadata(self.blob(digest)) {
            Ok(metadata) => Ok(metadata.len() == size && self.is_sound(digest, &metadata)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a blob is what its name says; if not, it is removed.
    fn is_sound(&self, digest: Digest, metadata: &fs::Metadata) -> io::Result<bool> {
        let known = fs::read(self.stamp(digest)).ok();
        let known = known.and_then(|known| serde_json::from_slice::<Stamp>(&known).ok());
        if known == Some(Stamp::of(metadata)) {
            return Ok(true);
        }
        let mut file = File::open(self.blob(digest))?;
        let found = transfer::hash(&mut file, metadata.len())?.finalize();
        if Digest::from(found) == digest {
            self.note(digest)?;
            return Ok(true);
        }
        tracing::warn!("a job has written into its input; {digest} is copied there again");
        self.remove(digest)?;
        Ok(false)
    }

    /// Its last change was ours.
    fn note(&self, digest: Digest) -> io::Result<()> {
        let stamp = Stamp::of(&fs::symlink_metadata(self.blob(digest))?);
        fs::write(self.stamp(digest), serde_json::to_vec(&stamp)?)
    }

    fn remove(&self, digest: Digest) -> io::Result<()> {
        drop(fs::remove_file(self.stamp(digest)));
        fs::remove_file(self.blob(digest))
    }

    /// Makes room for a blob of `size` bytes, and opens the file that it grows in.
    pub(super) fn receive(
        &self,
        digest: Digest,
        size: u64,
        limit: Option<u64>,
        is_needed: impl Fn(Digest) -> bool,
    ) -> io::Result<Incoming> {
        let _lock = self.lock()?;
        if self.is_there(digest, size)? {
            return Ok(Incoming { file: None, have: size });
        }
        self.make_room(size, limit, is_needed)?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).read(true).mode(0o600);
        let file = file.open(self.part(digest))?;
        let have = file.metadata()?.len();
        if have > size {
            file.set_len(0)?;
            return Ok(Incoming { file: Some(file), have: 0 });
        }
        Ok(Incoming { file: Some(file), have })
    }

    /// All of a blob has come in, and `found` is its digest; whether that is right.
    pub(super) fn received(&self, digest: Digest, found: Digest) -> io::Result<bool> {
        let _lock = self.lock()?;
        let part = self.part(digest);
        if found != digest {
            fs::remove_file(part)?;
            return Ok(false);
        }
        fs::set_permissions(&part, Permissions::from_mode(0o400))?;
        fs::rename(part, self.blob(digest))?;
        self.note(digest)?;
        Ok(true)
    }

    /// Removes what was not used for longest until `size` bytes more are within the limit. What
    /// jobs have, and what is about to be laid out, stays even beyond it.
    fn make_room(
        &self,
        size: u64,
        limit: Option<u64>,
        is_needed: impl Fn(Digest) -> bool,
    ) -> io::Result<()> {
        let limit = match limit {
            Some(limit) => limit,
            None => default_limit(&self.directory)?,
        };
        let (mut total, mut removable) = (size, Vec::new());
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else { continue };
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            total += metadata.len();
            let used = match Digest::parse(name) {
                Some(digest) if metadata.nlink() > 1 || is_needed(digest) => continue,
                Some(digest) => fs::metadata(self.stamp(digest)).and_then(|it| it.modified()),
                None if name.ends_with(UNFINISHED) && !name.ends_with(&self.unfinished) => {
                    metadata.modified()
                }
                None => continue,
            };
            removable.push((used.unwrap_or(UNIX_EPOCH), metadata.len(), entry.path()));
        }
        removable.sort_unstable();
        for (_, bytes, path) in removable {
            if total <= limit {
                break;
            }
            fs::remove_file(&path)?;
            drop(fs::remove_file(path.with_extension("stamp")));
            total -= bytes;
        }
        Ok(())
    }

    /// Puts a blob into a tree, at `to`, where there is nothing; `None` if it is not there.
    pub(super) fn lay(
        &self,
        digest: Digest,
        size: u64,
        mode: u32,
        changed: i64,
        to: &Path,
    ) -> io::Result<Option<Laid>> {
        let _lock = self.lock()?;
        if !self.is_there(digest, size)? {
            return Ok(None);
        }
        let blob = self.blob(digest);
        let laid = if size >= LINKED_FROM && Self::can_be_linked(&blob, mode, changed)? {
            fs::hard_link(&blob, to)?;
            Laid::Linked(digest)
        } else {
            fs::copy(&blob, to)?;
            set_time(to, changed)?;
            fs::set_permissions(to, Permissions::from_mode(mode & 0o777))?;
            Laid::Own
        };
        // Also the time of its last use.
        self.note(digest)?;
        Ok(Some(laid))
    }

    /// Names of one file have one time of change and one mode.
    fn can_be_linked(blob: &Path, mode: u32, changed: i64) -> io::Result<bool> {
        let metadata = fs::symlink_metadata(blob)?;
        let wanted = 0o400 | mode & 0o555;
        if metadata.nlink() == 1 {
            fs::set_permissions(blob, Permissions::from_mode(0o600))?;
            set_time(blob, changed)?;
            fs::set_permissions(blob, Permissions::from_mode(wanted))?;
            return Ok(true);
        }
        Ok(metadata.mode() & 0o777 == wanted && Stamp::of(&metadata).changed == changed)
    }

    /// Whether nobody has written into a blob; the one at `link`, a name of it.
    pub(super) fn is_intact(&self, digest: Digest, link: &Path) -> io::Result<bool> {
        let _lock = self.lock()?;
        let metadata = fs::symlink_metadata(link)?;
        match fs::symlink_metadata(self.blob(digest)) {
            Ok(blob) if blob.ino() == metadata.ino() => self.is_sound(digest, &blob),
            // Another job has, or it was not used for long; this is the only name left.
            _ => {
                let mut file = File::open(link)?;
                let found = transfer::hash(&mut file, metadata.len())?.finalize();
                Ok(Digest::from(found) == digest)
            }
        }
    }

    /// Takes away a name of a blob.
    pub(super) fn release(&self, digest: Digest, link: &Path) -> io::Result<()> {
        let _lock = self.lock()?;
        let blob = self.blob(digest);
        let is_blobs = match (fs::symlink_metadata(link), fs::symlink_metadata(&blob)) {
            (Ok(link), Ok(blob)) => link.ino() == blob.ino() && self.is_sound(digest, &blob)?,
            _ => false,
        };
        fs::remove_file(link)?;
        if is_blobs { self.note(digest) } else { Ok(()) }
    }
}

fn default_limit(directory: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(directory)?;
    let bytes = disk.blocks().saturating_mul(disk.fragment_size());
    Ok(MOST.min(bytes / PART_OF_DISK))
}

/// Sets when a file was changed last, in nanoseconds since 1970.
fn set_time(path: &Path, changed: i64) -> io::Result<()> {
    // As its owner may, whatever its mode, if it can be read.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.set_times(FileTimes::new().set_modified(moment(changed)))
}

fn moment(nanoseconds: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn put(store: &Store, bytes: &[u8], limit: Option<u64>) -> Digest {
        let digest = Digest::from(blake3::hash(bytes));
        let incoming = store.receive(digest, bytes.len() as u64, limit, |_| false).unwrap();
        let mut file = incoming.file.expect("it is not there yet");
        file.write_all(&bytes[incoming.have as usize..]).unwrap();
        assert!(store.received(digest, digest).unwrap());
        digest
    }

    fn has(store: &Store, digest: Digest, size: usize) -> bool {
        store.missing(BTreeSet::from([(digest, size as u64)])).unwrap().is_empty()
    }

    #[test]
    fn what_is_cut_off_goes_on_where_it_was_and_what_is_wrong_is_thrown_away() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("blobs"), "a");
        let digest = Digest::from(blake3::hash(b"whole"));
        let mut file = store.receive(digest, 5, None, |_| false).unwrap().file.unwrap();
        file.write_all(b"who").unwrap();
        assert_eq!(store.receive(digest, 5, None, |_| false).unwrap().have, 3);
        assert!(!store.received(digest, Digest::from(blake3::hash(b"whose"))).unwrap());
        assert_eq!(store.receive(digest, 5, None, |_| false).unwrap().have, 0);
        assert!(!has(&store, digest, 5));
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_what_a_job_has_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("blobs"), "a");
        let size = LINKED_FROM as usize;
        let blobs: Vec<_> = (0..3u8).map(|byte| vec![byte; size]).collect();
        // The stamps are small; what they take is within the half blob more.
        let limit = Some(LINKED_FROM * 5 / 2);
        let first = put(&store, &blobs[0], limit);
        let link = directory.path().join("link");
        assert_eq!(
            store.lay(first, LINKED_FROM, 0o644, 7, &link).unwrap(),
            Some(Laid::Linked(first))
        );
        let second = put(&store, &blobs[1], limit);
        let third = put(&store, &blobs[2], limit);
        assert!(has(&store, first, size), "a job has it");
        assert!(!has(&store, second, size) && has(&store, third, size));
        store.release(first, &link).unwrap();
        put(&store, &blobs[1], limit);
        assert!(!has(&store, third, size), "the first was in use until now");
        assert!(has(&store, first, size) && has(&store, second, size));
    }

    #[test]
    fn what_a_job_has_written_into_is_never_handed_on() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("blobs"), "a");
        let bytes = vec![7; LINKED_FROM as usize];
        let digest = put(&store, &bytes, None);
        let link = directory.path().join("link");
        store.lay(digest, LINKED_FROM, 0o644, 1_000_000_007, &link).unwrap().unwrap();
        assert!(store.is_intact(digest, &link).unwrap());
        assert_eq!(Stamp::of(&fs::metadata(&link).unwrap()).changed, 1_000_000_007);

        fs::set_permissions(&link, Permissions::from_mode(0o600)).unwrap();
        assert!(store.is_intact(digest, &link).unwrap(), "only its mode has changed");
        let mut file = OpenOptions::new().write(true).open(&link).unwrap();
        file.write_all(b"x").unwrap();
        // As if nothing had happened.
        set_time(&link, 1_000_000_007).unwrap();
        assert!(!store.is_intact(digest, &link).unwrap());
        assert!(!has(&store, digest, bytes.len()));
    }

    #[test]
    fn copies_have_the_mode_and_the_time_and_are_the_jobs_own() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("blobs"), "a");
        let digest = put(&store, b"small", None);
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        assert_eq!(store.lay(digest, 5, 0o640, -5, &one).unwrap(), Some(Laid::Own));
        assert_eq!(store.lay(digest, 5, 0o750, 5, &two).unwrap(), Some(Laid::Own));
        fs::write(&one, "other").unwrap();
        assert_eq!(fs::read(&two).unwrap(), b"small");
        assert!(has(&store, digest, 5));
        let metadata = fs::metadata(&two).unwrap();
        assert_eq!((metadata.mode() & 0o777, Stamp::of(&metadata).changed), (0o750, 5));
    }
}
