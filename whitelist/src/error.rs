//! What can be wrong with a line, and how that is said.

use core::fmt::{self, Display, Formatter, Write};

use crate::key::Key;

/// A mistake in a whitelist line.
///
/// Its `Display` says what was expected and what was found; file and line are the caller's to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where in the line it is, in bytes from 1.
    pub column: u32,
    /// What it is.
    pub kind: ErrorKind,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The line is longer than [`crate::MAX_LINE`].
    LineTooLong,
    /// There is no program before the attributes, or its pattern is empty.
    ProgramMissing,
    /// The program starts with `~/`, which only shells understand.
    HomeNotExpanded,
    /// A quote is opened and not closed.
    QuoteNotClosed,
    /// The line ends in a backslash, which has nothing to take the meaning off.
    BackslashAtEnd,
    /// A set of characters is opened by `[` and not closed.
    SetNotClosed,
    /// A range in a set goes backwards, as in `[z-a]`.
    RangeReversed,
    /// `KEY=` with a key that does not exist.
    UnknownAttribute(Excerpt),
    /// Something that is no attribute stands between or after the attributes.
    AttributeExpected(Excerpt),
    /// An attribute is given twice.
    RepeatedAttribute(Key),
    /// A `!` rule asks for something, but it makes no job.
    AttributesOfRunHere,
    /// The value of an attribute, or a term of it, cannot be read.
    BadValue(Key, Excerpt),
    /// Two terms of an expression without `+` or `*` between them.
    OperatorExpected(Key, Excerpt),
    /// An expression uses `cpus`, and the rule has no attribute of that name.
    CpusNotGiven(Key),
    /// `cpus=0`: nothing could ever run.
    NoCpus,
}

impl Display for Error {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        self.kind.fmt(out)
    }
}

impl core::error::Error for Error {}

impl Display for ErrorKind {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong => {
                write!(out, "expected at most {} bytes in a line", crate::MAX_LINE)
            }
            Self::ProgramMissing => out.write_str(
                "expected a program before the attributes, such as 'bwa' in 'bwa mem cpus=4'",
            ),
            Self::HomeNotExpanded => out.write_str(
                "expected a whole path or a file name; '~' means nothing here, \
                 write the path of the home folder",
            ),
            Self::QuoteNotClosed => out.write_str(
                "expected a closing quote before the end of the line; \
                 write \\' or \\\" for a quote that is meant literally",
            ),
            Self::BackslashAtEnd => out.write_str(
                "expected a character after '\\'; write \\\\ for a backslash, \
                 and each rule on one line",
            ),
            Self::SetNotClosed => out.write_str(
                "expected ']' to end the set of characters; \
                 write \\[ for a bracket that is meant literally",
            ),
            Self::RangeReversed => {
                out.write_str("expected a range that goes upwards, such as [a-z], in a set")
            }
            Self::UnknownAttribute(found) => {
                write!(out, "expected one of the attributes ")?;
                for (place, key) in Key::ALL.iter().enumerate() {
                    write!(out, "{}{key}", if place == 0 { "" } else { ", " })?;
                }
                write!(out, ", found '{found}'; put an argument that looks like this in quotes")
            }
            Self::AttributeExpected(found) => write!(
                out,
                "expected only attributes (KEY=VALUE) after the first one, found '{found}'; \
                 arguments of the command go before the attributes"
            ),
            Self::RepeatedAttribute(Key::Partition | Key::Queue) => out.write_str(
                "expected only one of 'partition' and 'queue' in a rule: they are the same",
            ),
            Self::RepeatedAttribute(key) => {
                write!(out, "expected '{key}' only once in a rule")
            }
            Self::AttributesOfRunHere => out.write_str(
                "expected no attributes in a '!' rule: it runs the command here, not as a job",
            ),
            Self::BadValue(key, found) => {
                write!(out, "expected {} after '{key}=', found ", key.expected_value())?;
                if found.is_empty() { out.write_str("nothing") } else { write!(out, "'{found}'") }
            }
            Self::OperatorExpected(key, found) => {
                write!(out, "expected '+' or '*' between the terms of '{key}=', found '{found}'")
            }
            Self::CpusNotGiven(key) => write!(
                out,
                "expected a 'cpus=' attribute in the rule, because '{key}=' uses its value"
            ),
            Self::NoCpus => out.write_str(
                "expected more than 0 after 'cpus='; parts such as 0.1 of a cpu are fine",
            ),
        }
    }
}

/// The start of a piece of text from the file, to show in a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Self::CAPACITY],
    length: u8,
    is_cut: bool,
}

impl Excerpt {
    const CAPACITY: usize = 40;

    // Not inlined, because there are many mistakes and the shim has to stay small.
    #[cold]
    #[inline(never)]
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        let mut length = 0;
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
            length += 1;
        }
        Self { bytes, length, is_cut: text.len() > Self::CAPACITY }
    }

    /// The bytes as they are in the file, at most 40.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Whether there was nothing to show.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Shows text as it is; control characters and bytes that are no UTF-8 as escapes.
impl Display for Excerpt {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(out, "{}", character.escape_default())?;
                } else {
                    out.write_char(character)?;
                }
            }
            if !self.is_cut {
                write!(out, "{}", chunk.invalid().escape_ascii())?;
            }
        }
        if self.is_cut { out.write_char('…') } else { Ok(()) }
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "\"{self}\"")
    }
}

/// An error that still knows its place as a part of the line rather than as a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault<'t> {
    /// Starts where the mistake is. A part of the line.
    pub(crate) at: &'t [u8],
    pub(crate) kind: ErrorKind,
}

impl<'t> Fault<'t> {
    /// `at` is not the value that `key` needs.
    #[cold]
    #[inline(never)]
    pub(crate) fn bad_value(key: Key, at: &'t [u8]) -> Self {
        Self { at, kind: ErrorKind::BadValue(key, Excerpt::of(at)) }
    }

    /// The error for people, with its column in `line`, which `self.at` is a part of.
    pub(crate) fn in_line(self, line: &[u8]) -> Error {
        let offset = self.at.as_ptr().addr().saturating_sub(line.as_ptr().addr());
        // Something that is missing at the end of the line is reported at its last byte.
        let offset = offset.min(line.len().saturating_sub(1));
        Error {
            column: u32::try_from(offset).unwrap_or(u32::MAX).saturating_add(1),
            kind: self.kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn excerpts_show_any_bytes() {
        assert_eq!(Excerpt::of("größe".as_bytes()).to_string(), "größe");
        assert_eq!(Excerpt::of(b"a\xffb\x1b").to_string(), "a\\xffb\\u{1b}");
        let long = "ä".repeat(30);
        assert_eq!(Excerpt::of(long.as_bytes()).to_string(), "ä".repeat(20) + "…");
        let cut_inside = "x".to_string() + &long;
        assert_eq!(
            Excerpt::of(cut_inside.as_bytes()).to_string(),
            "x".to_string() + &"ä".repeat(19) + "…"
        );
    }

    #[test]
    fn a_fault_past_the_end_points_at_the_last_byte() {
        let line = b"bwa";
        let fault = Fault { at: &line[3..], kind: ErrorKind::ProgramMissing };
        assert_eq!(fault.in_line(line).column, 3);
    }
}
