//! Jobs' numbers on the command line: `7`, `7-12`, `7..12`, several of them.
//!
//! `redirector submit` prints `7-12`; `..` is there for those who think of a shell's `{7..12}`.
//! The last number belongs to the range in both. There is no word for "the last job": another
//! one may have come in between, and the wrong job would be cancelled.

use std::{collections::HashSet, str::FromStr};

use anyhow::bail;

use crate::{model::JobId, protocol::MOST_ELEMENTS};

/// Numbers without gaps, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdRange {
    pub first: JobId,
    pub last: JobId,
}

impl IdRange {
    fn count(self) -> u64 {
        (self.last.0 - self.first.0).saturating_add(1)
    }
}

/// Splits `7-12` or `7..12`.
pub(super) fn split_range(text: &str) -> Option<(&str, &str)> {
    text.split_once("..").or_else(|| text.split_once('-'))
}

impl FromStr for IdRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| digits && *number > 0).map(JobId).ok_or_else(|| {
                format!("expected a job's number such as 7, or 7-12, found '{text}'")
            })
        };
        let Some((first, last)) = split_range(text) else {
            let only = number(text)?;
            return Ok(Self { first: only, last: only });
        };
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(format!("the range ends before it begins; '{last}-{first}' is meant?"));
        }
        let range = Self { first, last };
        match range.count() {
            count if count > MOST_ELEMENTS => {
                Err(format!("these are {count} jobs; a range has at most {MOST_ELEMENTS}"))
            }
            _ => Ok(range),
        }
    }
}

/// Every number once, in the order in which they are given.
pub(super) fn all(ranges: &[IdRange]) -> anyhow::Result<Vec<JobId>> {
    let count = ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.count()));
    if count > MOST_ELEMENTS {
        bail!("these are {count} jobs; give at most {MOST_ELEMENTS} at a time");
    }
    let mut seen = HashSet::new();
    let numbers = ranges.iter().flat_map(|range| range.first.0..=range.last.0);
    Ok(numbers.map(JobId).filter(|id| seen.insert(*id)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_ranges() {
        for (text, first, last) in [
            ("7", 7, 7),
            ("7-12", 7, 12),
            ("7..12", 7, 12),
            ("7-7", 7, 7),
            ("18446744073709551615", u64::MAX, u64::MAX),
            ("1-100000", 1, 100_000),
        ] {
            let range = IdRange { first: JobId(first), last: JobId(last) };
            assert_eq!(text.parse(), Ok(range), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "found ''"),
            ("0", "found '0'"),
            ("last", "found 'last'"),
            ("7-", "found ''"),
            ("-7", "found ''"),
            ("+7", "found '+7'"),
            ("7--9", "found '-9'"),
            ("7-9-11", "found '9-11'"),
            ("7..9..11", "found '9..11'"),
            ("7...9", "found '.9'"),
            ("7 ", "found '7 '"),
            ("18446744073709551616", "found '18446744073709551616'"),
            ("12-7", "'7-12' is meant"),
            ("1-100001", "100001 jobs"),
            ("1-18446744073709551615", "at most 100000"),
        ] {
            let error = text.parse::<IdRange>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn too_many_altogether() {
        let range: IdRange = "1-60000".parse().unwrap();
        let error = all(&[range, range]).unwrap_err().to_string();
        assert!(error.contains("120000 jobs"), "{error}");
    }

    proptest! {
        #[test]
        fn every_number_comes_once_in_order(ranges in prop::collection::vec((1..50_u64, 0..20_u64), 0..8)) {
            let texts: Vec<_> = ranges.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            let parsed: Vec<IdRange> = texts.iter().map(|text| text.parse().unwrap()).collect();
            let found = all(&parsed).unwrap();
            let mut expected = Vec::new();
            for (first, more) in ranges {
                for number in first..=first + more {
                    if !expected.contains(&JobId(number)) {
                        expected.push(JobId(number));
                    }
                }
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_text_panics(text: String) {
            drop(text.parse::<IdRange>());
        }

        #[test]
        fn numbers_survive(number in 1..=u64::MAX) {
            let range: IdRange = number.to_string().parse().unwrap();
            prop_assert_eq!(range, IdRange { first: JobId(number), last: JobId(number) });
        }
    }
}
