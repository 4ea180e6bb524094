//! How people write amounts, and how amounts are written for them.
//!
//! ```text
//! parse_duration("1.5h")  ⇄  format_duration: 1h30m
//! parse_bytes("8GiB")     ⇄  format_bytes:    8G         1024-based
//! parse_cpus("0.25")      ⇄  Amount's Display: 0.25      any pool that is counted, not only cpus
//! ```

use std::time::Duration;

use crate::model::Amount;

/// Splits `90m` into `90` and `m`.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then(|| (number, text[end..].trim()))
}

/// `90` (seconds), `90s`, `30m`, `4h`, `2d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds = number_and_unit(text).and_then(|(number, unit)| {
        let factor = match unit {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        Duration::try_from_secs_f64(number * factor).ok()
    });
    seconds.ok_or_else(|| format!("expected a time such as 90s, 30m, 4h or 2d, found '{text}'"))
}

/// `1024` (bytes), `512M`, `8G`, `8GiB`; units are powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bytes = number_and_unit(text).and_then(|(number, unit)| {
        let unit = unit.to_ascii_uppercase();
        let power = match unit.trim_end_matches('B').trim_end_matches('I') {
            "" => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            _ => return None,
        };
        let bytes = number * 1024_f64.powi(power);
        (bytes <= u64::MAX as f64).then_some(bytes as u64)
    });
    bytes.ok_or_else(|| format!("expected an amount of memory such as 512M or 8G, found '{text}'"))
}

/// `4`, `0.25`.
pub fn parse_cpus(text: &str) -> Result<Amount, String> {
    let amount = number_and_unit(text).and_then(|(number, unit)| {
        let amount = (number * Amount::ONE.0 as f64).round();
        (unit.is_empty() && amount >= 1.0 && amount < u64::MAX as f64)
            .then_some(Amount(amount as u64))
    });
    amount.ok_or_else(|| format!("expected a number of cpus such as 4 or 0.5, found '{text}'"))
}

/// `512M`, `8G`, `1.5G`; at most one decimal.
pub fn format_bytes(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut units = ["B", "K", "M", "G", "T"].into_iter().peekable();
    while amount >= 1024.0 && units.len() > 1 {
        amount /= 1024.0;
        units.next();
    }
    let unit = units.next().unwrap_or_default();
    let rounded = (amount * 10.0).round() / 10.0;
    format!("{rounded}{unit}")
}

/// `250ms`, `1.5s`, `12m03s`, `4h05m`, `2d04h`.
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{milliseconds}ms"),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        assert_eq!(parse_duration("90").unwrap(), Duration::from_secs(90));
        assert_eq!(parse_duration("1.5h").unwrap(), Duration::from_mins(90));
        assert_eq!(parse_bytes("8GiB").unwrap(), 8 << 30);
        assert_eq!(parse_bytes("0.5k").unwrap(), 512);
        assert_eq!(parse_cpus("0.25").unwrap(), Amount(2_500));
        for wrong in ["", "lots", "-1", "8X", "1e400", "999999999999999T"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
            assert!(parse_duration(wrong).is_err() || wrong == "8X", "{wrong}");
        }
        assert!(parse_cpus("0").is_err());
    }

    #[test]
    fn amounts_are_written_short() {
        assert_eq!(format_bytes(512), "512B");
        assert_eq!(format_bytes(3 << 29), "1.5G");
        assert_eq!(format_duration(Duration::from_millis(250)), "250ms");
        assert_eq!(format_duration(Duration::from_secs(723)), "12m03s");
    }
}
