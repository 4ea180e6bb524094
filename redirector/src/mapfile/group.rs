//! Gathers files that are worked on together.

use std::{collections::HashMap, num::NonZeroUsize};

use super::entry::{Content, Entry, Member};
use crate::model::NodeName;

/// The entries, gathered: each group is of one host, because that is where the files are, and has
/// at most `most` files. Groups come in the order of their first files. A group is skipped if all
/// of its files are.
pub fn group(entries: &[Entry], most: NonZeroUsize) -> Vec<Entry> {
    let mut groups: Vec<(NodeName, Vec<Member>)> = Vec::new();
    let mut open: HashMap<&NodeName, usize> = HashMap::new();
    for entry in entries {
        for (file, skip) in entry.members() {
            let place = open.get(&entry.host).copied();
            let place = place.filter(|place| groups[*place].1.len() < most.get());
            let place = place.unwrap_or_else(|| {
                groups.push((entry.host.clone(), Vec::new()));
                groups.len() - 1
            });
            open.insert(&entry.host, place);
            groups[place].1.push(Member { file: file.clone(), skip });
        }
    }
    let entry = |(host, members): (NodeName, Vec<Member>)| {
        let skip = members.iter().all(|member| member.skip);
        Entry { host, content: Content::Files(members), skip }
    };
    groups.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapfile::read;

    fn grouped(text: &[u8], most: usize) -> String {
        let groups = group(&read(text).unwrap(), NonZeroUsize::new(most).unwrap());
        let shown = |entry: &Entry| {
            let member = |(file, skip): (&crate::model::Text, bool)| {
                format!("{}{}", file.to_string_lossy(), if skip { "!" } else { "" })
            };
            let members: Vec<_> = entry.members().map(member).collect();
            format!("{}:{}", entry.host, members.join("+"))
        };
        groups.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_group_is_of_one_host() {
        let map = b"[('a', '1'), ('b', '2'), ('a', '3'), ('a', '4'), ('b', '5')]";
        assert_eq!(grouped(map, 2), "a:1+3 b:2+5 a:4");
        assert_eq!(grouped(map, usize::MAX), "a:1+3+4 b:2+5");
        assert_eq!(grouped(map, 1), "a:1 b:2 a:3 a:4 b:5");
    }

    #[test]
    fn what_is_skipped_stays_so() {
        let map = b"[{'host': 'a', 'file': '1', 'skip': True}, ('a', '2'), ('a', '3')]";
        let groups = group(&read(map).unwrap(), NonZeroUsize::new(2).unwrap());
        assert!(groups.iter().all(|group| !group.skip), "{groups:?}");
        assert_eq!(grouped(map, 2), "a:1!+2 a:3");
        let alone = group(&read(map).unwrap(), NonZeroUsize::MIN);
        assert!(alone[0].skip && !alone[1].skip, "{alone:?}");
    }
}
