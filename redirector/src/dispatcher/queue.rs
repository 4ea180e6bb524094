//! The queue: who is next, without looking at everybody who waits.
//!
//! Units (single jobs, or gangs that start together) that ask for the same stand in one *line*:
//! if its first cannot start, none of it can. So the queue is a set of lines ordered by their
//! heads ([`Heads`]), and one decision costs as much with a million waiting jobs as with a
//! thousand.
//!
//! ```text
//!   heads      1 cpu    ▸ job 3   job 4   job 9  …
//!   in order   8 cpus   ▸ job 5   job 6
//!              2 + 1    ▸ gang 7             (a | b)
//! ```

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use super::{
    asks::{Ask, AskIndex},
    blocks::Blocks,
    hasher::FastMap,
    heads::Heads,
    load::Load,
    nodes::NodeIndex,
    sites::{SetIndex, Site},
};
use crate::model::JobId;

/// A unit's place in the queue: smaller goes first. The order of the whole queue is decided by
/// the order of these fields and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) urgency: Urgency,
    pub(super) priority: Reverse<i32>,
    /// What its account had been charged before it.
    pub(super) tag: u64,
    /// Whose turn it is: a job spawned by a job that lends stands where that one stood, so that
    /// what was begun ends before something else begins and few jobs wait for their children.
    pub(super) turn: JobId,
    /// The unit's first job: submission order.
    pub(super) job: JobId,
}

impl Place {
    /// Behind everybody.
    pub(super) const LAST: Self = Self {
        urgency: Urgency::Waits,
        priority: Reverse(i32::MIN),
        tag: u64::MAX,
        turn: JobId(u64::MAX),
        job: JobId(u64::MAX),
    };
}

/// Whether a unit may wait at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// A running job may be blocked on a pipe to it: it starts as soon as there is a node.
    JoinsRunning,
    /// It waits for room.
    Waits,
}

/// A line by its position in the table of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineIndex(u32);

impl LineIndex {
    /// Behind all that there are.
    pub(super) const LAST: Self = Self(u32::MAX);

    pub(super) const fn new(position: usize) -> Self {
        Self(position as u32)
    }

    pub(super) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// Units that ask for the same.
#[derive(Debug)]
pub(super) struct Line {
    /// What the members of each unit ask for.
    pub(super) asks: Arc<[Ask]>,
    /// The same by position.
    key: Box<[AskIndex]>,
    /// A node with less is of no use, unless the line's unit is the first of all.
    need: Load,
    /// All members have time limits.
    is_limited: bool,
    /// Some node could run every member, were it idle. Other lines are passed over.
    feasible: bool,
    units: Blocks<Place>,
}

impl Line {
    /// Where all members must run, if that is the same for all.
    fn common_site(&self) -> Option<Site> {
        let first = self.asks[0].site;
        let is_common = first != Site::Any && self.asks.iter().all(|ask| ask.site == first);
        is_common.then_some(first)
    }

    /// What a node must have to be of use to the line with this head.
    fn need_of(&self, head: Place) -> Load {
        if head.urgency == Urgency::JoinsRunning { Load::NONE } else { self.need }
    }

    pub(super) fn is_feasible(&self) -> bool {
        self.feasible
    }

    /// The least that any member asks for, pool by pool.
    pub(super) fn least(&self) -> Load {
        least(&self.asks)
    }

    /// Its units are gangs, all of as many members.
    pub(super) fn is_of_gangs(&self) -> bool {
        self.asks.len() > 1
    }

    fn is_choosy(&self) -> bool {
        self.asks.iter().any(|ask| ask.load.supervisors > 0 || ask.site != Site::Any)
    }

    /// Its units, the first of them first.
    pub(super) fn units(&self) -> impl Iterator<Item = Place> {
        self.units.iter()
    }
}

/// Heads of lines, those apart whose units are ended by a time limit: these may overtake the first
/// in the queue where others may not.
#[derive(Debug, Default)]
struct Lanes {
    limited: Heads,
    unlimited: Heads,
}

impl Lanes {
    fn of(&mut self, is_limited: bool) -> &mut Heads {
        if is_limited { &mut self.limited } else { &mut self.unlimited }
    }

