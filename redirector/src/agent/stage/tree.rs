//! A job's tree: laid out, looked through, removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::{
    store::{Laid, Store},
    view::{self, View},
};
use crate::{
    model::Text,
    stage::{
        Digest, Manifest, Thing, WholePath,
        diff::{self, Before, Sight, Stamp},
        manifest::{target_here, target_there},
        talk::{Made, Output, Outputs},
    },
};

/// A tree that is laid out.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// What its command calls `root`, without the slash that follows.
    prefix: Vec<u8>,
    manifest: Manifest,
    before: Before,
    /// Names of blobs.
    linked: BTreeMap<WholePath, Digest>,
}

impl Tree {
    /// Lays out `manifest` in `job`, which is made anew; its command is to see `view`, or it below
    /// its directory. If blobs are missing, these.
    pub(super) fn lay(
        job: &Path,
        manifest: Manifest,
        view: Option<&View>,
        store: &Store,
    ) -> io::Result<Result<Self, Vec<Digest>>> {
        let blobs = manifest.things.values().filter_map(|thing| match thing {
            Thing::File { digest, size, .. } => Some((*digest, *size)),
            Thing::Directory | Thing::Symlink { .. } => None,
        });
        let missing = store.missing(blobs.collect())?;
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        match fs::remove_dir_all(job) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let root = job.join("root");
        make_directory(&root)?;
        let prefix = match view {
            Some(view) => {
                view.write(job)?;
                Vec::new()
            }
            None => root.as_os_str().as_bytes().to_vec(),
        };
        make_directory(&manifest.directory.below(&root))?;
        let mut linked = BTreeMap::new();
        for (path, thing) in &manifest.things {
            let laid = lay_one(path, thing, &root, &prefix, store)
                .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
            match laid {
                Ok(Laid::Linked(digest)) => drop(linked.insert(path.clone(), digest)),
                Ok(Laid::Own) => {}
                Err(missing) => return Ok(Err(vec![missing])),
            }
        }
        let mut problems = Vec::new();
        let things = look(&root, &mut problems);
        if let Some(problem) = problems.pop() {
            return Err(io::Error::other(problem));
        }
        let shared = linked.keys().cloned().collect();
        Ok(Ok(Self { root, prefix, manifest, before: Before { things, shared }, linked }))
    }

    /// Where it begins.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that it is in, with all else of its job.
    fn job(&self) -> Option<&Path> {
        self.root.parent()
    }

    /// Whether its command finds it where its files are on the gateway's computer.
    pub(super) fn is_in_place(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Whether it was laid out for this.
    pub(super) fn is_for(&self, manifest: &Manifest) -> bool {
        self.manifest == *manifest
    }

    /// What its command has done to it.
    pub(super) fn outputs(&self, store: &Store) -> io::Result<Outputs> {
        // A tree that is gone as a whole was not removed by its command.
        fs::symlink_metadata(self.manifest.directory.below(&self.root))?;
        let mut before = self.before.clone();
        for (path, digest) in &self.linked {
            let there = path.below(&self.root);
            let is_file = fs::symlink_metadata(&there).is_ok_and(|it| it.is_file());
            if is_file && !store.is_intact(*digest, &there)? {
                before.things.remove(path);
            }
        }
        let mut problems: Vec<_> = self.job().and_then(view::problem).into_iter().collect();
        let changes = diff::changes(&before, &look(&self.root, &mut problems));
        let mut made = Vec::with_capacity(changes.made.len());
        for path in changes.made {
            match self.made(&path) {
                Ok(thing) => made.push(Output { path, made: thing }),
                Err(error) => problems.push(format!("{path}: {error}")),
            }
        }
        Ok(Outputs { made, removed: changes.removed, problems })
    }

    fn made(&self, path: &WholePath) -> io::Result<Made> {
        let there = path.below(&self.root);
        let metadata = fs::symlink_metadata(&there)?;
        let mode = metadata.mode() & 0o777;
        if metadata.is_dir() {
            return Ok(Made::Directory { mode });
        }
        if metadata.is_symlink() {
            let target = Text::from(fs::read_link(there)?);
            let target = target_here(&target, &self.prefix);
            return Ok(Made::Symlink { target });
        }
        let changed = Stamp::of(&metadata).changed;
        let is_link = self.linked.contains_key(path)
            && matches!(self.before.things.get(path),
                Some(Sight::File(before)) if before.inode == metadata.ino());
        let mode = match self.manifest.things.get(path) {
            // It had lost the right to be written to.
            Some(Thing::File { mode, .. }) if is_link => *mode & 0o777,
            _ => mode,
        };
        Ok(Made::File { size: metadata.len(), mode, changed })
    }

    /// Opens a file for reading.
    pub(super) fn open(&self, path: &WholePath) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path.below(&self.root))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other(format!("{path} is no file any more")));
        }
        Ok(file)
    }

    /// Removes it.
    pub(super) fn remove(&self, store: &Store) -> io::Result<()> {
        for (path, digest) in &self.linked {
            // The command may have removed it.
            drop(store.release(*digest, &path.below(&self.root)));
        }
        fs::remove_dir_all(self.job().unwrap_or(&self.root))
    }
}

/// Lays out one thing; the digest of a blob that another agent has just removed.
fn lay_one(
    path: &WholePath,
    thing: &Thing,
    root: &Path,
    prefix: &[u8],
    store: &Store,
) -> io::Result<Result<Laid, Digest>> {
    let there = path.below(root);
    if let Some(parent) = there.parent().filter(|_| *path != WholePath::root()) {
        make_directory(parent)?;
    }
    match thing {
        Thing::Directory => make_directory(&there)?,
        Thing::Symlink { target } => {
            let target = target_there(target, prefix);
            std::os::unix::fs::symlink(target.as_path(), &there)?;
        }
        Thing::File { digest, size, mode, changed } => {
            return Ok(store.lay(*digest, *size, *mode, *changed, &there)?.ok_or(*digest));
        }
    }
    Ok(Ok(Laid::Own))
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// All below `root`, symbolic links not followed. What cannot be looked at is a problem.
fn look(root: &Path, problems: &mut Vec<String>) -> BTreeMap<WholePath, Sight> {
    let mut things = BTreeMap::new();
    let mut directories = BTreeSet::from([WholePath::root()]);
    while let Some(directory) = directories.pop_first() {
        let entries = match fs::read_dir(directory.below(root)) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(format!("{directory}: {error}"));
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let Some(path) = directory.child(OsStr::as_bytes(&entry.file_name())) else { continue };
            // One that is gone again is nothing.
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
            let sight = if metadata.is_dir() {
                directories.insert(path.clone());
                Sight::Directory
            } else if metadata.is_symlink() {
                let Ok(target) = fs::read_link(entry.path()) else { continue };
                Sight::Symlink { target: Text::from(target) }
            } else if metadata.is_file() {
                Sight::File(Stamp::of(&metadata))
            } else {
                continue;
            };
            things.insert(path, sight);
        }
    }
    things
}
