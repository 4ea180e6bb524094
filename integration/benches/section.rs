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
    /// Microseconds that pass for each job of a call: the median of a round.
    PerJob,
    /// Microseconds until a call is over: the median of a round.
    Latency,
    /// The same, but the time within which nine of ten calls are over.
    SlowLatency,
    /// The same for 99 of 100.
    SlowestLatency,
    /// Calls, or the jobs that they stand for, in a second of wall time.
    Rate,
}

impl Quantity {
    fn of(self, sample: &Sample, jobs: usize) -> f64 {
        let calls = sample.latencies.len() as f64;
        match self {
            Self::Cpu => sample.cpu / calls * 1e6,
            Self::Latency => quantile(&sample.latencies, 0.5) * 1e6,
            Self::PerJob => quantile(&sample.latencies, 0.5) * 1e6 / jobs as f64,
            Self::SlowLatency => quantile(&sample.latencies, 0.9) * 1e6,
            Self::SlowestLatency => quantile(&sample.latencies, 0.99) * 1e6,
            Self::Rate => calls * jobs as f64 / sample.wall,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Cpu => "CPU µs",
            Self::Latency => "p50 µs",
            Self::PerJob => "µs a job",
            Self::SlowLatency => "p90 µs",
            Self::SlowestLatency => "p99 µs",
            Self::Rate => "per s",
        }
    }
}

/// Where the project wants a ratio, or a value, to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// In the quantity's own unit.
    ValueAtMost(f64),
    /// So much more than the baseline's value, in the quantity's own unit.
    AboveBaselineAtMost(f64),
}

impl Bound {
    fn is_met_by(self, cell: &Cell) -> bool {
        match self {
            Self::AtMost(limit) => cell.ratio.median <= limit,
            Self::AtLeast(limit) => cell.ratio.median >= limit,
            Self::ValueAtMost(limit) => cell.value.median <= limit,
            Self::AboveBaselineAtMost(limit) => cell.above_baseline.median <= limit,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(formatter, "≤ {limit}"),
            Self::ValueAtMost(limit) => write!(formatter, "itself ≤ {limit}"),
            Self::AboveBaselineAtMost(limit) => write!(formatter, "above baseline ≤ {limit}"),
            Self::AtLeast(limit) => write!(formatter, "≥ {limit}"),
        }
    }
}

/// Something to compare.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    /// Makes so many calls.
    measure: Box<dyn Fn(usize) -> Sample>,
    /// Calls at once.
    workers: usize,
    /// How many jobs a call stands for.
    jobs: usize,
    /// It is called once before the first round.
    warms_up: bool,
    /// The project's targets, such as for the ratio of a quantity to the baseline's.
    targets: Vec<(Quantity, Bound)>,
}

impl Candidate {
    pub(crate) fn new(name: &'static str, spawner: Spawner) -> Self {
        let (workers, warms_up) = (spawner.workers, spawner.warm_ups > 0);
        let measure = Box::new(move |calls| spawner.run(calls));
        Self { name, measure, workers, warms_up, jobs: 1, targets: Vec::new() }
    }

    /// Calls that are not made by a spawner.
    pub(crate) fn measured_by(
        name: &'static str,
        measure: impl Fn(usize) -> Sample + 'static,
    ) -> Self {
        let measure = Box::new(measure);
        Self { name, measure, workers: 1, warms_up: true, jobs: 1, targets: Vec::new() }
    }

    /// Each call stands for so many jobs.
    pub(crate) fn of_jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs;
        self
    }

    pub(crate) fn aiming_at(mut self, quantity: Quantity, bound: Bound) -> Self {
        self.targets.push((quantity, bound));
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
    pub(crate) check: Box<dyn FnOnce() -> Vec<Figure>>,
}

/// Something that is measured once.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    /// It should not be more.
    pub(crate) most: Option<f64>,
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
        for candidate in self.candidates.iter().filter(|candidate| candidate.warms_up) {
            (candidate.measure)(1);
        }
        for _ in 0..rounds {
            for index in random.order(self.candidates.len()) {
                samples[index].push((self.candidates[index].measure)(self.calls));
            }
        }
        let figures = (self.check)();
        let baseline = (&samples[self.baseline][..], self.candidates[self.baseline].jobs);
        let rows = self.candidates.iter().zip(&samples).map(|(candidate, own)| Row {
            name: candidate.name,
            cells: self
                .quantities
                .iter()
                .map(|&quantity| {
                    let target = candidate.targets.iter().find(|(of, _)| *of == quantity);
                    let target = target.map(|(_, bound)| *bound);
                    Cell::new(quantity, (own, candidate.jobs), baseline, target)
                })
                .collect(),
        });
        Result {
            title: self.title,
            rounds,
            calls_per_round: self.calls * self.candidates[0].workers,
            baseline: self.candidates[self.baseline].name,
            load_before,
            load_after: load_average(),
            rows: rows.collect(),
            figures,
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
    figures: Vec<Figure>,
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
    /// What is left when that value is taken away.
    above_baseline: Estimate,
    target: Option<Bound>,
}

impl Cell {
    fn new(
        quantity: Quantity,
        (own, jobs): (&[Sample], usize),
        (baseline, baseline_jobs): (&[Sample], usize),
        target: Option<Bound>,
    ) -> Self {
        let pairs = own.iter().zip(baseline);
        let pairs: Vec<(f64, f64)> = pairs
            .map(|(own, baseline)| (quantity.of(own, jobs), quantity.of(baseline, baseline_jobs)))
            .collect();
        Self {
            quantity,
            value: Estimate::of(pairs.iter().map(|(own, _)| *own)),
            ratio: Estimate::of(pairs.iter().map(|(own, baseline)| own / baseline)),
            above_baseline: Estimate::of(pairs.iter().map(|(own, baseline)| own - baseline)),
            target,
        }
    }
}

impl fmt::Display for Result {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            title,
            rounds,
            calls_per_round,
            baseline,
            load_before,
            load_after,
            rows,
            figures,
        } = self;
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
                    let met = if target.is_met_by(cell) { "met" } else { "missed" };
                    write!(formatter, " {} {target}: {met}", cell.quantity.heading())?;
                }
            }
            writeln!(formatter)?;
        }
        for Figure { name, value, unit, most } in figures {
            write!(formatter, "{name}: {value:.1} {unit}")?;
            if let Some(most) = most {
                let met = if value <= most { "met" } else { "missed" };
                write!(formatter, " ≤ {most}: {met}")?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}
