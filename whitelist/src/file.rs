//! A whole whitelist: many lines, of which the last that matches decides.

use crate::command::{Arguments, Command};
use crate::error::Error;
use crate::rule::{Rule, Verdict, verdict};

/// The rules of a text from top to bottom, each with its line number (from 1), mistakes included.
#[derive(Clone, Debug)]
pub struct Rules<'t> {
    rest: Option<&'t [u8]>,
    line: u32,
}

impl<'t> Rules<'t> {
    /// The rules of `text`. Blank lines and comments are counted, and left out.
    pub const fn new(text: &'t [u8]) -> Self {
        Self { rest: Some(text), line: 0 }
    }

    fn next_line(&mut self) -> Option<(u32, &'t [u8])> {
        let text = self.rest?;
        let (line, rest) = match find_line_end(text).and_then(|end| text.split_at_checked(end)) {
            Some((line, rest)) => (line, rest.get(1..)),
            None => (text, None),
        };
        self.rest = rest;
        self.line = self.line.saturating_add(1);
        Some((self.line, line))
    }
}

impl<'t> Iterator for Rules<'t> {
    type Item = (u32, Result<Rule<'t>, Error>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, line) = self.next_line()?;
            if let Some(rule) = Rule::parse(line).transpose() {
                return Some((number, rule));
            }
        }
    }
}

/// Where the first line feed in `text` is.
///
/// Looks at eight bytes at once: byte by byte, finding the lines would take longer than judging
/// them.
pub fn find_line_end(text: &[u8]) -> Option<usize> {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    const LINE_FEEDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
    let (words, _) = text.as_chunks::<8>();
    let holds_line_feed = |word: &[u8; 8]| {
        // A byte that is equal becomes zero, and only a zero borrows into its high bit.
        let difference = u64::from_ne_bytes(*word) ^ LINE_FEEDS;
        difference.wrapping_sub(LOW_BITS) & !difference & HIGH_BITS != 0
    };
    let skipped = 8 * words.iter().take_while(|word| !holds_line_feed(word)).count();
    let rest = text.get(skipped..)?;
    Some(skipped + rest.iter().position(|&byte| byte == b'\n')?)
}

/// The rule of `text` that decides about `command`, with its line number (from 1): the last one
/// that matches. Lines with mistakes are passed over.
pub fn decide<'t, A: Arguments + ?Sized>(
    text: &'t [u8],
    command: &Command<'_, A>,
) -> Option<(u32, Rule<'t>)> {
    let mut lines = Rules::new(text);
    let mut last = None;
    while let Some((number, line)) = lines.next_line() {
        if verdict(line, command) != Verdict::NoMatch {
            last = Some((number, line));
        }
    }
    let (number, line) = last?;
    Some((number, Rule::parse(line).ok()??))
}

/// The mistakes in `text`: at most one for each line, with the line number (from 1).
pub fn problems(text: &[u8]) -> impl Iterator<Item = (u32, Error)> + '_ {
    Rules::new(text).filter_map(|(number, rule)| Some((number, rule.err()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn line_ends_are_found(
            text in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'\n')], 0..40),
        ) {
            prop_assert_eq!(find_line_end(&text), text.iter().position(|&byte| byte == b'\n'));
        }

        #[test]
        fn lines_are_what_lies_between_line_ends(text in "[a\n]{0,30}") {
            let mut lines = Rules::new(text.as_bytes());
            let found: Vec<_> = core::iter::from_fn(|| lines.next_line()).collect();
            let expected = text.as_bytes().split(|&byte| byte == b'\n');
            let expected: Vec<_> = (1..).zip(expected).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
