//! Python's literals, as far as mapfiles have them: lists, tuples, dictionaries, texts, truth
//! values, whole numbers.
//!
//! What a text stands for depends on which Python has written it. `repr` of Python 2 writes a byte
//! that is not ASCII as `\xNN`; that of Python 3 writes characters as they are, and as `\udcNN` a
//! byte of a file's name that is not UTF-8. So `\xNN` is a byte, but a character in `u'…'`.

use super::error::{Fault, Problem};

/// A literal and where it begins.
#[derive(Debug)]
pub(super) struct Value {
    pub at: usize,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Text(Vec<u8>),
    Truth(bool),
    Nothing,
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Dictionary(Vec<(Value, Value)>),
}

/// Mapfiles have a list of dictionaries with lists; each level is a call of the parser.
const DEEPEST: usize = 8;

/// The one literal that `text` is.
pub(super) fn parse(text: &[u8]) -> Result<Value, Fault> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(Problem::Expected { expected: "nothing after the list" }.at(parser.at)),
    }
}

struct Parser<'text> {
    text: &'text [u8],
    at: usize,
}

impl Parser<'_> {
    /// The next byte that counts.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                b'#' => self.at += to_line_end(&self.text[self.at..]),
                byte if byte.is_ascii_whitespace() => self.at += 1,
                byte => return Some(*byte),
            }
        }
        None
    }

    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        let first = self.peek();
        let at = self.at;
        if depth > DEEPEST {
            return Err(Problem::TooDeep.at(at));
        }
        let kind = match first {
            Some(b'[') => Kind::List(self.items(b']', depth)?.0),
            Some(b'(') => match self.items(b')', depth)? {
                // Brackets around a value are no tuple.
                (mut items, false) if items.len() == 1 => items.remove(0).kind,
                (items, _) => Kind::Tuple(items),
            },
            Some(b'{') => Kind::Dictionary(self.dictionary(depth)?),
            Some(b'\'' | b'"') => Kind::Text(self.text(Flavour::Plain)?),
            Some(_) => self.word()?,
            None => return Err(Problem::Expected { expected: "a value" }.at(at)),
        };
        Ok(Value { at, kind })
    }

    /// What stands between brackets, and whether a comma ends it.
    fn items(&mut self, closer: u8, depth: usize) -> Result<(Vec<Value>, bool), Fault> {
        let opener = self.at;
        self.at += 1;
        let mut items = Vec::new();
        let mut has_comma = false;
        while !self.closes(opener, closer)? {
            items.push(self.value(depth + 1)?);
            has_comma = self.comma(opener, closer)?;
        }
        Ok((items, has_comma))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Vec<(Value, Value)>, Fault> {
        let opener = self.at;
        self.at += 1;
        let mut pairs = Vec::new();
        while !self.closes(opener, b'}')? {
            let key = self.value(depth + 1)?;
            if self.peek() != Some(b':') {
                return Err(Problem::Expected { expected: "':' and a value" }.at(self.at));
            }
            self.at += 1;
            pairs.push((key, self.value(depth + 1)?));
            self.comma(opener, b'}')?;
        }
        Ok(pairs)
    }

    /// Whether the bracket that was opened at `opener` ends here; passes its end.
    fn closes(&mut self, opener: usize, closer: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(byte) if byte == closer => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => Err(Problem::Unclosed(self.text[opener].into()).at(opener)),
        }
    }

    /// Passes a comma; whether there is one. Without it, the bracket has to end here.
    fn comma(&mut self, opener: usize, closer: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == closer => Ok(false),
            Some(byte @ (b']' | b')' | b'}')) => {
                Err(Problem::ClosesNothing(byte.into()).at(self.at))
            }
            Some(_) => Err(Problem::NoComma.at(self.at)),
            None => Err(Problem::Unclosed(self.text[opener].into()).at(opener)),
        }
    }

    /// A name that stands for a value, or the letter before a quote.
    fn word(&mut self) -> Result<Kind, Fault> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        let (word, next) = (&rest[..length], rest.get(length));
        let is_text = matches!(next, Some(b'\'' | b'"'));
        let kind = match word {
            b"True" | b"1" => Kind::Truth(true),
            b"False" | b"0" => Kind::Truth(false),
            b"None" => Kind::Nothing,
            b"u" | b"U" | b"b" | b"B" if is_text => {
                self.at += length;
                let is_unicode = word.eq_ignore_ascii_case(b"u");
                let flavour = if is_unicode { Flavour::Unicode } else { Flavour::Bytes };
                return self.text(flavour).map(Kind::Text);
            }
            _ => {
                let expected = "a text in quotes, a list, a dictionary, True or False";
                return Err(Problem::Expected { expected }.at(self.at));
            }
        };
        self.at += length;
        Ok(kind)
    }

    /// A text in quotes.
    fn text(&mut self, flavour: Flavour) -> Result<Vec<u8>, Fault> {
        let opener = self.at;
        let quote = self.text[opener];
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.text.get(self.at) {
                None | Some(b'\n') => return Err(Problem::UnclosedText.at(opener)),
                Some(byte) if *byte == quote => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => self.escape(flavour, &mut text)?,
                Some(byte) => {
                    text.push(*byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, flavour: Flavour, text: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.at;
        let letter = self.text.get(at + 1).copied().ok_or_else(|| Problem::Escape.at(at))?;
        self.at += 2;
        let byte = match letter {
            b'\n' => return Ok(()),
            b'\\' | b'\'' | b'"' => letter,
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'x' => return flavour.push(self.digits(at, 2, 16)?, at, text),
            b'0'..=b'7' => {
                let rest = &self.text[at + 1..];
                let is_digit = |byte: &&u8| (b'0'..=b'7').contains(*byte);
                let count = rest.iter().take(3).take_while(is_digit).count();
                self.at = at + 1;
                return flavour.push(self.digits(at, count, 8)?, at, text);
            }
            b'u' if flavour != Flavour::Bytes => {
                return push_character(self.digits(at, 4, 16)?, at, text);
            }
            b'U' if flavour != Flavour::Bytes => {
                return push_character(self.digits(at, 8, 16)?, at, text);
            }
            b'N' if flavour != Flavour::Bytes => return Err(Problem::Escape.at(at)),
            _ => {
                // As in Python, which leaves alone what it does not know.
                text.extend([b'\\', letter]);
                return Ok(());
            }
        };
        text.push(byte);
        Ok(())
    }

    /// The number that the next `count` digits are.
    fn digits(&mut self, at: usize, count: usize, radix: u32) -> Result<u32, Fault> {
        let digits =
            self.text.get(self.at..self.at + count).ok_or_else(|| Problem::Escape.at(at))?;
        self.at += count;
        digits.iter().try_fold(0_u32, |number, digit| {
            let digit = char::from(*digit).to_digit(radix);
            let digit = digit.ok_or_else(|| Problem::Escape.at(at))?;
            number
                .checked_mul(radix)
                .map(|number| number + digit)
                .ok_or_else(|| Problem::Escape.at(at))
        })
    }
}

/// Which kind of text a quote begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    /// `'…'`: Python 2's bytes, or Python 3's characters.
    Plain,
    /// `u'…'`
    Unicode,
    /// `b'…'`
    Bytes,
}

impl Flavour {
    /// Adds what `\xNN` stands for.
    fn push(self, number: u32, at: usize, text: &mut Vec<u8>) -> Result<(), Fault> {
        if self == Self::Unicode {
            return push_character(number, at, text);
        }
        text.push(u8::try_from(number).map_err(|_| Problem::Escape.at(at))?);
        Ok(())
    }
}

/// Adds a character, or the byte for which Python 3 has a lone surrogate.
fn push_character(number: u32, at: usize, text: &mut Vec<u8>) -> Result<(), Fault> {
    if let 0xdc80..=0xdcff = number {
        text.push((number - 0xdc00) as u8);
        return Ok(());
    }
    let character = char::from_u32(number).ok_or_else(|| Problem::Escape.at(at))?;
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

/// How many bytes are left of the line.
pub(super) fn to_line_end(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}
