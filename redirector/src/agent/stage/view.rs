//! A command that finds its tree where the gateway's computer has these files, instead of below
//! some directory: it sees a file system of its own.
//!
//! ```text
//!   the host            the job's tree (root)         what the command sees (view)
//!   /usr, /etc, …                                     /usr, /etc, …         the host's
//!   /home/bob                                         /home/bob             the host's
//!                       /home/ann/run/in.fa           /home/ann/run/in.fa   the tree's
//! ```
//!
//! So its arguments are the same as here, and what a tool writes of them into its outputs is, too
//! (`@PG` lines of BAM files). A directory that the tree has takes the place of the host's; those
//! above it are made anew in `view`, with all else that the host has there.
//!
//! Whoever is not root makes a user namespace for that, which some systems forbid. There, and where
//! the command would not find its program or its home directory any more, the tree stays below its
//! directory, and paths among the arguments are changed.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid, pivot_root},
};
use serde::{Deserialize, Serialize};

use crate::{
    model::Text,
    stage::{Manifest, Thing, WholePath},
};

/// How to enter a view, in the directory of a job.
const PLAN: &str = "view.json";

/// Why it could not be entered.
const PROBLEM: &str = "problem";

/// What a command is to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct View {
    /// The working directory.
    directory: WholePath,
    /// What the command finds as it is in the tree; nothing of the host is in these.
    whole: BTreeSet<WholePath>,
}

impl View {
    /// Of a tree with what `manifest` says; `None` if one of the host's directories `needed` would
    /// be hidden by it.
    pub(super) fn of(manifest: &Manifest, needed: &[PathBuf]) -> Option<Self> {
        let directories = manifest.things.iter().filter_map(|(path, thing)| match thing {
            Thing::Directory => Some(path.clone()),
            Thing::File { .. } => path.parent(),
            Thing::Symlink { .. } => None,
        });
        let mut whole = BTreeSet::new();
        // Those above others come first.
        let sorted: BTreeSet<_> = directories.chain([manifest.directory.clone()]).collect();
        for path in sorted {
            if !whole.iter().any(|above| path.is_in(above)) {
                whole.insert(path);
            }
        }
        let is_hidden = |path: &PathBuf| {
            let hides = |whole: &WholePath| path.starts_with(whole.as_path());
            whole.iter().any(hides) && path.exists()
        };
        let is_possible = !whole.contains(&WholePath::root()) && !needed.iter().any(is_hidden);
        is_possible.then(|| Self { directory: manifest.directory.clone(), whole })
    }

    /// Notes it for [`enter`], in the directory of a job.
    pub(super) fn write(&self, job: &Path) -> io::Result<()> {
        fs::write(job.join(PLAN), serde_json::to_vec(self)?)
    }

    /// Makes it what this process sees, which has one thread.
    fn enter(&self, job: &Path, ways: &[CloneFlags]) -> io::Result<()> {
        let (root, view) = (job.join("root"), job.join("view"));
        leave_the_others(ways)?;
        make_directory(&view)?;
        bind(&view, &view)?;
        // Else the host's directory that this is in would have it in it once more.
        mount(NOTHING, &view, NOTHING, MsFlags::MS_UNBINDABLE, NOTHING)?;
        self.lay(Path::new("/"), &root, &WholePath::root(), &view)?;
        std::env::set_current_dir(&view)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        std::env::set_current_dir(self.directory.as_path())
    }

    /// Fills the empty directory `view` with what is in `tree`, and with what else the host has
    /// in `host`.
    fn lay(&self, host: &Path, tree: &Path, path: &WholePath, view: &Path) -> io::Result<()> {
        let mut taken = BTreeSet::new();
        for entry in fs::read_dir(tree)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(inner) = path.child(name.as_bytes()) else { continue };
            let (host, to) = (host.join(&name), view.join(&name));
            if !entry.file_type()?.is_dir() {
                put(&entry.path(), &to)?;
            } else if self.whole.contains(&inner) || !host.is_dir() {
                make_directory(&to)?;
                bind(&entry.path(), &to)?;
            } else {
                make_directory(&to)?;
                self.lay(&host, &entry.path(), &inner, &to)?;
                fs::set_permissions(&to, fs::metadata(&host)?.permissions())?;
            }
            taken.insert(name);
        }
        let entries = match fs::read_dir(host) {
            // It may be entered only by who knows the way.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            entries => entries?,
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            if !taken.contains(&name) {
                // What goes away meanwhile, or is not for this user, is not there.
                drop(put(&entry.path(), &view.join(&name)));
            }
        }
        Ok(())
    }
}

