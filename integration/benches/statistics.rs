//! Medians, and how far they can be trusted.

use serde::Serialize;

/// A median with the interval that holds the true one with 95 % probability, whatever the
/// distribution is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        // The number of values below the true median is binomial with mean n/2 and
        // variance n/4; 1.96 standard deviations to each side are 95 %.
        let reach = 0.98 * count.sqrt();
        let at = |rank: f64| values[(rank.max(0.0) as usize).min(values.len() - 1)];
        Self {
            median: quantile(&values, 0.5),
            low: at((count / 2.0 - reach).floor()),
            high: at((count / 2.0 + reach).ceil()),
        }
    }
}

/// The value below which `part` of the ascending `values` are.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let rank = part * (values.len() - 1) as f64;
    let (low, high) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
    low + (high - low) * rank.fract()
}