    /// The first head behind `after` that has use for `room`, unless `best` is earlier still.
    fn first_for(
        &self,
        room: &Room,
        after: Option<Place>,
        best: Option<(Place, LineIndex)>,
    ) -> Option<(Place, LineIndex)> {
        let best = self.unlimited.first_for(&room.to_overtake, after, best);
        self.limited.first_for(&room.free, after, best)
    }
}

/// What a node has to offer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) free: Load,
    /// To those behind the first in the queue that may run for any time.
    pub(super) to_overtake: Load,
}

fn least(asks: &[Ask]) -> Load {
    asks.iter().map(|ask| ask.load).reduce(Load::min).unwrap_or_default()
}

fn earlier(
    a: Option<(Place, LineIndex)>,
    b: Option<(Place, LineIndex)>,
) -> Option<(Place, LineIndex)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: Vec<Option<Line>>,
    unused: Vec<LineIndex>,
    by_asks: FastMap<Box<[AskIndex]>, LineIndex>,
    /// Of all feasible lines. Those that wait for certain nodes need more than there is in here.
    heads: Lanes,
    /// Of those feasible lines that wait for certain nodes.
    restricted: FastMap<Site, Lanes>,
    /// The lines with members that are bound to nodes or take a supervisor's place: whether these
    /// are feasible depends on more than on how large nodes are.
    choosy: BTreeSet<LineIndex>,
}

/// A line that does not exist yet.
pub(super) struct NewLine {
    /// What the members of each unit ask for.
    pub(super) asks: Arc<[Ask]>,
    /// What they ask for together, if they may all run on one node.
    pub(super) together: Option<Load>,
    /// Some node could run every member, were it idle.
    pub(super) feasible: bool,
}

impl std::ops::Index<LineIndex> for Queue {
    type Output = Line;

    fn index(&self, index: LineIndex) -> &Line {
        self.lines[index.get()].as_ref().expect("a unit's line exists")
    }
}

impl Queue {
    /// Puts a unit into the line for what its members ask for.
    pub(super) fn insert(
        &mut self,
        place: Place,
        key: &[AskIndex],
        new_line: impl FnOnce() -> NewLine,
    ) -> LineIndex {
        let index = match self.by_asks.get(key) {
            Some(&index) => index,
            None => self.add_line(key, new_line()),
        };
        self.edit(index, |units| units.insert(place));
        index
    }

    /// Takes a unit out of its line.
    pub(super) fn remove(&mut self, place: Place, index: LineIndex) {
        self.edit(index, |units| units.remove(place));
        if self[index].units.is_empty() {
            let line = self.lines[index.get()].take().expect("it was just looked at");
            self.by_asks.remove(&line.key);
            self.choosy.remove(&index);
            self.unused.push(index);
        }
    }

    /// The first unit of all that some node could run.
    pub(super) fn head(&self) -> Option<(Place, LineIndex)> {
        earlier(self.heads.limited.first(), self.heads.unlimited.first())
    }

    /// Whether this is the first unit of its line.
    pub(super) fn leads_its_line(&self, place: Place, index: LineIndex) -> bool {
        self[index].units.first() == Some(place)
    }

    /// The first head behind `after` to which a node, of these sets, with that room can be of use.
    pub(super) fn next_for(
        &self,
        node: NodeIndex,
        sets: &[SetIndex],
        room: &Room,
        after: Option<Place>,
    ) -> Option<(Place, LineIndex)> {
        let anywhere = self.heads.first_for(room, after, None);
        if self.restricted.is_empty() {
            return anywhere;
        }
        let sites = sets.iter().map(|&set| Site::Among(set)).chain([Site::One(node)]);
        let lanes = sites.filter_map(|site| self.restricted.get(&site));
        lanes.fold(anywhere, |best, lanes| lanes.first_for(room, after, best))
    }

