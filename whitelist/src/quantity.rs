//! Numbers with units: cpus, bytes and seconds, exact to one ten-thousandth.
//!
//! ```text
//! Quantity::Count    4   0.25
//! Quantity::Bytes    512M   1.5G   8GiB   4g            1024-based, case does not matter
//! Quantity::Seconds  90   30m   1.5h   1:30:00   2-00:00:00
//! ```

/// What one unit counts: amounts of cpus and gpus are given in 1/10 000.
pub const PER_UNIT: u64 = 10_000;

/// Digits after the decimal point that [`PER_UNIT`] can hold.
const DECIMALS: usize = 4;

/// What a number measures, and so how it may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    Count,
    Bytes,
    Seconds,
}

impl Quantity {
    /// Reads the whole of `text`; `None` if it is not such a number.
    pub(crate) fn parse(self, text: &[u8]) -> Option<Amount> {
        if matches!(self, Self::Seconds) && text.iter().any(|&byte| matches!(byte, b':' | b'-')) {
            return clock_time(text);
        }
        let (number, unit) = Amount::parse_prefix(text)?;
        Some(Amount(number.0.saturating_mul(self.factor(unit)?)))
    }

    /// How many bytes or seconds `unit` stands for.
    fn factor(self, unit: &[u8]) -> Option<u128> {
        if unit.is_empty() {
            return Some(1);
        }
        match self {
            Self::Count => None,
            Self::Bytes => {
                let (prefix, rest) = unit.split_first()?;
                let power = match prefix.to_ascii_uppercase() {
                    b'B' if rest.is_empty() => return Some(1),
                    b'K' => 1,
                    b'M' => 2,
                    b'G' => 3,
                    b'T' => 4,
                    _ => return None,
                };
                let is_known = rest.is_empty()
                    || rest.eq_ignore_ascii_case(b"b")
                    || rest.eq_ignore_ascii_case(b"ib");
                is_known.then_some(1 << (10 * power))
            }
            Self::Seconds => match unit {
                b"s" => Some(1),
                b"m" => Some(60),
                b"h" => Some(60 * 60),
                b"d" => Some(24 * 60 * 60),
                _ => None,
            },
        }
    }
}

/// `H:MM:SS`, `D-H`, `D-H:MM` or `D-H:MM:SS`, as Slurm writes times. Its `M:SS` is left out,
/// because most people read that as hours and minutes.
fn clock_time(text: &[u8]) -> Option<Amount> {
    let mut halves = text.splitn(2, |&byte| byte == b'-');
    let first = halves.next()?;
    let (days, clock) = match halves.next() {
        Some(clock) => (Some(whole_number(first)?), clock),
        None => (None, first),
    };
    let mut fields = clock.split(|&byte| byte == b':');
    let hours = whole_number(fields.next()?)?;
    let minutes = fields.next().map(whole_number);
    let seconds = fields.next().map(whole_number);
    let is_complete = days.is_some() || seconds.is_some();
    let minutes = minutes.unwrap_or(Some(0))?;
    let seconds = seconds.unwrap_or(Some(0))?;
    let in_range = minutes < 60 && seconds < 60 && (days.is_none() || hours < 24);
    if fields.next().is_some() || !is_complete || !in_range {
        return None;
    }
    let hours = u128::from(days.unwrap_or(0)) * 24 + u128::from(hours);
    let seconds = hours * 3600 + u128::from(minutes) * 60 + u128::from(seconds);
    Some(Amount(seconds.saturating_mul(u128::from(PER_UNIT))))
}

/// The number `text` consists of; one that is too large becomes the largest there is.
pub(crate) fn whole_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut number = 0_u64;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    }
    Some(number)
}

/// Splits `text` behind the digits it starts with.
fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(length).unwrap_or((text, &[]))
}

/// A number of ten-thousandths of a cpu, byte or second. Arithmetic stops at the largest number
/// instead of going wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount(u128);

impl Amount {
    pub(crate) const ZERO: Self = Self(0);

    /// A whole number.
    #[cfg(test)]
    pub(crate) const fn whole(number: u64) -> Self {
        Self(number as u128 * PER_UNIT as u128)
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) const fn times(self, other: Self) -> Self {
        Self(self.0.saturating_mul(other.0) / PER_UNIT as u128)
    }

    /// In 1/10 000.
    pub(crate) const fn ten_thousandths(self) -> u64 {
        if self.0 > u64::MAX as u128 { u64::MAX } else { self.0 as u64 }
    }

    /// In whole units, rounded up: what is asked for must suffice.
    pub(crate) const fn rounded_up(self) -> u64 {
        Self(self.0.div_ceil(PER_UNIT as u128)).ten_thousandths()
    }

