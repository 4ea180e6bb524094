//! The elements of an array: `--array 1-1000:10`, `--each FILE`.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
    str::FromStr,
};

use anyhow::{Context, bail};

use super::ids::split_range;
use crate::{
    model::Text,
    protocol::{Elements, MOST_ELEMENTS},
};

/// What stands for an element's value.
pub(super) const PLACE: &[u8] = b"{}";

/// Numbers, such as `1-1000`, `0-90:10` or `7`; always at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub first: u64,
    pub last: u64,
    pub step: u64,
}

impl FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || format!("expected numbers such as 1-1000 or 0-90:10, found '{text}'");
        let number = |digits: &str| {
            let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| are_digits).ok_or_else(expected)
        };
        let (range, step) = text.split_once(':').unwrap_or((text, "1"));
        let (first, last) = split_range(range).unwrap_or((range, range));
        let (first, last, step): (u64, u64, u64) = (number(first)?, number(last)?, number(step)?);
        if step == 0 {
            return Err("a step of 0 never arrives; give at least 1".to_owned());
        }
        if last < first {
            return Err(format!("the range ends before it begins; '{last}-{first}' is meant?"));
        }
        let numbers = Self { first, last, step };
        // One less, because there may be one more than the largest number.
        let more = (last - first) / step;
        if more >= MOST_ELEMENTS {
            return Err(format!(
                "these are {} elements; submit at most {MOST_ELEMENTS} at a time",
                u128::from(more) + 1
            ));
        }
        Ok(numbers)
    }
}

impl From<Numbers> for Elements {
    fn from(Numbers { first, last, step }: Numbers) -> Self {
        Self::Range { first, last, step }
    }
}

/// The lines of `file`, or of standard input if that is `-`.
pub(super) fn read_lines(file: &Path) -> anyhow::Result<Elements> {
    let is_input = file == Path::new("-");
    let name = if is_input { "standard input".to_owned() } else { file.display().to_string() };
    let mut text = Vec::new();
    let read = if is_input {
        io::stdin().lock().read_to_end(&mut text)
    } else {
        File::open(file).and_then(|mut file| file.read_to_end(&mut text))
    };
    read.with_context(|| format!("cannot read the elements from {name}; nothing was submitted"))?;
    lines(&text, &name)
}

/// One element a line. Empty lines are none; a line may end as DOS has it, because a sample's
/// name with a carriage return in it is not found anywhere.
fn lines(text: &[u8], name: &str) -> anyhow::Result<Elements> {
    let mut elements = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&0) {
            let number = index + 1;
            bail!(
                "{name}:{number}: a line with a zero byte cannot be an argument; \
                 is it a text file? nothing was submitted"
            );
        }
        if !line.is_empty() {
            elements.push(Text::from(line));
        }
    }
    match elements.len() as u64 {
        0 => bail!("{name} has no line that is not empty; nothing was submitted"),
        count if count > MOST_ELEMENTS => bail!(
            "{name} has {count} lines; submit at most {MOST_ELEMENTS} at a time ('split -l' cuts \
             a file in pieces); nothing was submitted"
        ),
        _ => Ok(Elements::Lines(elements)),
    }
}

/// Whether `word` has a place for an element's value.
pub(super) fn has_place(word: &OsString) -> bool {
    word.as_bytes().windows(PLACE.len()).any(|window| window == PLACE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_with_and_without_a_step() {
        for (text, first, last, step, count) in [
            ("1-1000", 1, 1000, 1, 1000),
            ("1..10", 1, 10, 1, 10),
            ("0-90:10", 0, 90, 10, 10),
            ("0-99:10", 0, 99, 10, 10),
            ("5", 5, 5, 1, 1),
            ("5-5:7", 5, 5, 7, 1),
            ("0-10000000:100", 0, 10_000_000, 100, 100_001),
            ("18446744073709551615", u64::MAX, u64::MAX, 1, 1),
        ] {
            let numbers = Numbers { first, last, step };
            if count > MOST_ELEMENTS {
                text.parse::<Numbers>().expect_err(text);
                continue;
            }
            assert_eq!(text.parse(), Ok(numbers), "{text}");
            assert_eq!(Elements::from(numbers).count(), count, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "found ''"),
            ("one", "found 'one'"),
            ("1-", "found '1-'"),
            ("-5", "found '-5'"),
            ("1-5:", "found '1-5:'"),
            ("1-5:2:3", "found '1-5:2:3'"),
            ("+1-5", "found '+1-5'"),
            ("5-1", "'1-5' is meant"),
            ("1-5:0", "step of 0"),
            ("1-10000000", "10000000 elements; submit at most 100000"),
            ("0-18446744073709551615", "18446744073709551616 elements"),
        ] {
            let error = text.parse::<Numbers>().expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_line_is_an_element() {
        let elements = |text: &[u8]| match lines(text, "samples.txt") {
            Ok(Elements::Lines(lines)) => Ok(lines),
            Ok(range @ Elements::Range { .. }) => panic!("{range:?}"),
            Err(error) => Err(error.to_string()),
        };
        let texts = |words: &[&str]| Ok(words.iter().map(|word| Text::from(*word)).collect());
        assert_eq!(elements(b"a\nb c\n"), texts(&["a", "b c"]));
        assert_eq!(elements(b"a\r\n\r\n\nb"), texts(&["a", "b"]));
        assert_eq!(elements(b" a "), texts(&[" a "]));
        assert_eq!(elements(b"\xff\n"), Ok(vec![Text(vec![0xff])]));
        assert!(elements(b"a\nb\0c\n").unwrap_err().starts_with("samples.txt:2: "));
        for nothing in [&b""[..], b"\n\n", b"\r\n"] {
            assert!(elements(nothing).unwrap_err().contains("no line that is not empty"));
        }
        let many = b"x\n".repeat(MOST_ELEMENTS as usize + 1);
        assert!(elements(&many).unwrap_err().contains("100001 lines"));
        assert!(elements(&many[2..]).is_ok());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_lines(Path::new("/no/such/file")).unwrap_err();
        assert!(format!("{error:#}").contains("/no/such/file"), "{error:#}");
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_seq(first in 0..1000_u64, more in 0..1000_u64, step in 1..50_u64) {
            let numbers: Numbers = format!("{first}-{}:{step}", first + more).parse().unwrap();
            let elements = Elements::from(numbers);
            let expected: Vec<u64> = (first..=first + more).step_by(step as usize).collect();
            let found: Vec<u64> = (0..elements.count())
                .map(|index| elements.value(index).unwrap().to_string_lossy().parse().unwrap())
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_text_panics(text: String, bytes: Vec<u8>) {
            drop(text.parse::<Numbers>());
            drop(lines(&bytes, "a file"));
        }
    }
}