    /// Asks again which of these lines some node could run.
    pub(super) fn refresh(&mut self, lines: &[LineIndex], feasible: impl Fn(&[Ask]) -> bool) {
        for &index in lines {
            let is_feasible = feasible(&self[index].asks);
            if self[index].feasible != is_feasible {
                let line = self.line_mut(index);
                line.feasible = is_feasible;
                let head = line.units.first();
                let (before, after) = if is_feasible { (None, head) } else { (head, None) };
                self.replace_head(index, before, after);
            }
        }
    }

    /// The units that running jobs may be blocked on.
    pub(super) fn joining(&self) -> impl Iterator<Item = Place> {
        let is_joining = |unit: &Place| unit.urgency == Urgency::JoinsRunning;
        self.lines.iter().flatten().flat_map(move |line| line.units().take_while(is_joining))
    }

    /// All lines.
    pub(super) fn all(&self) -> Vec<LineIndex> {
        let used = self.lines.iter().enumerate().filter(|(_, line)| line.is_some());
        used.map(|(position, _)| LineIndex::new(position)).collect()
    }

    /// The lines that may be feasible or not while nodes are as large as before.
    pub(super) fn choosy(&self) -> Vec<LineIndex> {
        self.choosy.iter().copied().collect()
    }

    fn add_line(&mut self, key: &[AskIndex], new: NewLine) -> LineIndex {
        let NewLine { asks, together, feasible } = new;
        let index = self.unused.pop().unwrap_or_else(|| {
            self.lines.push(None);
            LineIndex::new(self.lines.len() - 1)
        });
        let need = together.unwrap_or_else(|| least(&asks));
        let is_limited = asks.iter().all(|ask| ask.time_limit.is_some());
        let key = Box::<[AskIndex]>::from(key);
        self.by_asks.insert(key.clone(), index);
        let line = Line { asks, key, need, is_limited, feasible, units: Blocks::default() };
        if line.is_choosy() {
            self.choosy.insert(index);
        }
        self.lines[index.get()] = Some(line);
        index
    }

    /// Changes a line and, if that gives it another head, its position among the lines.
    fn edit(&mut self, index: LineIndex, edit: impl FnOnce(&mut Blocks<Place>)) {
        let line = self.line_mut(index);
        let before = line.units.first();
        edit(&mut line.units);
        let after = line.units.first();
        if line.feasible && after != before {
            self.replace_head(index, before, after);
        }
    }

    /// Enters the head of a line that is feasible, in the place of the one it had.
    fn replace_head(&mut self, index: LineIndex, before: Option<Place>, after: Option<Place>) {
        let line = &self[index];
        let (is_limited, site) = (line.is_limited, line.common_site());
        let need = |head: Option<Place>| head.map(|head| line.need_of(head));
        let (old_need, new_need) = (need(before), need(after));
        let replace = |lanes: &mut Lanes| {
            let heads = lanes.of(is_limited);
            match (old_need, new_need) {
                (Some(old), Some(new)) if old != new => {
                    heads.replace(old, before, None, index);
                    heads.replace(new, None, after, index);
                }
                (old, new) => {
                    if let Some(need) = old.or(new) {
                        heads.replace(need, before, after, index);
                    }
                }
            }
        };
        let Some(site) = site else {
            replace(&mut self.heads);
            return;
        };
        self.heads.of(is_limited).replace(Load::MOST, before, after, index);
        let lanes = self.restricted.entry(site).or_default();
        replace(lanes);
        if lanes.limited.first().is_none() && lanes.unlimited.first().is_none() {
            self.restricted.remove(&site);
        }
    }

    fn line_mut(&mut self, index: LineIndex) -> &mut Line {
        self.lines[index.get()].as_mut().expect("a unit's line exists")
    }
}
