//! Mapfiles that belong together: a step's inputs and outputs have an entry each for the same
//! thing at the same place.

use std::collections::HashMap;

use super::entry::{Content, Entry};
use crate::model::{NodeName, Text};

/// A difference between a mapfile and the first one of those that belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// They are not of the same length.
    #[error("it has {found} entries, the first mapfile has {expected}")]
    Length {
        /// How many the first has.
        expected: usize,
        /// How many this one has.
        found: usize,
    },
    /// An entry is on another host.
    #[error("entry {number} is on {found}, in the first mapfile on {expected}")]
    Host {
        /// Which, from 1.
        number: usize,
        /// The first one's host.
        expected: NodeName,
        /// This one's host.
        found: NodeName,
    },
}

/// How `other` differs from `first`, if it does.
pub fn mismatch(first: &[Entry], other: &[Entry]) -> Option<Mismatch> {
    if first.len() != other.len() {
        return Some(Mismatch::Length { expected: first.len(), found: other.len() });
    }
    let differs = |pair: &(usize, (&Entry, &Entry))| pair.1.0.host != pair.1.1.host;
    let pair = first.iter().zip(other).enumerate().find(differs);
    pair.map(|(index, (one, two))| Mismatch::Host {
        number: index + 1,
        expected: one.host.clone(),
        found: two.host.clone(),
    })
}

/// Skips in all of `maps` what is skipped in one of them; returns how many entries are.
pub fn align(maps: &mut [Vec<Entry>]) -> usize {
    let length = maps.iter().map(Vec::len).min().unwrap_or(0);
    let mut skipped = 0;
    for index in 0..length {
        let skip = maps.iter().any(|map| map[index].skip);
        skipped += usize::from(skip);
        for map in &mut *maps {
            if skip {
                skip_entry(&mut map[index]);
            }
        }
    }
    skipped
}

/// Marks the entry, with all that it has.
pub fn skip_entry(entry: &mut Entry) {
    entry.skip = true;
    if let Content::Files(members) = &mut entry.content {
        for member in members {
            member.skip = true;
        }
    }
}

/// The numbers of entries, from 1: first that of a repetition, then that of what it repeats, and
/// the file that both have on the same host.
pub fn duplicates(entries: &[Entry]) -> Vec<(usize, usize, &Text)> {
    let mut seen: HashMap<(&NodeName, &Text), usize> = HashMap::new();
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        for (file, _) in entry.members() {
            let first = *seen.entry((&entry.host, file)).or_insert(index);
            if first != index {
                found.push((index + 1, first + 1, file));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapfile::read;

    #[test]
    fn length_and_hosts_are_compared() {
        let map = |text: &[u8]| read(text).unwrap();
        let first = map(b"a=[1, 2] b=[3]");
        assert_eq!(mismatch(&first, &map(b"a=[x, y] b=[z]")), None);
        let shorter = mismatch(&first, &map(b"a=[1]")).unwrap().to_string();
        assert_eq!(shorter, "it has 1 entries, the first mapfile has 3");
        let elsewhere = mismatch(&first, &map(b"a=[1] b=[2, 3]")).unwrap().to_string();
        assert_eq!(elsewhere, "entry 2 is on b, in the first mapfile on a");
    }

    #[test]
    fn what_is_skipped_in_one_is_skipped_in_all() {
        let mut maps = [
            read(b"a=[1, 2, 3]").unwrap(),
            read(b"[{'host': 'a', 'file': '1', 'skip': True}, ('a', '2'), ('a', '3')]").unwrap(),
            read(b"a=[1, 2, 3]").unwrap(),
        ];
        maps[2][2].skip = true;
        assert_eq!(align(&mut maps), 2);
        for map in &maps {
            let skips: Vec<_> = map.iter().map(|entry| entry.skip).collect();
            assert_eq!(skips, [true, false, true], "{map:?}");
        }
    }

    #[test]
    fn a_file_stands_once_for_a_host() {
        let entries = read(b"a=[1, 2, 1] b=[1]").unwrap();
        assert_eq!(duplicates(&entries), [(3, 1, &Text::from("1"))]);
    }
}
