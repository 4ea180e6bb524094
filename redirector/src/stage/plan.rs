//! What a command reads, and where it may write: worked out from its arguments and from what
//! there is in the file system.
//!
//! Inputs are files and directories that arguments name ([`arguments`]), what is in those
//! directories, and files beside an input that belong to it: `ref.fa.bwt` to `ref.fa`, `a.bai` to
//! `a.bam`. What symbolic links lead to is an input, and so are the links. The directories of
//! things that are not there yet, the outputs, are made.
//!
//! The system's directories (`/usr`, `/etc`, …) each computer has itself.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    ops::Range,
    rc::Rc,
};

use super::{arguments, path::WholePath};
use crate::{model::Text, stage::diff::Stamp};

/// More links than these on the way to a file the kernel does not follow either.
const LINKS: u32 = 40;

/// The most things of one command; whoever names a larger directory hardly means all of it.
pub const MOST: usize = 10_000;

/// Directories of everybody's that are named for what is to be made in them.
const TEMPORARY: [&[u8]; 2] = [b"/tmp", b"/var/tmp"];

/// Ends of names that belong to a file with the same stem.
const BESIDE: [&[u8]; 7] = [b"bai", b"crai", b"csi", b"tbi", b"fai", b"dict", b"idx"];

/// What is at a path, links not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// To tell whether it has changed.
        stamp: Stamp,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: Text,
    },
    /// A pipe, a device, ….
    Other,
}

/// A file system.
pub trait View {
    /// What is at `path`; `None`: nothing.
    fn look(&self, path: &WholePath) -> io::Result<Option<Found>>;

    /// The names in a directory.
    fn names(&self, directory: &WholePath) -> io::Result<Vec<Vec<u8>>>;
}

/// A plan that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory is too large.
    #[error(
        "its arguments name more than {MOST} files, most of them in {directory}; name fewer, or \
         have it run where the files are (stage=off, host=…)"
    )]
    TooMany {
        /// The one in which it was given up.
        directory: WholePath,
    },
    /// The working directory is none.
    #[error("its working directory {} is not there", directory.to_string_lossy())]
    NoDirectory {
        /// As the command has it.
        directory: Text,
    },
    /// The working directory is one that each computer has itself.
    #[error(
        "its working directory {path} is the system's, which is not copied to hosts; start it in \
         a directory of yours"
    )]
    Systems {
        /// The directory.
        path: WholePath,
    },
    /// The file system refuses something.
    #[error("cannot look at {path}: {cause}")]
    Unreadable {
        /// At what.
        path: WholePath,
        /// The system's reason.
        cause: io::Error,
    },
}

/// What is laid out for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The working directory, without symbolic links on the way.
    pub directory: WholePath,
    /// Directories, files and links that it is to find. Links lead where they do here, but are
    /// absolute where they would lead out of the tree.
    pub things: BTreeMap<WholePath, Found>,
    /// Files that arguments name themselves.
    pub named: BTreeSet<WholePath>,
    /// Directories in and below which outputs are brought back.
    pub writable: BTreeSet<WholePath>,
    /// The arguments, and their parts that are paths.
    arguments: Vec<(Text, Vec<Part>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    range: Range<usize>,
    becomes: Becomes,
}

/// What is written in the place of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Becomes {
    /// The same below the tree's root.
    Below,
    /// This, below the tree's root.
    Other(WholePath),
    /// This.
    Systems(WholePath),
}

