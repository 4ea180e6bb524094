//! The heads of all lines: which is the first, and which is the first of use to a node.
//!
//! Lines that need as much as each other are of use to the same nodes; they are one *group*, in the
//! order of their heads. There are tens of thousands of ways in which three jobs joined by pipes
//! can ask for something, and some hundreds of sums.
//!
//! Over the groups there is a binary tree; each branch knows the earliest place below it and, pool
//! by pool, the least that any group below it needs. A search goes down the earlier branch first,
//! and skips those that need more than the node has or come after what was found already:
//!
//! ```text
//!                  place 3                    a node with 2 cpus free:
//!                 needs 1 cpu                 the left branch is the earlier one,
//!            ┌────────┴────────┐              but its group 0 needs too much;
//!         place 3           place 4           group 1 would do, at place 7;
//!        needs 2 cpus      needs 1 cpu        the right branch begins at place 4, before 7:
//!       ┌────┴────┐       ┌────┴────┐         its group 3 at place 5 is the answer
//!    group 0   group 1  group 2  group 3
//!    place 3   place 7  place 4  place 5
//!     8 cpus   2 cpus   4 cpus   1 cpu
//! ```

use super::{
    blocks::Blocks,
    hasher::FastMap,
    load::Load,
    queue::{LineIndex, Place},
};

/// So many new groups are not worth sorting.
const FEW: usize = 8;

/// One group, or all groups below a branch.
#[derive(Clone, Copy, Debug)]
struct Branch {
    first: Place,
    /// Whose head that is.
    line: LineIndex,
    need: Load,
}

impl Branch {
    const EMPTY: Self = Self { first: Place::LAST, line: LineIndex::LAST, need: Load::MOST };

    fn or(&self, other: &Self) -> Self {
        let earlier = if other.first < self.first { other } else { self };
        let need = self.need.min(other.need);
        Self { first: earlier.first, line: earlier.line, need }
    }

    /// As `==`: the same head is that of the same line.
    fn is(&self, other: &Self) -> bool {
        self.first == other.first && self.need.is(&other.need)
    }
}

/// Lines that need the same.
#[derive(Debug)]
struct Group {
    need: Load,
    /// No two have one place.
    heads: Blocks<(Place, LineIndex)>,
}

impl Group {
    fn branch(&self) -> Branch {
        let first = self.heads.first();
        first.map_or(Branch::EMPTY, |(first, line)| Branch { first, line, need: self.need })
    }
}

/// The groups and the tree over them, stored level by level: the children of `i` are `2i` and
/// `2i + 1`.
#[derive(Debug)]
pub(super) struct Heads {
    /// Those that were there when they were last sorted, in the order of what they need, and
    /// behind them those that are newer. Neighbours need about the same: where a node has too
    /// little for one, a search can skip its neighbours with it.
    groups: Vec<Group>,
    /// How many groups have been sorted.
    sorted: usize,
    by_need: FastMap<Load, usize>,
    tree: Vec<Branch>,
    leaves: usize,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            sorted: 0,
            by_need: FastMap::default(),
            tree: vec![Branch::EMPTY; 2],
            leaves: 1,
        }
    }
}

impl Heads {
    /// A line's head, with the least that a node must have to be of use to it, has been replaced.
    pub(super) fn replace(
        &mut self,
        need: Load,
        before: Option<Place>,
        after: Option<Place>,
        line: LineIndex,
    ) {
        let group = match self.by_need.get(&need) {
            Some(&group) => group,
            None => self.add_group(need),
        };
        let heads = &mut self.groups[group].heads;
        if let Some(before) = before {
            heads.remove((before, line));
        }
        if let Some(after) = after {
            heads.insert((after, line));
        }
        self.publish(group);
    }

    /// Adds a group behind the others. They are sorted, and those without lines forgotten, when
    /// a fourth of them is new: that is work for a few, whatever their number.
    fn add_group(&mut self, need: Load) -> usize {
        if self.groups.len() - self.sorted > FEW + self.sorted / 4 {
            self.groups.retain(|group| !group.heads.is_empty());
            self.groups.sort_unstable_by_key(|group| group.need);
            self.sorted = self.groups.len();
            let positions = self.groups.iter().enumerate();
            self.by_need = positions.map(|(position, group)| (group.need, position)).collect();
            self.plant(self.groups.len() + 1);
        }
        let group = self.groups.len();
        self.groups.push(Group { need, heads: Blocks::default() });
        self.by_need.insert(need, group);
        if group >= self.leaves {
            self.plant(group + 1);
        }
        group
    }

    /// Grows the tree anew, with at least that many leaves.
    fn plant(&mut self, leaves: usize) {
        self.leaves = leaves.next_power_of_two();
        self.tree = vec![Branch::EMPTY; 2 * self.leaves];
        for (leaf, group) in self.tree[self.leaves..].iter_mut().zip(&self.groups) {
            *leaf = group.branch();
        }
        for at in (1..self.leaves).rev() {
            self.tree[at] = self.tree[2 * at].or(&self.tree[2 * at + 1]);
        }
    }

    /// The earliest head.
    pub(super) fn first(&self) -> Option<(Place, LineIndex)> {
        let all = &self.tree[1];
        (all.first != Place::LAST).then_some((all.first, all.line))
    }

    /// The earliest head behind `after` that needs no more than `free`, unless `best`, which was
    /// found elsewhere, is earlier still.
    pub(super) fn first_for(
        &self,
        free: &Load,
        after: Option<Place>,
        mut best: Option<(Place, LineIndex)>,
    ) -> Option<(Place, LineIndex)> {
        self.search(1, free, after, &mut best);
        best
    }

    fn search(
        &self,
        at: usize,
        free: &Load,
        after: Option<Place>,
        best: &mut Option<(Place, LineIndex)>,
    ) {
        let branch = &self.tree[at];
        let bound = best.map_or(Place::LAST, |(head, _)| head);
        if branch.first >= bound || !branch.need.fits_in(free) {
            return;
        }
        if at >= self.leaves {
            let found = match after {
                Some(after) if after >= branch.first => {
                    self.groups[at - self.leaves].heads.first_behind((after, LineIndex::LAST))
                }
                _ => Some((branch.first, branch.line)),
            };
            if let Some(found) = found
                && best.is_none_or(|best| found.0 < best.0)
            {
                *best = Some(found);
            }
            return;
        }
        let right_is_earlier = usize::from(self.tree[2 * at + 1].first < self.tree[2 * at].first);
        self.search(2 * at + right_is_earlier, free, after, best);
        self.search(2 * at + 1 - right_is_earlier, free, after, best);
    }

    /// Writes into the tree what a group has come to be.
    fn publish(&mut self, group: usize) {
        let branch = self.groups[group].branch();
        let mut at = self.leaves + group;
        if self.tree[at].is(&branch) {
            return;
        }
        self.tree[at] = branch;
        while at > 1 {
            at /= 2;
            let both = self.tree[2 * at].or(&self.tree[2 * at + 1]);
            if self.tree[at].is(&both) {
                break;
            }
            self.tree[at] = both;
        }
    }
}
