//! Bars that overlap in time go into different lanes, as few as can be.
//!
//! ```text
//!   ├── a ──┤  ├─ d ─┤        lane 0: a d
//!      ├── b ───┤             lane 1: b
//!        ├─ c ─┤  ├─ e ─┤     lane 2: c e
//! ```

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

/// A lane for each span of (start, end), from 0; the free lane with the smallest number is taken.
///
/// A span may begin in the instant in which another one of its lane ends.
pub fn pack(spans: &[(u64, u64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_unstable_by_key(|&index| (spans[index], index));
    let mut lanes = vec![0; spans.len()];
    let mut free = BTreeSet::new();
    let mut busy = BinaryHeap::new();
    let mut count = 0;
    for index in order {
        let (start, end) = spans[index];
        while let Some(&Reverse((until, lane))) = busy.peek()
            && until <= start
        {
            busy.pop();
            free.insert(lane);
        }
        let lane = free.pop_first().unwrap_or_else(|| {
            count += 1;
            count - 1
        });
        lanes[index] = lane;
        busy.push(Reverse((end.max(start), lane)));
    }
    lanes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lane_is_taken_again_once_it_is_free() {
        assert_eq!(pack(&[(0, 4), (1, 7), (2, 5), (4, 6), (6, 9)]), [0, 1, 2, 0, 0]);
    }

    fn spans() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let span = (0..60_u64, 0..20_u64).prop_map(|(start, length)| (start, start + length));
        prop::collection::vec(span, 0..60)
    }

    proptest! {
        #[test]
        fn nothing_overlaps_in_a_lane_and_no_lane_is_wasted(spans in spans()) {
            let lanes = pack(&spans);
            for (index, a) in spans.iter().enumerate() {
                for (other, b) in spans.iter().enumerate().skip(index + 1) {
                    let overlap = a.0.max(b.0) < a.1.min(b.1);
                    prop_assert!(!(overlap && lanes[index] == lanes[other]), "{a:?} and {b:?}");
                }
            }
            // As many lanes as there are spans at one moment; an empty span counts in its instant.
            let at = |moment: u64| {
                let covers = |(start, end): &&(u64, u64)| {
                    *start <= moment && (moment < *end || (start == end && *start == moment))
                };
                spans.iter().filter(covers).count()
            };
            let most = spans.iter().map(|span| at(span.0)).max().unwrap_or(0);
            prop_assert!(lanes.iter().max().map_or(0, |lane| lane + 1) <= most);
        }
    }
}
