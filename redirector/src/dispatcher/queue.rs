//! The queue: who is next, without looking at everybody who waits.
//!
//! Units (single jobs, or gangs that start together) that ask for the same stand in one *line*:
//! if its first cannot start, none of it can. So the queue is a set of lines ordered by their
//! heads, and one decision costs as much with a million waiting jobs as with a thousand.
//!
//! ```text
//!   heads      1 cpu    ▸ job 3   job 4   job 9  …
//!   in order   8 cpus   ▸ job 5   job 6
//!              2 + 1    ▸ gang 7             (a | b)
//! ```

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use super::{load::Load, nodes::NodeIndex};
use crate::model::JobId;

/// A unit's place in the queue: smaller goes first. The order of the whole queue is decided by
/// the order of these fields and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) urgency: Urgency,
    pub(super) priority: Reverse<i32>,
    /// Whose turn it is: a job spawned by a job that lends stands where that one stood, so that
    /// what was begun ends before something else begins and few jobs wait for their children.
    pub(super) turn: JobId,
    /// The unit's first job: submission order.
    pub(super) job: JobId,
}

/// Whether a unit may wait at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A running job may be blocked on a pipe to it: it starts as soon as there is a node.
    JoinsRunning,
    /// It waits for room.
    Waits,
}

/// What one job asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ask {
    pub(super) load: Load,
    pub(super) pin: Option<NodeIndex>,
    /// Milliseconds.
    pub(super) time_limit: Option<u64>,
}

/// A line by its position in the table of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineIndex(u32);

/// Units that ask for the same.
#[derive(Debug)]
pub(super) struct Line {
    /// What the members of each unit ask for.
    pub(super) asks: Arc<[Ask]>,
    /// The least that any member asks for, pool by pool: a node with less is of no use.
    least: Load,
    /// Some node could run every member, were it idle. Other lines are passed over.
    feasible: bool,
    units: BTreeSet<Place>,
}

impl Line {
    /// The node on which all members must run, if there is exactly one.
    fn only_node(&self) -> Option<NodeIndex> {
        let first = self.asks[0].pin;
        first.filter(|_| self.asks.iter().all(|ask| ask.pin == first))
    }

    pub(super) fn is_feasible(&self) -> bool {
        self.feasible
    }

    /// Its units, the first of them first.
    pub(super) fn units(&self) -> impl Iterator<Item = Place> {
        self.units.iter().copied()
    }
}

/// Lines in the order of their heads.
type Heads = BTreeMap<Place, LineIndex>;

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: Vec<Option<Line>>,
    unused: Vec<LineIndex>,
    by_asks: HashMap<Arc<[Ask]>, LineIndex>,
    /// Of all feasible lines.
    heads: Heads,
    /// Of those feasible lines that may be served by several nodes.
    anywhere: Heads,
    /// Of those feasible lines that wait for one node.
    pinned: HashMap<NodeIndex, Heads>,
}

impl std::ops::Index<LineIndex> for Queue {
    type Output = Line;

    fn index(&self, index: LineIndex) -> &Line {
        self.lines[index.0 as usize].as_ref().expect("a unit's line exists")
    }
}

impl Queue {
    /// Puts a unit into the line for `asks`. `feasible` is asked when that line is new.
    pub(super) fn insert(
        &mut self,
        place: Place,
        asks: &[Ask],
        feasible: impl FnOnce() -> bool,
    ) -> LineIndex {
        let index = match self.by_asks.get(asks) {
            Some(&index) => index,
            None => self.new_line(asks, feasible()),
        };
        self.edit(index, |units| units.insert(place));
        index
    }

    /// Takes a unit out of its line.
    pub(super) fn remove(&mut self, place: Place, index: LineIndex) {
        self.edit(index, |units| units.remove(&place));
        if self[index].units.is_empty() {
            let line = self.lines[index.0 as usize].take().expect("it was just looked at");
            self.by_asks.remove(&line.asks);
            self.unused.push(index);
        }
    }

