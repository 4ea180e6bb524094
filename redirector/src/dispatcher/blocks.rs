//! Anything in ascending order, in blocks of neighbours.
//!
//! The units of a line, of which there may be a million, and the heads of the lines of a group: each
//! decision takes a first one out, or puts one in, mostly near the end of those of its priority.
//! That is to be done with few looks at memory that is not in the processor's caches, and where
//! there is one alone, as is often so, it is to take little:
//!
//! ```text
//!   first          7  9 12 15       what starts is taken from here; often all there is
//!   more   16 ▸   16 17 20 …        side by side, the smallest that belongs into each block
//!          41 ▸   41 43             next to where it is, for a search by halves
//! ```
//!
//! A new block moves half of the others aside at worst: with a million units some 300 KiB, once in
//! a hundred that come between others. Those at the end of all, where most come, move nothing.

use std::collections::VecDeque;

/// So many make a block.
const BLOCK: usize = 128;

/// Different ones in ascending order.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    /// Empty only if there are none at all.
    first: VecDeque<T>,
    /// The blocks behind the first, none of them empty. What a block is found by is behind all in
    /// the blocks before it, and none of its own is before that.
    more: VecDeque<(T, VecDeque<T>)>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { first: VecDeque::new(), more: VecDeque::new() }
    }
}

impl<T: Ord + Copy> Blocks<T> {
    /// The first of all.
    pub(super) fn first(&self) -> Option<T> {
        self.first.front().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// All, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        self.first.iter().chain(self.more.iter().flat_map(|(_, block)| block)).copied()
    }

    /// The first behind `other`, which may be there or not.
    pub(super) fn first_behind(&self, other: T) -> Option<T> {
        let next = self.more.partition_point(|&(start, _)| start <= other);
        let block = next.checked_sub(1).map_or(&self.first, |at| &self.more[at].1);
        let behind = block.get(block.partition_point(|&one| one <= other));
        behind.or_else(|| self.more.get(next)?.1.front()).copied()
    }

    /// Adds one that is not there yet.
    pub(super) fn insert(&mut self, new: T) {
        let next = self.more.partition_point(|&(start, _)| start <= new);
        let block = match next.checked_sub(1) {
            Some(at) => &mut self.more[at].1,
            None => &mut self.first,
        };
        let position = block.partition_point(|&one| one < new);
        if block.capacity() == 0 {
            // Mostly it stays alone.
            block.reserve_exact(1);
        }
        if block.len() < BLOCK {
            block.insert(position, new);
            return;
        }
        // Where they come in their order, blocks are filled; elsewhere there is room for more.
        let mut behind = block.split_off(if position == BLOCK { BLOCK } else { BLOCK / 2 });
        match position.checked_sub(block.len()) {
            Some(position) => behind.insert(position, new),
            None => block.insert(position, new),
        }
        if let Some(&start) = behind.front() {
            self.more.insert(next, (start, behind));
        }
    }

    /// Removes one, if it is there.
    pub(super) fn remove(&mut self, old: T) {
        let next = if self.first() == Some(old) {
            0
        } else {
            self.more.partition_point(|&(start, _)| start <= old)
        };
        if let Some(at) = next.checked_sub(1) {
            let block = &mut self.more[at].1;
            remove_from(block, &old);
            if block.is_empty() {
                self.more.remove(at);
            }
        } else {
            remove_from(&mut self.first, &old);
        }
        if self.first.is_empty()
            && let Some((_, block)) = self.more.pop_front()
        {
            self.first = block;
        }
    }
}

fn remove_from<T: Ord>(block: &mut VecDeque<T>, old: &T) {
    if let Ok(position) = block.binary_search(old) {
        block.remove(position);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// So many numbers are used that there are several blocks of them.
    const NUMBERS: u16 = 8 * BLOCK as u16;

    proptest! {
        /// First many in ascending order, as jobs come, then any.
        #[test]
        fn blocks_agree_with_a_sorted_set(
            many in 0..NUMBERS,
            steps in prop::collection::vec((any::<bool>(), 0..NUMBERS), 0..600),
        ) {
            let (mut blocks, mut sorted) = (Blocks::default(), BTreeSet::new());
            let steps = (0..many).map(|number| (true, number)).chain(steps);
            for (is_new, number) in steps {
                if !is_new {
                    // Every other one that goes is the first.
                    let first = sorted.first().copied().filter(|_| number % 2 == 0);
                    blocks.remove(first.unwrap_or(number));
                    sorted.remove(&first.unwrap_or(number));
                } else if sorted.insert(number) {
                    blocks.insert(number);
                }
                prop_assert_eq!(blocks.first(), sorted.first().copied());
                prop_assert_eq!(blocks.is_empty(), sorted.is_empty());
                let behind = sorted.range(number + 1..).next().copied();
                prop_assert_eq!(blocks.first_behind(number), behind);
                prop_assert!(blocks.more.iter().all(|(_, block)| !block.is_empty()));
            }
            prop_assert!(blocks.iter().eq(sorted));
        }
    }
}