impl Plan {
    /// For a command in `directory`. Paths for which `is_there` is true the host has itself.
    ///
    /// # Errors
    /// If it names too much, or the file system refuses something.
    pub fn new(
        argv: &[Text],
        directory: &Text,
        view: &impl View,
        is_there: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Error> {
        let mut planner = Planner::new(view);
        let whole = planner.walk(&WholePath::root(), directory.as_bytes())?;
        if let Some(Walk { end: End::Systems, path, .. }) = whole {
            return Err(Error::Systems { path });
        }
        let Some(Walk { end: End::Directory, path: directory, links, .. }) = whole else {
            return Err(Error::NoDirectory { directory: directory.clone() });
        };
        planner.keep(links);
        planner.directory = directory.clone();
        planner.things.insert(directory.clone(), Found::Directory);
        planner.let_write(&directory);
        let mut arguments = Vec::with_capacity(argv.len());
        for (index, argument) in argv.iter().enumerate() {
            // The first one is the program.
            let parts = match index {
                0 => Vec::new(),
                _ => planner.argument(argument.as_bytes(), &is_there)?,
            };
            arguments.push((argument.clone(), parts));
        }
        let Planner { things, named, writable, .. } = planner;
        Ok(Self { directory, things, named, writable, arguments })
    }

    /// The arguments for a tree at `root`, or for one that the command finds where the files are
    /// here; those without a path `otherwise` may change.
    pub fn arguments(&self, root: Option<&[u8]>, otherwise: impl Fn(&Text) -> Text) -> Vec<Text> {
        let argument = |(argument, parts): &(Text, Vec<Part>)| {
            if parts.is_empty() {
                return otherwise(argument);
            }
            let Some(root) = root else { return argument.clone() };
            let parts: Vec<_> = parts
                .iter()
                .map(|Part { range, becomes }| {
                    let text = match becomes {
                        Becomes::Below => [root, &argument.as_bytes()[range.clone()]].concat(),
                        Becomes::Other(path) => [root, path.as_bytes()].concat(),
                        Becomes::Systems(path) => path.as_bytes().to_vec(),
                    };
                    (range.clone(), text)
                })
                .collect();
            Text(arguments::replace(argument.as_bytes(), &parts))
        };
        self.arguments.iter().map(argument).collect()
    }
}

/// Where a path leads.
struct Walk {
    end: End,
    path: WholePath,
    /// Links on the way.
    links: Vec<(WholePath, Text)>,
    /// Directories that were gone through and left by `..`.
    left: Vec<WholePath>,
    /// It went further up than to `/`.
    climbs: bool,
}

enum End {
    Directory,
    File(Found),
    /// Nothing, in a directory.
    New,
    /// In the system's directories.
    Systems,
}

struct Planner<'v, V> {
    view: &'v V,
    directory: WholePath,
    things: BTreeMap<WholePath, Found>,
    named: BTreeSet<WholePath>,
    writable: BTreeSet<WholePath>,
    names: RefCell<BTreeMap<WholePath, Rc<Vec<Vec<u8>>>>>,
}

impl<'v, V: View> Planner<'v, V> {
    fn new(view: &'v V) -> Self {
        Self {
            view,
            directory: WholePath::root(),
            things: BTreeMap::new(),
            named: BTreeSet::new(),
            writable: BTreeSet::new(),
            names: RefCell::default(),
        }
    }