    /// The first unit of all that some node could run.
    pub(super) fn head(&self) -> Option<(Place, LineIndex)> {
        self.heads.first_key_value().map(|(&place, &line)| (place, line))
    }

    /// Whether this is the first unit of its line.
    pub(super) fn leads_its_line(&self, place: Place, index: LineIndex) -> bool {
        self[index].units.first() == Some(&place)
    }

    /// The first head behind `after` to which a node with `free` can be of use.
    pub(super) fn next_for(
        &self,
        node: NodeIndex,
        free: Load,
        after: Option<Place>,
    ) -> Option<(Place, LineIndex)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let first_in = |heads: &Heads| {
            heads
                .range((from, Bound::Unbounded))
                .find(|&(place, &line)| {
                    place.urgency == Urgency::JoinsRunning || self[line].least.fits_in(&free)
                })
                .map(|(&place, &line)| (place, line))
        };
        let anywhere = first_in(&self.anywhere);
        let pinned = self.pinned.get(&node).and_then(first_in);
        match (anywhere, pinned) {
            (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// Asks again which lines some node could run.
    pub(super) fn refresh_feasible(&mut self, feasible: impl Fn(&[Ask]) -> bool) {
        for index in self.indices() {
            let is_feasible = feasible(&self[index].asks);
            if self[index].feasible != is_feasible {
                self.set_head(index, false);
                self.line_mut(index).feasible = is_feasible;
                self.set_head(index, true);
            }
        }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().flatten()
    }

    fn indices(&self) -> Vec<LineIndex> {
        let used = self.lines.iter().enumerate().filter(|(_, line)| line.is_some());
        used.map(|(position, _)| LineIndex(position as u32)).collect()
    }

    fn new_line(&mut self, asks: &[Ask], feasible: bool) -> LineIndex {
        let index = self.unused.pop().unwrap_or_else(|| {
            self.lines.push(None);
            LineIndex(self.lines.len() as u32 - 1)
        });
        let asks = Arc::<[Ask]>::from(asks);
        let least = asks.iter().map(|ask| ask.load).reduce(Load::min).unwrap_or_default();
        self.by_asks.insert(Arc::clone(&asks), index);
        self.lines[index.0 as usize] = Some(Line { asks, least, feasible, units: BTreeSet::new() });
        index
    }

    /// Changes a line and, if that gives it another head, its position among the lines.
    fn edit(&mut self, index: LineIndex, edit: impl FnOnce(&mut BTreeSet<Place>) -> bool) {
        let before = self[index].units.first().copied();
        let mut units = std::mem::take(&mut self.line_mut(index).units);
        edit(&mut units);
        let after = units.first().copied();
        if before == after {
            self.line_mut(index).units = units;
            return;
        }
        if let Some(before) = before {
            self.forget_head(index, before);
        }
        self.line_mut(index).units = units;
        self.set_head(index, true);
    }

    fn set_head(&mut self, index: LineIndex, present: bool) {
        let line = &self[index];
        let (Some(&head), true) = (line.units.first(), line.feasible) else { return };
        if !present {
            self.forget_head(index, head);
            return;
        }
        match line.only_node() {
            Some(node) => self.pinned.entry(node).or_default().insert(head, index),
            None => self.anywhere.insert(head, index),
        };
        self.heads.insert(head, index);
    }

    fn forget_head(&mut self, index: LineIndex, head: Place) {
        self.heads.remove(&head);
        match self[index].only_node() {
            Some(node) => {
                if let Some(heads) = self.pinned.get_mut(&node) {
                    heads.remove(&head);
                    if heads.is_empty() {
                        self.pinned.remove(&node);
                    }
                }
            }
            None => {
                self.anywhere.remove(&head);
            }
        }
    }

    fn line_mut(&mut self, index: LineIndex) -> &mut Line {
        self.lines[index.0 as usize].as_mut().expect("a unit's line exists")
    }
}
