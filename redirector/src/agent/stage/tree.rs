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

use super::store::{Laid, Store};
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
    manifest: Manifest,
    before: Before,
    /// Names of blobs.
    linked: BTreeMap<WholePath, Digest>,
}

impl Tree {
    /// Lays out `manifest` below `root`, which is made anew. If blobs are missing, these.
    pub(super) fn lay(
        root: PathBuf,
        manifest: Manifest,
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
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_directory(&root)?;
        make_directory(&manifest.directory.below(&root))?;
        let mut linked = BTreeMap::new();
        for (path, thing) in &manifest.things {
            let there = path.below(&root);
            if let Some(parent) = there.parent().filter(|_| *path != WholePath::root()) {
                make_directory(parent)?;
            }
            match thing {
                Thing::Directory => make_directory(&there)?,
                Thing::Symlink { target } => {
                    let target = target_there(target, root.as_os_str().as_bytes());
                    std::os::unix::fs::symlink(target.as_path(), &there)?;
                }
                Thing::File { digest, size, mode, changed } => {
                    match store.lay(*digest, *size, *mode, *changed, &there)? {
                        Some(Laid::Linked) => drop(linked.insert(path.clone(), *digest)),
                        Some(Laid::Copied) => {}
                        // Another agent has just removed it.
                        None => return Ok(Err(vec![*digest])),
                    }
                }
            }
        }
        let mut problems = Vec::new();
        let things = look(&root, &mut problems);
        if let Some(problem) = problems.pop() {
            return Err(io::Error::other(problem));
        }
        let shared = linked.keys().cloned().collect();
        Ok(Ok(Self { root, manifest, before: Before { things, shared }, linked }))
    }

    /// Where it begins.
    pub(super) fn root(&self) -> &Path {
        &self.root
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
        let mut problems = Vec::new();
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
            let target = target_here(&target, self.root.as_os_str().as_bytes());
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
        fs::remove_dir_all(&self.root)
    }
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
