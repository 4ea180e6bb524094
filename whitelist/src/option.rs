//! Option terms: the value that follows an option on the command line.
//!
//! `-t|--threads` in a rule stands for the number in `-t 8`, `-t8`, `-t=8`, `--threads 8` and
//! `--threads=8`. Of several occurrences the last counts, as in nearly every tool. Nothing is
//! looked for after an argument `--`. An argument that holds several words, such as
//! `--java-options '-Xmx8g -XX:+UseParallelGC'`, is looked into word by word.

use crate::command::Arguments;
use crate::quantity::{Amount, Quantity};
use crate::text::is_blank;

/// What the command line says about an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The option is not there.
    Absent,
    /// The option has this value.
    Value(Amount),
    /// The option is there, and the value, in the argument with this index, is no number.
    /// The index is past the end when the option is the last argument.
    Unreadable { argument: usize },
}

/// How a word mentions an option.
enum Mention<'a> {
    /// `-t`, `--threads`: the value is the next word.
    Before,
    /// `--threads=8`: the value follows the equals sign.
    Equals(&'a [u8]),
    /// `-t8`
    Attached(Amount),
}

/// Looks for the options `names` (`-t|--threads`), from `argv[1]` on.
pub(crate) fn last_value<A: Arguments + ?Sized>(
    names: &[u8],
    quantity: Quantity,
    arguments: &A,
) -> Lookup {
    let mut last = Lookup::Absent;
    let mut index = 1;
    while let Some(argument) = arguments.get(index) {
        if argument == b"--" {
            break;
        }
        if argument.iter().copied().any(is_blank) {
            if let Some(found) = last_value_in_words(names, quantity, argument) {
                last = found;
            }
        } else if let Some(mention) = mention(names, quantity, argument) {
            let value = match mention {
                Mention::Before => {
                    index += 1;
                    arguments.get(index).and_then(|next| quantity.parse(next))
                }
                Mention::Equals(value) => quantity.parse(value),
                Mention::Attached(value) => Some(value),
            };
            last = value.map_or(Lookup::Unreadable { argument: index }, Lookup::Value);
        }
        index += 1;
    }
    last
}

/// Looks into one argument that holds several words. Such an argument may also be plain prose, so
/// only a readable value counts.
fn last_value_in_words(names: &[u8], quantity: Quantity, argument: &[u8]) -> Option<Lookup> {
    let mut last = None;
    let mut words = argument.split(|&byte| is_blank(byte)).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let found = match mention(names, quantity, word) {
            None => continue,
            Some(Mention::Before) => words.next().and_then(|next| quantity.parse(next)),
            Some(Mention::Equals(value)) => quantity.parse(value),
            Some(Mention::Attached(value)) => Some(value),
        };
        last = found.map(Lookup::Value).or(last);
    }
    last
}

/// Whether and how `word` mentions one of `names`.
fn mention<'a>(names: &[u8], quantity: Quantity, word: &'a [u8]) -> Option<Mention<'a>> {
    if word.first() != Some(&b'-') {
        return None;
    }
    names.split(|&byte| byte == b'|').find_map(|name| {
        let rest = word.strip_prefix(name)?;
        match rest.split_first() {
            None => Some(Mention::Before),
            Some((b'=', value)) => Some(Mention::Equals(value)),
            // Only a number can be attached: `-th8` is another option than `-t`.
            Some(_) if !name.starts_with(b"--") => quantity.parse(rest).map(Mention::Attached),
            Some(_) => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn look(names: &str, quantity: Quantity, line: &[&str]) -> Lookup {
        let arguments: Vec<&[u8]> = line.iter().map(|argument| argument.as_bytes()).collect();
        last_value(names.as_bytes(), quantity, &arguments[..])
    }

    fn number(number: u64) -> Lookup {
        Lookup::Value(Amount::whole(number))
    }

    #[test]
    fn ways_to_write_an_option() {
        let names = "-t|--threads";
        for (line, expected) in [
            (&["x", "-t", "8"][..], number(8)),
            (&["x", "-t8"], number(8)),
            (&["x", "-t=8"], number(8)),
            (&["x", "--threads", "8"], number(8)),
            (&["x", "--threads=8"], number(8)),
            (&["x", "-t", "8", "--threads", "9"], number(9)),
            (&["x", "--threads=9", "-t8"], number(8)),
            (&["-t", "8"], Lookup::Absent),
            (&["x", "t8", "8"], Lookup::Absent),
            (&["x", "-th8"], Lookup::Absent),
            (&["x", "-th", "8"], Lookup::Absent),
            (&["x", "--thread", "8"], Lookup::Absent),
            (&["x", "--threads8"], Lookup::Absent),
            (&["x", "--threads-per-core=8"], Lookup::Absent),
            (&["x", "--", "-t", "8"], Lookup::Absent),
            (&["x", "-t", "4", "--", "-t", "8"], number(4)),
            (&["x", "-t", "all"], Lookup::Unreadable { argument: 2 }),
            (&["x", "--threads=all"], Lookup::Unreadable { argument: 1 }),
            (&["x", "-t"], Lookup::Unreadable { argument: 2 }),
            (&["x", "-t", "-1"], Lookup::Unreadable { argument: 2 }),
            (&["x", "-t", "all", "-t", "2"], number(2)),
        ] {
            assert_eq!(look(names, Quantity::Count, line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_short_option_is_not_a_long_one() {
        assert_eq!(look("-t", Quantity::Count, &["x", "--threads", "8"]), Lookup::Absent);
        assert_eq!(look("-t", Quantity::Count, &["x", "-threads", "8"]), Lookup::Absent);
        assert_eq!(look("-t|-threads", Quantity::Count, &["x", "-threads", "8"]), number(8));
    }

    #[test]
    fn sizes_are_attached_with_their_unit() {
        let gibibytes = |count: u64| number(count << 30);
        assert_eq!(look("-Xmx", Quantity::Bytes, &["java", "-Xmx4g"]), gibibytes(4));
        assert_eq!(look("-Xmx", Quantity::Bytes, &["java", "-Xmx4096m"]), gibibytes(4));
        assert_eq!(look("-m", Quantity::Bytes, &["x", "-m", "2G"]), gibibytes(2));
        assert_eq!(look("-m", Quantity::Count, &["x", "-m2G"]), Lookup::Absent);
    }

    #[test]
    fn arguments_of_several_words_are_looked_into() {
        let look_up = |options: &str| {
            look("-Xmx|-t", Quantity::Bytes, &["gatk", "--java-options", options, "Caller"])
        };
        assert_eq!(look_up("-Xmx8g -XX:+UseParallelGC"), number(8 << 30));
        assert_eq!(look_up(" -Xms1g  -Xmx2g"), number(2 << 30));
        assert_eq!(look_up("-Xmx8g"), number(8 << 30));
        assert_eq!(look_up("-t 5 x"), number(5));
        assert_eq!(look_up("write -t or nothing"), Lookup::Absent);
        assert_eq!(look_up("x -t"), Lookup::Absent);
    }
}
