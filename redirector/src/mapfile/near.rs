//! Which hosts have what a command works on.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::Entry;
use crate::{
    model::{NodeName, Text},
    stage::arguments::{members, wholes},
};

/// The hosts that have files which `argv` names, or directories that these are in: those with the
/// most of them first. Relative paths begin in `directory`.
pub fn nearest(entries: &[Entry], argv: &[Text], directory: &Path) -> Vec<NodeName> {
    let named: BTreeSet<PathBuf> = argv.iter().skip(1).flat_map(paths).collect();
    let named: Vec<_> = named.iter().map(|path| directory.join(path)).collect();
    let mut counts = BTreeMap::<&NodeName, usize>::new();
    for entry in entries {
        let has = |path: &&PathBuf| entry.files().any(|file| path.starts_with(file.as_path()));
        let count = named.iter().filter(has).count();
        if count > 0 {
            *counts.entry(&entry.host).or_default() += count;
        }
    }
    let mut hosts: Vec<_> = counts.into_iter().collect();
    hosts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    hosts.into_iter().map(|(host, _)| host.clone()).collect()
}

/// What of an argument may be a path.
fn paths(argument: &Text) -> Vec<PathBuf> {
    let argument = argument.as_bytes();
    let wholes = wholes(argument);
    let members = wholes.iter().flat_map(|whole| members(argument, whole.clone()));
    let ranges = wholes.iter().cloned().chain(members);
    ranges.map(|range| PathBuf::from(OsStr::from_bytes(&argument[range]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_most_comes_first() {
        let map = b"[('a', '/1'), ('b', '/2'), ('b', '/set.MS'), ('c', '/here/x'), \
                     {'host': 'd', 'file': '/1', 'skip': True}]";
        let entries = crate::mapfile::read(map).unwrap();
        for (words, expected) in [
            (&["cmd", "/1"][..], &["a"][..]),
            (&["cmd", "/1", "/2", "--table=/set.MS/table"], &["b", "a"]),
            (&["cmd", "-i/1,x,/2"], &["a", "b", "c"]),
            (&["cmd", "x"], &["c"]),
            (&["/1", "/10", "1"], &[]),
        ] {
            let argv: Vec<_> = words.iter().copied().map(Text::from).collect();
            let found = nearest(&entries, &argv, Path::new("/here"));
            assert!(
                found.iter().map(|host| &*host.0).eq(expected.iter().copied()),
                "{words:?}: {found:?}"
            );
        }
    }
}