    /// The decimal number at the start of `text`, and what follows it.
    fn parse_prefix(text: &[u8]) -> Option<(Self, &[u8])> {
        let (digits, mut rest) = split_digits(text);
        let mut number = u128::from(whole_number(digits)?) * u128::from(PER_UNIT);
        if let Some(after_point) = rest.strip_prefix(b".") {
            let (decimals, after) = split_digits(after_point);
            if decimals.is_empty() || decimals.len() > DECIMALS {
                return None;
            }
            let mut weight = PER_UNIT;
            for digit in decimals {
                weight /= 10;
                number += u128::from(u64::from(digit - b'0') * weight);
            }
            rest = after;
        }
        Some((Self(number), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    fn bytes(text: &str) -> Option<u64> {
        Quantity::Bytes.parse(text.as_bytes()).map(Amount::rounded_up)
    }

    fn seconds(text: &str) -> Option<u64> {
        Quantity::Seconds.parse(text.as_bytes()).map(Amount::rounded_up)
    }

    fn count(text: &str) -> Option<u64> {
        Quantity::Count.parse(text.as_bytes()).map(Amount::ten_thousandths)
    }

    #[test]
    fn counts() {
        assert_eq!(count("4"), Some(40_000));
        assert_eq!(count("0.25"), Some(2_500));
        assert_eq!(count("1.0001"), Some(10_001));
        for bad in ["", ".5", "1.", "1.00001", "-1", "4x", "1,5", " 4"] {
            assert_eq!(count(bad), None, "{bad}");
        }
    }

    #[test]
    fn memory_is_1024_based() {
        assert_eq!(bytes("100"), Some(100));
        assert_eq!(bytes("100B"), Some(100));
        assert_eq!(bytes("4096m"), Some(4 << 30));
        for gibibyte in ["1G", "1g", "1GB", "1GiB", "1024M", "1048576K", "1gib"] {
            assert_eq!(bytes(gibibyte), Some(1 << 30), "{gibibyte}");
        }
        assert_eq!(bytes("1.5T"), Some(3 << 39));
        assert_eq!(bytes("0.0001"), Some(1), "part of a byte is a byte");
        for bad in ["lots", "8X", "8Gi", "G", "8 G", "8GG", "8Bi"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("30m"), Some(1800));
        assert_eq!(seconds("1.5h"), Some(5400));
        assert_eq!(seconds("2d"), Some(172_800));
        assert_eq!(seconds("1:30:00"), Some(5400));
        assert_eq!(seconds("100:00:01"), Some(360_001));
        assert_eq!(seconds("2-00:00:00"), Some(172_800));
        assert_eq!(seconds("1-12"), Some(129_600));
        assert_eq!(seconds("1-12:30"), Some(131_400));
        for bad in ["1:30", "1:60:00", "1:00:60", "1-24", "-1", "1-", "1:2:3:4", "4H", "1::2", "-"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn too_much_is_the_most() {
        assert_eq!(bytes("99999999999999999999999999T"), Some(u64::MAX));
        assert_eq!(seconds("99999999999999999999999999-00"), Some(u64::MAX));
        let most = Amount(u128::MAX);
        assert_eq!(most.plus(most).times(most).ten_thousandths(), u64::MAX);
    }

    #[test]
    fn products_keep_fractions() {
        let half = Quantity::Count.parse(b"0.5").unwrap();
        let two = Quantity::Bytes.parse(b"2G").unwrap();
        assert_eq!(half.times(two).rounded_up(), 1 << 30);
        assert_eq!(Amount::whole(1).times(two), two);
    }

    proptest! {
        #[test]
        fn numbers_survive_a_round_trip(number in 0..u64::MAX / PER_UNIT, part in 0..PER_UNIT) {
            let text = format!("{number}.{part:04}");
            prop_assert_eq!(count(&text), Some(number * PER_UNIT + part));
            prop_assert_eq!(bytes(&format!("{number}")), Some(number));
            prop_assert_eq!(seconds(&format!("{number}s")), Some(number));
        }

        #[test]
        fn clock_times_survive_a_round_trip(time in 0..100_000_000_u64) {
            let (days, hours) = (time / 86_400, time / 3600 % 24);
            let (minutes, rest) = (time / 60 % 60, time % 60);
            let with_days = format!("{days}-{hours:02}:{minutes:02}:{rest:02}");
            prop_assert_eq!(seconds(&with_days), Some(time));
            let hours_only = format!("{}:{minutes:02}:{rest:02}", time / 3600);
            prop_assert_eq!(seconds(&hours_only), Some(time));
        }
    }
}
