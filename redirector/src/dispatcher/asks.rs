//! What jobs ask for, each different thing once.
//!
//! A million queued jobs ask for some dozens of different things. A job keeps the position of what
//! it asks for in this table, which is counted: what nobody asks for any more is forgotten.

use super::{hasher::FastMap, load::Load, sites::Site};

/// What one job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ask {
    pub(super) load: Load,
    pub(super) site: Site,
    /// Milliseconds.
    pub(super) time_limit: Option<u64>,
}

/// What is asked for, by its position in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AskIndex(u32);

/// The table.
#[derive(Debug, Default)]
pub(super) struct Asks {
    entries: Vec<Entry>,
    unused: Vec<AskIndex>,
    by_ask: FastMap<Ask, AskIndex>,
}

#[derive(Debug)]
struct Entry {
    ask: Ask,
    jobs: u32,
}

impl std::ops::Index<AskIndex> for Asks {
    type Output = Ask;

    fn index(&self, index: AskIndex) -> &Ask {
        &self.entries[index.0 as usize].ask
    }
}

impl Asks {
    /// One job more asks for this.
    pub(super) fn add(&mut self, ask: Ask) -> AskIndex {
        if let Some(&index) = self.by_ask.get(&ask) {
            self.entries[index.0 as usize].jobs += 1;
            return index;
        }
        let entry = Entry { ask, jobs: 1 };
        let index = if let Some(index) = self.unused.pop() {
            self.entries[index.0 as usize] = entry;
            index
        } else {
            self.entries.push(entry);
            AskIndex(self.entries.len() as u32 - 1)
        };
        self.by_ask.insert(ask, index);
        index
    }

    /// One job less asks for this.
    pub(super) fn remove(&mut self, index: AskIndex) {
        let entry = &mut self.entries[index.0 as usize];
        entry.jobs -= 1;
        if entry.jobs == 0 {
            self.by_ask.remove(&entry.ask);
            self.unused.push(index);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_ask.is_empty()
    }
}
