//! The pools that a job may run in, of which the first that takes it has it: `long,short,local`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands for the gateway's own node.
const LOCAL: &str = "local";

/// Where a job may have its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolChoice {
    /// Allocations of a pool, or nodes that have this word among their tags.
    Named(String),
    /// The gateway's own node: `local`.
    Local,
}

impl PoolChoice {
    /// Whether no pool of the configuration may have this name.
    pub fn is_reserved(name: &str) -> bool {
        name == LOCAL
    }

    fn of(word: &str) -> Self {
        if Self::is_reserved(word) { Self::Local } else { Self::Named(word.to_owned()) }
    }

    fn word(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Local => LOCAL,
        }
    }
}

impl fmt::Display for PoolChoice {
    /// For people, within a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "pool '{name}'"),
            Self::Local => f.write_str("the gateway's own node ('local')"),
        }
    }
}

/// One pool or several, in the order in which a job tries them.
///
/// In journals and on the wire it is its text, so that one pool is what it was before there were
/// lists. Any text is a list: what is strange in it names no pool, and is refused as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct PoolList {
    first: PoolChoice,
    others: Vec<PoolChoice>,
}

impl PoolList {
    /// The one whose turn it is.
    pub fn first(&self) -> &PoolChoice {
        &self.first
    }

    /// Those that remain when the first one has refused.
    #[must_use]
    pub fn rest(&self) -> Option<Self> {
        let (first, others) = self.others.split_first()?;
        Some(Self { first: first.clone(), others: others.to_vec() })
    }

    /// The list from the first that `is_it` on.
    #[must_use]
    pub fn from_the_first(&self, is_it: impl Fn(&PoolChoice) -> bool) -> Option<Self> {
        let mut list = self.clone();
        while !is_it(&list.first) {
            list = list.rest()?;
        }
        Some(list)
    }

    /// Whether there are several.
    pub fn has_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &PoolChoice> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Whether one is named twice.
    pub fn has_repeats(&self) -> bool {
        let mut left = self.others.as_slice();
        let mut first = &self.first;
        while !left.contains(first) {
            let Some((next, rest)) = left.split_first() else { return false };
            (first, left) = (next, rest);
        }
        true
    }
}

impl From<String> for PoolList {
    fn from(text: String) -> Self {
        Self::from(&*text)
    }
}

impl From<&str> for PoolList {
    fn from(text: &str) -> Self {
        let mut words = text.split(',').map(PoolChoice::of);
        let first = words.next().unwrap_or_else(|| PoolChoice::of(text));
        Self { first, others: words.collect() }
    }
}

impl From<PoolList> for String {
    fn from(list: PoolList) -> Self {
        list.to_string()
    }
}

impl fmt::Display for PoolList {
    /// As a whitelist has it: `long,short,local`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(PoolChoice::word).collect();
        f.pad(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pools_have_their_turn_one_after_the_other() {
        let named = |name: &str| PoolChoice::Named(name.to_owned());
        let list = PoolList::from("long,short,local");
        assert_eq!(*list.first(), named("long"));
        let rest = list.rest().unwrap();
        assert_eq!((rest.first(), rest.has_several()), (&named("short"), true));
        let last = rest.rest().unwrap();
        assert_eq!((last.first(), last.has_several()), (&PoolChoice::Local, false));
        assert_eq!(last.rest(), None);
        assert_eq!(list.from_the_first(|it| *it == named("short")), Some(rest));
        assert_eq!(list.from_the_first(|it| *it == named("other")), None);
    }

    #[test]
    fn repeats_are_found_wherever_they_are() {
        for (text, has_repeats) in [
            ("a", false),
            ("a,b,c", false),
            ("a,b,a", true),
            ("a,b,b", true),
            ("local,local", true),
        ] {
            assert_eq!(PoolList::from(text).has_repeats(), has_repeats, "{text}");
        }
    }

    #[test]
    fn one_pool_is_written_as_it_was_before_there_were_lists() {
        let list: PoolList = serde_json::from_str("\"long\"").unwrap();
        assert_eq!(list, PoolList::from("long"));
        assert_eq!(serde_json::to_string(&PoolList::from("a,local")).unwrap(), "\"a,local\"");
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_is_written(text in ".*") {
            prop_assert_eq!(PoolList::from(&*text).to_string(), text);
        }
    }
}