    fn argument(
        &mut self,
        argument: &[u8],
        is_there: &impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Part>, Error> {
        let wholes = arguments::wholes(argument);
        for range in &wholes {
            if let Some(part) = self.existing(argument, range, is_there)? {
                return Ok(part);
            }
        }
        for whole in &wholes {
            let members = arguments::members(argument, whole.clone());
            let (mut parts, mut is_list) = (Vec::new(), false);
            for member in &members {
                if let Some(part) = self.existing(argument, member, is_there)? {
                    is_list = true;
                    parts.extend(part);
                } else if argument[member.start] == b'/' {
                    parts.extend(self.new_thing(argument, member, is_there)?.into_iter().flatten());
                }
            }
            if is_list {
                return Ok(parts);
            }
        }
        for range in &wholes {
            if let Some(part) = self.new_thing(argument, range, is_there)? {
                return Ok(part);
            }
        }
        Ok(Vec::new())
    }

    /// Where a path in an argument leads; `None` if that is nowhere, or somewhere that the host has
    /// itself.
    fn way(&self, path: &[u8], is_there: &impl Fn(&[u8]) -> bool) -> Result<Option<Walk>, Error> {
        if is_there(path) { Ok(None) } else { self.walk(&self.directory, path) }
    }

    /// Takes what an argument's part names, if that exists; then what becomes of the part, if
    /// anything does.
    fn existing(
        &mut self,
        argument: &[u8],
        range: &Range<usize>,
        is_there: &impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<Part>>, Error> {
        let text = &argument[range.clone()];
        let Some(walk) = self.way(text, is_there)? else { return Ok(None) };
        match &walk.end {
            End::New => return Ok(None),
            End::Systems => {}
            End::File(found) => {
                self.things.insert(walk.path.clone(), found.clone());
                self.named.insert(walk.path.clone());
                if let Some((directory, _)) = walk.path.split() {
                    self.let_write(&directory);
                }
                self.beside_all(&walk)?;
            }
            End::Directory => {
                self.things.insert(walk.path.clone(), Found::Directory);
                let is_for_outputs =
                    self.directory.is_in(&walk.path) || TEMPORARY.contains(&walk.path.as_bytes());
                self.let_write(&walk.path);
                if !is_for_outputs {
                    self.fill(&walk.path)?;
                }
            }
        }
        Ok(Some(self.part(text, range, walk).into_iter().collect()))
    }

    /// Takes what belongs to something that does not exist, if its directory does.
    fn new_thing(
        &mut self,
        argument: &[u8],
        range: &Range<usize>,
        is_there: &impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<Part>>, Error> {
        let text = &argument[range.clone()];
        let Some(walk) = self.way(text, is_there)? else { return Ok(None) };
        let (End::New, Some((directory, _))) = (&walk.end, walk.path.split()) else {
            return Ok(None);
        };
        // Many an argument that begins with a slash is no path.
        if directory == WholePath::root() {
            return Ok(None);
        }
        self.things.insert(directory.clone(), Found::Directory);
        self.let_write(&directory);
        // Programs that are given the common beginning of their files' names.
        self.beside_all(&walk)?;
        Ok(Some(self.part(text, range, walk).into_iter().collect()))
    }

    fn part(&mut self, text: &[u8], range: &Range<usize>, walk: Walk) -> Option<Part> {
        self.keep(walk.links);
        for left in walk.left {
            self.things.entry(left).or_insert(Found::Directory);
        }
        let is_absolute = text.starts_with(b"/");
        let goes_up = text.split(|byte| *byte == b'/').any(|part| part == b"..");
        let becomes = match walk.end {
            End::Systems if is_absolute && !goes_up => return None,
            End::Systems => Becomes::Systems(walk.path),
            _ if walk.climbs || is_absolute && goes_up => Becomes::Other(walk.path),
            _ if is_absolute => Becomes::Below,
            _ => return None,
        };
        Some(Part { range: range.clone(), becomes })
    }

    /// Outputs in this directory are brought back.
    fn let_write(&mut self, directory: &WholePath) {
        if *directory != WholePath::root() && !directory.is_systems() {
            self.writable.insert(directory.clone());
        }
    }

    fn keep(&mut self, links: Vec<(WholePath, Text)>) {
        for (path, target) in links {
            self.things.insert(path, Found::Symlink { target });
        }
    }

    /// Takes the files that belong to what a path leads to, by the name that it has there and by
    /// those of the links to it.
    fn beside_all(&mut self, walk: &Walk) -> Result<(), Error> {
        self.beside(&walk.path)?;
        for (link, _) in &walk.links {
            self.beside(link)?;
        }
        Ok(())
    }

    fn beside(&mut self, path: &WholePath) -> Result<(), Error> {
        let Some((directory, name)) = path.split() else { return Ok(()) };
        let stem = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0);
        let stem = stem.map(|at| &name[..at]);
        let belongs = |other: &[u8]| {
            let after = |front: &[u8]| {
                let rest = other.strip_prefix(front)?.strip_prefix(b".")?;
                (!rest.is_empty()).then(|| rest.to_vec())
            };
            after(name).is_some() || stem.and_then(after).is_some_and(|end| BESIDE.contains(&&*end))
        };
        for other in self.names_in(&directory)?.iter().filter(|other| belongs(other)) {
            self.take(&directory, other, false)?;
        }
        Ok(())
    }

    /// Names of a directory that is looked at for more than one file are read once; what may not
    /// be read has no names, as for the command.
    fn names_in(&self, directory: &WholePath) -> Result<Rc<Vec<Vec<u8>>>, Error> {
        if let Some(names) = self.names.borrow().get(directory) {
            return Ok(Rc::clone(names));
        }
        let mut names = match self.view.names(directory) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(cause) => return Err(Error::Unreadable { path: directory.clone(), cause }),
        };
        names.sort_unstable();
        let names = Rc::new(names);
        self.names.borrow_mut().insert(directory.clone(), Rc::clone(&names));
        Ok(names)
    }

    /// Takes all that is in a directory.
    fn fill(&mut self, directory: &WholePath) -> Result<(), Error> {
        let mut to_fill = VecDeque::from([directory.clone()]);
        while let Some(directory) = to_fill.pop_front() {
            for name in self.names_in(&directory)?.iter() {
                if let Some(inner) = self.take(&directory, name, true)? {
                    to_fill.push_back(inner);
                }
            }
        }
        Ok(())
    }

    /// Takes what is called `name`; if that is a directory which is to be filled, that one.
    fn take(
        &mut self,
        directory: &WholePath,
        name: &[u8],
        with_directories: bool,
    ) -> Result<Option<WholePath>, Error> {
        let Some(walk) = self.walk(directory, name)? else { return Ok(None) };
        if self.things.len() >= MOST {
            return Err(Error::TooMany { directory: directory.clone() });
        }
        let is_link = !walk.links.is_empty();
        let mut to_fill = None;
        match walk.end {
            End::File(found) => drop(self.things.insert(walk.path, found)),
            End::Directory if with_directories => {
                let is_new = !self.things.contains_key(&walk.path);
                self.things.insert(walk.path.clone(), Found::Directory);
                // Links that lead around in a circle, or up, are not followed.
                to_fill = (is_new && !directory.is_in(&walk.path)).then_some(walk.path);
            }
            End::Systems => {}
            End::New if is_link => {}
            End::Directory | End::New => return Ok(None),
        }
        self.keep(walk.links);
        for left in walk.left {
            self.things.entry(left).or_insert(Found::Directory);
        }
        Ok(to_fill)
    }

    fn look(&self, path: &WholePath) -> Result<Option<Found>, Error> {
        match self.view.look(path) {
            Ok(found) => Ok(found),
            // As for the command.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Ok(None),
            Err(cause) => Err(Error::Unreadable { path: path.clone(), cause }),
        }
    }

    /// Goes where the kernel would; `None` if that is nowhere, or no place for a file.
    fn walk(&self, from: &WholePath, path: &[u8]) -> Result<Option<Walk>, Error> {
        if path.contains(&0) || path.is_empty() {
            return Ok(None);
        }
        let split = |path: &[u8]| -> Vec<Vec<u8>> {
            path.split(|byte| *byte == b'/')
                .filter(|part| !part.is_empty() && *part != b".")
                .map(<[u8]>::to_vec)
                .collect()
        };
        let mut walk = Walk {
            end: End::Directory,
            path: if path.starts_with(b"/") { WholePath::root() } else { from.clone() },
            links: Vec::new(),
            left: Vec::new(),
            climbs: false,
        };
        let mut ahead: VecDeque<_> = split(path).into();
        while let Some(name) = ahead.pop_front() {
            if name == b".." {
                match walk.path.parent() {
                    Some(parent) => walk.left.push(std::mem::replace(&mut walk.path, parent)),
                    None => walk.climbs = true,
                }
                continue;
            }
            let Some(next) = walk.path.child(&name) else { return Ok(None) };
            // What is exempt may be further down.
            let is_exempt = ahead
                .front()
                .is_some_and(|name| next.child(name).is_some_and(|inner| !inner.is_systems()));
            if next.is_systems() && !is_exempt {
                let rest = ahead.make_contiguous().join(&b'/');
                return Ok(Self::systems(walk, next, &rest));
            }
            match self.look(&next)? {
                Some(Found::Directory) => walk.path = next,
                Some(Found::Symlink { target }) => {
                    if walk.links.len() as u32 >= LINKS {
                        return Ok(None);
                    }
                    for part in split(target.as_bytes()).into_iter().rev() {
                        ahead.push_front(part);
                    }
                    let inside = leads_inside(&walk.path, &target);
                    walk.links.push((next, inside));
                    if target.as_bytes().starts_with(b"/") {
                        walk.path = WholePath::root();
                    }
                }
                Some(found @ Found::File { .. }) if ahead.is_empty() => {
                    (walk.end, walk.path) = (End::File(found), next);
                    return Ok(Some(walk));
                }
                None if ahead.is_empty() => {
                    (walk.end, walk.path) = (End::New, next);
                    return Ok(Some(walk));
                }
                Some(Found::Other | Found::File { .. }) | None => return Ok(None),
            }
        }
        Ok(Some(walk))
    }

    /// The rest of the way is through directories that the host has itself.
    fn systems(mut walk: Walk, mut path: WholePath, rest: &[u8]) -> Option<Walk> {
        for name in rest.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            path = if name == b".." { path.parent()? } else { path.child(name)? };
        }
        (walk.end, walk.path) = (End::Systems, path);
        // What leads out of them again is nothing that a person would write.
        walk.path.is_systems().then_some(walk)
    }
}

/// Where a link in `directory` leads, as a text that means the same in a tree elsewhere.
fn leads_inside(directory: &WholePath, target: &Text) -> Text {
    if target.as_bytes().starts_with(b"/") && WholePath::new(target.as_bytes()).is_some() {
        return target.clone();
    }
    let (mut path, mut climbs) = (directory.clone(), false);
    if target.as_bytes().starts_with(b"/") {
        // It has `.` or `..` in it, or ends with a slash.
        (path, climbs) = (WholePath::root(), true);
    }
    for name in target.as_bytes().split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => match path.parent() {
                Some(parent) => path = parent,
                None => climbs = true,
            },
            name => path = path.child(name).unwrap_or(path),
        }
    }
    if climbs || path.is_systems() { path.into() } else { target.clone() }
}

#[cfg(test)]
mod tests;
