//! One question: its candidates, measured round by round, and what came out.

use std::fmt;

use serde::Serialize;

use crate::{
    machine::load_average,
    random::Random,
    spawner::{Sample, Spawner},
    statistics::{Estimate, quantile},
    workbench::Effort,
};

/// Something that is measured at a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Quantity {
    /// Microseconds of CPU that a call costs spawner and commands.
    Cpu,
    /// Microseconds until a call is over: the median of a round.
    Latency,
    /// The same, but the time within which nine of ten calls are over.
    SlowLatency,
    /// Calls in a second of wall time.
    Rate,
}

impl Quantity {
    fn of(self, sample: &Sample) -> f64 {
        let calls = sample.latencies.len() as f64;
        match self {
            Self::Cpu => sample.cpu / calls * 1e6,
            Self::Latency => quantile(&sample.latencies, 0.5) * 1e6,
            Self::SlowLatency => quantile(&sample.latencies, 0.9) * 1e6,
            Self::Rate => calls / sample.wall,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Cpu => "CPU µs",
            Self::Latency => "p50 µs",
            Self::SlowLatency => "p90 µs",
            Self::Rate => "calls/s",
        }
    }
}

/// Where the project wants a ratio to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(formatter, "≤ {limit}"),
            Self::AtLeast(limit) => write!(formatter, "≥ {limit}"),
        }
    }
}

/// Something to compare.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) spawner: Spawner,
    /// The project's target for the ratio of a quantity to the baseline's.
    pub(crate) target: Option<(Quantity, Bound)>,
}

impl Candidate {
    pub(crate) fn new(name: &'static str, spawner: Spawner) -> Self {
        Self { name, spawner, target: None }
    }

    pub(crate) fn aiming_at(mut self, quantity: Quantity, bound: Bound) -> Self {
        self.target = Some((quantity, bound));
        self
    }
}

/// A question.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// The index of the candidate to which the others are compared.
    pub(crate) baseline: usize,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) quantities: Vec<Quantity>,
    /// Rounds with full effort.
    pub(crate) rounds: usize,
    /// Calls of each worker in a round.
    pub(crate) calls: usize,
    /// Looks, when all is measured, whether the candidates were what they seemed; keeps what
    /// they need alive until then.
    pub(crate) check: Box<dyn FnOnce()>,
}

/// With [`Effort::Quick`], this part of the rounds.
const QUICK: usize = 10;

impl Section {
    pub(crate) fn measure(self, effort: Effort) -> Result {
        let load_before = load_average();
        let rounds = match effort {
            Effort::Full => self.rounds,
            Effort::Quick => self.rounds.div_ceil(QUICK),
        };
        let mut random = Random::new();
        let mut samples: Vec<Vec<Sample>> = self.candidates.iter().map(|_| Vec::new()).collect();
        for candidate in &self.candidates {
            candidate.spawner.run(1);
        }
        for _ in 0..rounds {
            for index in random.order(self.candidates.len()) {
                samples[index].push(self.candidates[index].spawner.run(self.calls));
            }
        }
        (self.check)();
        let rows = self.candidates.iter().zip(&samples).map(|(candidate, own)| Row {
            name: candidate.name,
            cells: self
                .quantities
                .iter()
                .map(|&quantity| {
                    Cell::new(quantity, own, &samples[self.baseline], candidate.target)
                })
                .collect(),
        });
        Result {
            title: self.title,
            rounds,
            calls_per_round: self.calls * self.candidates[0].spawner.workers,
            baseline: self.candidates[self.baseline].name,
            load_before,
            load_after: load_average(),
            rows: rows.collect(),
        }
    }
}

/// The answer to a question.
#[derive(Debug, Serialize)]
pub(crate) struct Result {
    title: &'static str,
    rounds: usize,
    calls_per_round: usize,
    baseline: &'static str,
    load_before: String,
    load_after: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    quantity: Quantity,
    /// Over the rounds.
    value: Estimate,
    /// To the baseline's value in the same round.
    ratio: Estimate,
    target: Option<Bound>,
}

impl Cell {
    fn new(
        quantity: Quantity,
        own: &[Sample],
        baseline: &[Sample],
        target: Option<(Quantity, Bound)>,
    ) -> Self {
        let ratio = |(own, baseline)| quantity.of(own) / quantity.of(baseline);
        Self {
            quantity,
            value: Estimate::of(own.iter().map(|sample| quantity.of(sample))),
            ratio: Estimate::of(own.iter().zip(baseline).map(ratio)),
            target: target.filter(|(of, _)| *of == quantity).map(|(_, bound)| bound),
        }
    }
}

impl fmt::Display for Result {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { title, rounds, calls_per_round, baseline, load_before, load_after, rows } = self;
        writeln!(formatter, "{title}")?;
        writeln!(
            formatter,
            "({rounds} rounds of {calls_per_round} calls; ratio to '{baseline}' with its 95 % interval)"
        )?;
        writeln!(formatter, "(load average before: {load_before}, after: {load_after})")?;
        let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        write!(formatter, "{:width$}", "")?;
        for cell in rows.iter().take(1).flat_map(|row| &row.cells) {
            write!(formatter, " {:>9}  {:18}", cell.quantity.heading(), "ratio")?;
        }
        writeln!(formatter, " target")?;
        for row in rows {
            write!(formatter, "{:width$}", row.name)?;
            for Cell { value, ratio, .. } in &row.cells {
                let interval = format!("{:.2}–{:.2}", ratio.low, ratio.high);
                write!(formatter, " {:9.0}  {:5.3} {interval:12}", value.median, ratio.median)?;
            }
            for cell in &row.cells {
                if let Some(target) = cell.target {
                    let met = if target.is_met_by(cell.ratio.median) { "met" } else { "missed" };
                    write!(formatter, " {} {target}: {met}", cell.quantity.heading())?;
                }
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}
