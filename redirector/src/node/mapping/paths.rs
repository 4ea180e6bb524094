//! Directories of this computer and what they are called on a host.

use std::{borrow::Cow, collections::BTreeMap};

use crate::model::Text;

/// Pairs of directories, the longest first.
#[derive(Clone, Debug)]
pub(super) struct PathMap(Vec<(Text, Text)>);

impl PathMap {
    pub(super) fn new(map: &BTreeMap<Text, Text>) -> Self {
        let mut pairs: Vec<_> =
            map.iter().map(|(here, there)| (here.clone(), without_end(there))).collect();
        // Of two directories that hold the same path, the one with more parts is the inner one.
        pairs.sort_by_key(|(here, _)| std::cmp::Reverse(parts(&here.0).count()));
        Self(pairs)
    }

    /// Whether `path` is in a directory that is mapped.
    pub(super) fn covers(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }

    fn find<'p>(&self, path: &'p [u8]) -> Option<(&Text, &'p [u8])> {
        self.0.iter().find_map(|(here, there)| Some((there, below(path, &here.0)?)))
    }

    /// A path; what is not absolute stays as it is.
    pub(super) fn path<'p>(&self, path: &'p [u8]) -> Cow<'p, [u8]> {
        match self.find(path) {
            Some((there, rest)) if there.0.is_empty() && rest.is_empty() => Cow::Borrowed(b"/"),
            Some((there, rest)) => Cow::Owned([&there.0, rest].concat()),
            None => Cow::Borrowed(path),
        }
    }

    /// A list in which parts may be relative or empty, as in `PATH`.
    pub(super) fn list(&self, list: &[u8]) -> Vec<u8> {
        let parts: Vec<_> = list.split(|byte| *byte == b':').map(|part| self.path(part)).collect();
        parts.join(&b':')
    }

    /// A path, or a list of nothing but absolute ones: in others `:` may mean anything.
    pub(super) fn path_or_list<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        if !text.starts_with(b"/") || self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut parts = text.split(|byte| *byte == b':');
        if text.contains(&b':') && parts.all(|part| part.starts_with(b"/")) {
            return Cow::Owned(self.list(text));
        }
        self.path(text)
    }

    pub(super) fn argument<'t>(&self, argument: &'t [u8]) -> Cow<'t, [u8]> {
        let front = front_of_path(argument);
        match self.path_or_list(&argument[front..]) {
            Cow::Owned(mapped) => Cow::Owned([&argument[..front], &mapped].concat()),
            Cow::Borrowed(_) => Cow::Borrowed(argument),
        }
    }
}

/// How much of an argument stands before a path: `--ref=`, `of=`, `-Dtmp=`, `-I`; else nothing.
fn front_of_path(argument: &[u8]) -> usize {
    if let [b'-', letter, b'/', ..] = argument
        && letter.is_ascii_alphabetic()
    {
        return 2;
    }
    let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+:,=".contains(byte);
    match argument.windows(2).position(|pair| pair == b"=/") {
        // Behind anything else but a name it may be the text of a script.
        Some(at) if argument[..at].iter().all(is_named) => at + 1,
        _ => 0,
    }
}

/// What of `path` is behind `directory`, with the `/` between them; `None` if it is elsewhere.
fn below<'p>(path: &'p [u8], directory: &[u8]) -> Option<&'p [u8]> {
    if !path.starts_with(b"/") {
        return None;
    }
    let mut rest = path;
    for part in parts(directory) {
        let start = rest.iter().position(|byte| *byte != b'/')?;
        rest = rest[start..].strip_prefix(part)?;
        if !rest.is_empty() && !rest.starts_with(b"/") {
            return None;
        }
    }
    (!leaves(rest)).then_some(rest)
}

/// Whether `rest` leads out of the directory that it is looked for in.
fn leaves(rest: &[u8]) -> bool {
    let mut depth = 0_u32;
    for part in parts(rest) {
        match part {
            b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

fn without_end(directory: &Text) -> Text {
    let kept = directory.0.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    Text::from(&directory.0[..kept])
}