const NOTHING: Option<&Path> = None;

/// Has what is at `from` seen at `to`, where there is nothing.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if kind.is_dir() {
        make_directory(to)?;
    } else {
        File::create_new(to)?;
    }
    bind(from, to)
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn bind(from: &Path, to: &Path) -> io::Result<()> {
    Ok(mount(Some(from), to, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)?)
}

/// How to get mounts of one's own: as root, and as anybody.
const WAYS: [CloneFlags; 2] =
    [CloneFlags::CLONE_NEWNS, CloneFlags::CLONE_NEWNS.union(CloneFlags::CLONE_NEWUSER)];

/// From now on, what this process mounts only it and what comes of it sees.
fn leave_the_others(ways: &[CloneFlags]) -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    let mut tried = ways.iter().map(|way| unshare(*way).map(|()| *way));
    let way = tried.find(|tried| *tried != Err(Errno::EPERM)).unwrap_or(Err(Errno::EPERM))?;
    if way.contains(CloneFlags::CLONE_NEWUSER) {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    Ok(mount(NOTHING, "/", NOTHING, MsFlags::MS_SLAVE | MsFlags::MS_REC, NOTHING)?)
}

/// What stands before a command that is to see the view of the job in this directory. It is followed
/// by the program, and the arguments with their zeroth.
pub(super) fn entrance(program: &Path, job: &Path) -> Vec<Text> {
    let words = [program.as_os_str(), OsStr::new("agent"), OsStr::new("--enter"), job.as_os_str()];
    let words = words.into_iter().chain([OsStr::new("--")]);
    words.map(|word| word.as_bytes().into()).collect()
}

/// Whether `program`, this one, can enter views here; `scratch` is where directories can be made.
pub(super) fn is_possible(program: &Path, scratch: &Path) -> bool {
    let try_it = || {
        let job = scratch.join("view-test");
        fs::create_dir_all(job.join("root/view-test"))?;
        let directory = WholePath::root().child(b"view-test").ok_or(io::ErrorKind::InvalidInput)?;
        let view = View { whole: BTreeSet::from([directory.clone()]), directory };
        view.write(&job)?;
        let [program, rest @ ..] = &*entrance(program, &job) else { return Ok(false) };
        let arguments = rest.iter().map(Text::as_path);
        let mut command = Command::new(program.as_path());
        command.args(arguments.map(Path::as_os_str)).args(["/bin/sh", "sh", "-c", ":"]);
        let tried = command.output();
        fs::remove_dir_all(&job)?;
        let tried = tried?;
        if !tried.status.success() {
            tracing::info!(
                "commands see their copied files below {}, because no other place can be made: {}",
                scratch.display(),
                String::from_utf8_lossy(&tried.stderr).trim()
            );
        }
        io::Result::Ok(tried.status.success())
    };
    try_it().unwrap_or_else(|error| {
        tracing::warn!("cannot find out whether commands can have a view: {error}");
        false
    })
}

/// Has this process see what the job in the directory `job` is to see.
///
/// # Errors
/// If that cannot be done; the job's outputs say so, too.
pub(crate) fn enter(job: &Path) -> io::Result<()> {
    let view = fs::read(job.join(PLAN));
    let entered = view.and_then(|view| serde_json::from_slice::<View>(&view)?.enter(job, &WAYS));
    if let Err(error) = &entered {
        let problem = format!("its files cannot be shown to it: {error}");
        // Who cannot write this either ends with a status of redirector's.
        drop(fs::write(job.join(PROBLEM), problem));
    }
    entered
}

/// Why the view of the job in this directory could not be entered, if that is so.
pub(super) fn problem(job: &Path) -> Option<String> {
    fs::read_to_string(job.join(PROBLEM)).ok()
}

#[cfg(test)]
mod tests;
