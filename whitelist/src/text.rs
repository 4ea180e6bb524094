//! From the bytes of a line to tokens, and from a token to its characters.
//!
//! Blanks separate tokens. Quotes (`'…'` and `"…"` alike) keep blanks inside a token, and `\`
//! takes the meaning off the byte after it, inside quotes too. A `#` at the start of a token
//! starts a comment. Quotes do not switch off wildcards: they are there so that a *pattern* can
//! hold blanks.

use crate::error::{ErrorKind, Fault};

/// Whether `byte` separates tokens. Carriage returns count, so that files with CRLF line ends work.
pub(crate) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// `text` without the blanks at its start.
pub(crate) fn skip_blanks(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    text
}

/// The first `length` bytes of `text`, or all of it when it is shorter.
pub(crate) fn prefix(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

/// Takes the first token off `text`: its raw bytes, with quotes and backslashes. `None` when only
/// blanks or a comment are left.
pub(crate) fn take_token<'t>(text: &mut &'t [u8]) -> Result<Option<&'t [u8]>, Fault<'t>> {
    let start = skip_blanks(text);
    if matches!(start.first(), None | Some(b'#')) {
        *text = &[];
        return Ok(None);
    }
    let mut characters = Characters::new(start);
    while let Some(character) = characters.next() {
        if is_blank(character.byte) && !character.escaped && characters.quote.is_none() {
            // The blank is one byte, and the token ends before it.
            let length = start.len().saturating_sub(characters.rest.len()).saturating_sub(1);
            let (token, rest) = start.split_at_checked(length).unwrap_or((start, &[]));
            *text = rest;
            return Ok(Some(token));
        }
    }
    if characters.ends_in_backslash {
        let at = start.get(start.len().saturating_sub(1)..).unwrap_or(start);
        return Err(Fault { at, kind: ErrorKind::BackslashAtEnd });
    }
    if let Some(at) = characters.quote {
        return Err(Fault { at, kind: ErrorKind::QuoteNotClosed });
    }
    *text = &[];
    Ok(Some(start))
}

/// The tokens of a text that [`take_token`] has already found to be sound.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'t>(pub(crate) &'t [u8]);

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        take_token(&mut self.0).ok().flatten()
    }
}

/// One byte of a token after quotes and backslashes are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Character {
    pub(crate) byte: u8,
    /// A backslash stood before it: it stands for itself.
    pub(crate) escaped: bool,
}

impl Character {
    /// Whether this is `byte` in its special meaning.
    pub(crate) const fn is_special(self, byte: u8) -> bool {
        self.byte == byte && !self.escaped
    }
}

/// The characters of a raw token, from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Characters<'t> {
    rest: &'t [u8],
    /// Inside quotes: the text from the opening quote on.
    quote: Option<&'t [u8]>,
    ends_in_backslash: bool,
}

impl<'t> Characters<'t> {
    pub(crate) const fn new(token: &'t [u8]) -> Self {
        Self { rest: token, quote: None, ends_in_backslash: false }
    }

    /// What is left, still with quotes and backslashes.
    pub(crate) const fn rest(&self) -> &'t [u8] {
        self.rest
    }
}

impl Iterator for Characters<'_> {
    type Item = Character;

    fn next(&mut self) -> Option<Character> {
        loop {
            let here = self.rest;
            let (&byte, rest) = here.split_first()?;
            self.rest = rest;
            match (byte, self.quote) {
                (b'\\', _) => {
                    let Some((&byte, rest)) = rest.split_first() else {
                        self.ends_in_backslash = true;
                        return None;
                    };
                    self.rest = rest;
                    return Some(Character { byte, escaped: true });
                }
                (b'\'' | b'"', None) => self.quote = Some(here),
                (b'\'' | b'"', Some(open)) if open.first() == Some(&byte) => self.quote = None,
                _ => return Some(Character { byte, escaped: false }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn tokens(line: &str) -> Vec<&str> {
        Tokens(line.as_bytes()).map(|token| core::str::from_utf8(token).unwrap()).collect()
    }

    fn characters(token: &str) -> Vec<u8> {
        Characters::new(token.as_bytes()).map(|character| character.byte).collect()
    }

    #[test]
    fn blanks_separate_and_comments_end() {
        assert_eq!(tokens("  bwa\tmem  -t # threads"), ["bwa", "mem", "-t"]);
        assert_eq!(tokens("a#b \\#c #d"), ["a#b", "\\#c"]);
        assert_eq!(tokens("a b\r"), ["a", "b"]);
        assert_eq!(tokens(" # only"), [""; 0]);
    }

    #[test]
    fn quotes_and_backslashes_keep_blanks() {
        assert_eq!(tokens("'a b' \"c # d\"e f\\ g"), ["'a b'", "\"c # d\"e", "f\\ g"]);
        assert_eq!(tokens("'' x"), ["''", "x"]);
        assert_eq!(tokens(r#"'a"b' "c'd""#), [r#"'a"b'"#, r#""c'd""#]);
    }

    #[test]
    fn characters_lose_quotes_and_backslashes() {
        assert_eq!(characters("'a b'c"), b"a bc");
        assert_eq!(characters(r"a\'b\\"), br"a'b\");
        assert_eq!(characters("''"), b"");
    }

    #[test]
    fn an_open_quote_or_a_last_backslash_is_a_fault() {
        let fault = take_token(&mut &b"ab'c d"[..]).unwrap_err();
        assert_eq!((fault.at, fault.kind), (&b"'c d"[..], ErrorKind::QuoteNotClosed));
        let fault = take_token(&mut &b"ab\\"[..]).unwrap_err();
        assert_eq!((fault.at, fault.kind), (&b"\\"[..], ErrorKind::BackslashAtEnd));
    }
}
