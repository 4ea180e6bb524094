//! Who ran where and when.

use std::collections::BTreeMap;

use super::lanes;
use crate::model::{Job, Outcome, Timestamp};

/// All tries of a run's jobs.
#[derive(Debug)]
pub struct Timeline<'a> {
    /// By node, in the order of the nodes' names.
    pub nodes: Vec<Node<'a>>,
    /// When the first of them was submitted.
    pub begin: Timestamp,
    /// When the last of them ended.
    pub end: Timestamp,
}

/// The tries on one node.
#[derive(Debug)]
pub struct Node<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many jobs were there at most at the same time.
    pub lanes: usize,
    /// What ran there, by start.
    pub bars: Vec<Bar<'a>>,
}

/// One try at running a job.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// The job.
    pub job: &'a Job,
    /// Which try, from 1.
    pub attempt: u32,
    /// Where it is drawn, from 0.
    pub lane: usize,
    /// When its resources were granted.
    pub start: Timestamp,
    /// When it ended, or now.
    pub end: Timestamp,
    /// What became of it; none: it runs.
    pub outcome: Option<&'a Outcome>,
}

impl Bar<'_> {
    /// Whether it ended without success.
    pub fn is_failed(&self) -> bool {
        self.outcome.is_some_and(|outcome| !outcome.is_success())
    }

    /// What became of it, as listings show it.
    pub fn state(&self) -> String {
        self.outcome.map_or_else(|| self.job.state.word().to_owned(), ToString::to_string)
    }
}

impl<'a> Timeline<'a> {
    /// Of `jobs`; what runs is drawn up to `now`.
    pub fn new(jobs: &[&'a Job], now: Timestamp) -> Self {
        let mut by_node: BTreeMap<&str, Vec<Bar>> = BTreeMap::new();
        for &job in jobs {
            for (node, bar) in bars(job, now) {
                by_node.entry(node).or_default().push(bar);
            }
        }
        let begin = jobs.iter().map(|job| job.submitted).min().unwrap_or(now);
        let ends = by_node.values().flatten().map(|bar| bar.end);
        let end = ends.max().unwrap_or(begin).max(begin);
        let nodes = by_node.into_iter().map(|(name, bars)| Node::new(name, bars)).collect();
        Self { nodes, begin, end }
    }
}

impl<'a> Node<'a> {
    fn new(name: &'a str, mut bars: Vec<Bar<'a>>) -> Self {
        bars.sort_by_key(|bar| (bar.start, bar.end, bar.job.id));
        let spans: Vec<_> = bars.iter().map(|bar| (bar.start.0, bar.end.0)).collect();
        for (bar, lane) in bars.iter_mut().zip(lanes::pack(&spans)) {
            bar.lane = lane;
        }
        let lanes = bars.iter().map(|bar| bar.lane + 1).max().unwrap_or(0);
        Self { name, lanes, bars }
    }
}

/// The tries of `job` that are over, and the one that is not. A record without attempts tells of
/// the last one only.
fn bars(job: &Job, now: Timestamp) -> Vec<(&str, Bar<'_>)> {
    let mut bars: Vec<_> = job
        .attempts
        .iter()
        .map(|attempt| {
            let bar = Bar {
                job,
                attempt: attempt.number,
                lane: 0,
                start: attempt.started,
                end: attempt.ended,
                outcome: Some(&attempt.outcome),
            };
            (&*attempt.node.0, bar)
        })
        .collect();
    let is_told = job.outcome.is_some() && !bars.is_empty();
    if let (false, Some(start), Some(node)) = (is_told, job.started, &job.node) {
        let attempt = job.attempts.len() as u32 + 1;
        let end = job.ended.unwrap_or(now).max(start);
        bars.push((
            &node.0,
            Bar { job, attempt, lane: 0, start, end, outcome: job.outcome.as_ref() },
        ));
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::{super::testing::job, *};
    use crate::model::{Attempt, NodeName, State};

    #[test]
    fn every_try_is_a_bar_on_its_node() {
        let mut retried = job(2, "map", 5_000, 6_000, Outcome::Exited { exit_code: 0 });
        let attempt = |number, node: &str, started, outcome| Attempt {
            number,
            node: NodeName(node.to_owned()),
            started: Timestamp(started),
            ended: Timestamp(started + 1_000),
            outcome,
            usage: None,
        };
        let lost = Outcome::Lost { reason: "node gone".to_owned() };
        retried.attempts = vec![
            attempt(1, "other", 1_000, lost),
            attempt(2, "node", 5_000, Outcome::Exited { exit_code: 0 }),
        ];
        let mut running = job(3, "map", 5_500, 5_500, Outcome::Ended);
        (running.state, running.outcome, running.ended) = (State::Running, None, None);
        let timeline = Timeline::new(&[&retried, &running], Timestamp(9_000));

        let drawn = |node: &Node| {
            let bar = |bar: &Bar| (bar.job.id.0, bar.attempt, bar.lane, bar.state());
            (node.name.to_owned(), node.lanes, node.bars.iter().map(bar).collect::<Vec<_>>())
        };
        let nodes: Vec<_> = timeline.nodes.iter().map(drawn).collect();
        let here = vec![(2, 2, 0, "exited(0)".to_owned()), (3, 1, 1, "running".to_owned())];
        assert_eq!(nodes[0], ("node".to_owned(), 2, here));
        assert_eq!(nodes[1], ("other".to_owned(), 1, vec![(2, 1, 0, "lost".to_owned())]));
        assert_eq!((timeline.begin, timeline.end), (Timestamp(4_900), Timestamp(9_000)));
    }
}
