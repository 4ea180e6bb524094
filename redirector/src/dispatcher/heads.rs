//! The heads of all lines: which is the first, and which is the first of use to a node.
//!
//! A binary tree over the lines; each branch knows the earliest place below it and, pool by pool,
//! the least that any line below it needs. A search goes down the earlier branch first, and skips
//! those that need more than the node has or come after what was found already:
//!
//! ```text
//!                  place 3                    a node with 2 cpus free:
//!                 needs 1 cpu                 the left branch is the earlier one,
//!            ┌────────┴────────┐              but its line 0 needs too much;
//!         place 3           place 4           line 1 would do, at place 7;
//!        needs 2 cpus      needs 1 cpu        the right branch begins at place 4, before 7:
//!       ┌────┴────┐       ┌────┴────┐         its line 3 at place 5 is the answer
//!     line 0   line 1   line 2   line 3
//!    place 3   place 7  place 4  place 5
//!     8 cpus   2 cpus   4 cpus   1 cpu
//! ```

use super::{
    load::Load,
    queue::{LineIndex, Place},
};

/// One line, or all lines below a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Branch {
    first: Place,
    need: Load,
}

impl Branch {
    const EMPTY: Self = Self { first: Place::LAST, need: Load::MOST };

    fn or(&self, other: &Self) -> Self {
        Self { first: self.first.min(other.first), need: self.need.min(other.need) }
    }
}

/// The tree, stored level by level: the children of `i` are `2i` and `2i + 1`.
#[derive(Debug)]
pub(super) struct Heads {
    tree: Vec<Branch>,
    leaves: usize,
}

impl Default for Heads {
    fn default() -> Self {
        Self { tree: vec![Branch::EMPTY; 2], leaves: 1 }
    }
}

impl Heads {
    /// Records a line's head and the least that a node must have to be of use to it.
    pub(super) fn set(&mut self, line: LineIndex, first: Place, need: Load) {
        self.replace(line, Branch { first, need });
    }

    /// Takes a line out.
    pub(super) fn clear(&mut self, line: LineIndex) {
        self.replace(line, Branch::EMPTY);
    }

    /// The earliest head.
    pub(super) fn first(&self) -> Option<(Place, LineIndex)> {
        let first = self.tree[1].first;
        if first == Place::LAST {
            return None;
        }
        let mut at = 1;
        while at < self.leaves {
            at = 2 * at + usize::from(self.tree[2 * at].first != first);
        }
        Some((first, LineIndex::new(at - self.leaves)))
    }

    /// The earliest head behind `after` that needs no more than `free`.
    pub(super) fn first_for(
        &self,
        free: &Load,
        after: Option<Place>,
    ) -> Option<(Place, LineIndex)> {
        let mut best = (Place::LAST, 0);
        self.search(1, free, after, &mut best);
        (best.0 != Place::LAST).then(|| (best.0, LineIndex::new(best.1 - self.leaves)))
    }

    fn search(&self, at: usize, free: &Load, after: Option<Place>, best: &mut (Place, usize)) {
        let branch = &self.tree[at];
        if branch.first >= best.0 || !branch.need.fits_in(free) {
            return;
        }
        if at >= self.leaves {
            if after.is_none_or(|after| branch.first > after) {
                *best = (branch.first, at);
            }
            return;
        }
        let right_is_earlier = usize::from(self.tree[2 * at + 1].first < self.tree[2 * at].first);
        self.search(2 * at + right_is_earlier, free, after, best);
        self.search(2 * at + 1 - right_is_earlier, free, after, best);
    }

    fn replace(&mut self, line: LineIndex, branch: Branch) {
        while line.get() >= self.leaves {
            self.double();
        }
        let mut at = self.leaves + line.get();
        self.tree[at] = branch;
        while at > 1 {
            at /= 2;
            let both = self.tree[2 * at].or(&self.tree[2 * at + 1]);
            if self.tree[at] == both {
                break;
            }
            self.tree[at] = both;
        }
    }

    fn double(&mut self) {
        let lines = self.tree[self.leaves..].to_vec();
        self.leaves *= 2;
        self.tree = vec![Branch::EMPTY; 2 * self.leaves];
        for (position, branch) in lines.into_iter().enumerate() {
            self.replace(LineIndex::new(position), branch);
        }
    }
}
