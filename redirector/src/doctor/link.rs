//! How long the way to a host is, and what its clock says.

use std::time::Duration;

use super::Finding;
use crate::config::format_duration;

/// A round trip from which on each start of a command is felt.
const LONG_WAY: Duration = Duration::from_millis(300);

/// How far clocks may be apart: file systems and `make` know seconds.
const SKEW: Duration = Duration::from_secs(1);

/// A question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ping {
    /// This computer's clock when it was asked, in nanoseconds since 1970.
    pub asked: u64,
    /// The host's clock when it answered.
    pub answered: u64,
    /// From the question to the answer.
    pub round_trip: Duration,
}

impl Ping {
    /// How far the host's clock is ahead, in nanoseconds; the answer was on its way for half of
    /// the round trip.
    fn ahead(self) -> i64 {
        let half = (self.round_trip.as_nanos() / 2) as u64;
        self.answered.wrapping_sub(self.asked.saturating_add(half)) as i64
    }
}

/// Judges the way and the clock.
pub(super) fn judge(pings: &Result<Vec<Ping>, String>) -> Vec<Finding> {
    let pings = match pings {
        Ok(pings) => pings,
        Err(reason) => {
            let advice = "see whether the host and its network are overloaded";
            return vec![Finding::failed("link", reason.clone(), advice)];
        }
    };
    let mut sorted = pings.clone();
    sorted.sort_by_key(|ping| ping.round_trip);
    let (Some(shortest), Some(median)) = (sorted.first(), sorted.get(sorted.len() / 2)) else {
        return Vec::new();
    };
    let way = format!(
        "round trip {} (median of {}; {} at best)",
        short(median.round_trip),
        sorted.len(),
        short(shortest.round_trip),
    );
    let link = if median.round_trip > LONG_WAY {
        let advice = "give this host jobs that run for long (tags=, host=): starting one takes \
                      at least a round trip";
        Finding::warning("link", way, advice)
    } else {
        Finding::ok("link", way)
    };
    vec![link, judge_clock(shortest.ahead())]
}

/// Judges a clock that is so many nanoseconds ahead of this computer's.
fn judge_clock(ahead: i64) -> Finding {
    let apart = Duration::from_nanos(ahead.unsigned_abs());
    let direction = if ahead < 0 { "behind" } else { "ahead" };
    let found = format!("{} {direction}", short(apart));
    if apart > SKEW {
        let advice = "have both computers follow the same time (chrony, ntpd, \
                      systemd-timesyncd): make and its like compare times of files";
        return Finding::warning("clock", found, advice);
    }
    Finding::ok("clock", found)
}

/// With a tenth of a millisecond where that matters.
fn short(duration: Duration) -> String {
    if duration < Duration::from_millis(100) {
        return format!("{:.1}ms", duration.as_secs_f64() * 1000.0);
    }
    format_duration(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const SECOND: u64 = 1_000_000_000;

    fn ping(milliseconds: u64, ahead: i64) -> Ping {
        let asked = 1_000 * SECOND;
        let answered = (asked + milliseconds * 500_000).wrapping_add_signed(ahead);
        Ping { asked, answered, round_trip: Duration::from_millis(milliseconds) }
    }

    #[test]
    fn the_shortest_way_tells_the_clock_and_the_median_the_way() {
        // On a long way it is not known which half took long.
        let late = Ping { answered: 1_003 * SECOND, ..ping(6_000, 0) };
        let findings = judge(&Ok(vec![late, ping(2, 0), ping(4, 0)]));
        assert_eq!(findings[0].found, "round trip 4.0ms (median of 3; 2.0ms at best)");
        assert_eq!((findings[0].verdict, findings[1].verdict), (Verdict::Ok, Verdict::Ok));
        assert_eq!(judge(&Ok(vec![ping(301, 0)]))[0].verdict, Verdict::Warning);
    }

    #[test]
    fn clocks_may_be_a_second_apart() {
        for (ahead, verdict, found) in [
            (0, Verdict::Ok, "0.0ms ahead"),
            (-(SECOND as i64), Verdict::Ok, "1.0s behind"),
            (SECOND as i64 + 1, Verdict::Warning, "1.0s ahead"),
            (-3600 * SECOND as i64, Verdict::Warning, "1h00m behind"),
        ] {
            let finding = judge(&Ok(vec![ping(10, ahead)])).remove(1);
            assert_eq!((finding.verdict, &*finding.found), (verdict, found));
        }
    }

    #[test]
    fn a_link_that_breaks_is_told() {
        let findings = judge(&Err("gone".to_owned()));
        assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Failed));
    }
}
