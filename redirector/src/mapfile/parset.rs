//! Forms A and B: LOFAR's parameter sets, one host a key.
//!
//! The grammar is that of LOFAR's own reader (quotes without escapes; `#` ends a line; lines are
//! joined with one blank; commas count outside of quotes and brackets), but for what that one gets
//! wrong: several entries may share a line, a vector may go over lines wherever it likes, and
//! between its brackets `=` is a character like any other.

use super::{
    entry::Entry,
    error::{Fault, Problem},
    literal::to_line_end,
    records,
};

/// The entries of a parset, in the order in which they stand there.
pub(super) fn entries(text: &[u8]) -> Result<Vec<Entry>, Fault> {
    let mut reader = Reader { text, at: 0 };
    let mut entries = Vec::new();
    while reader.skip_blank().is_some() {
        let at = reader.at;
        let host = records::host(reader.key()?, at)?;
        for (name, at) in reader.value()? {
            entries.push(Entry::new(host.clone(), records::file(name, at)?));
        }
    }
    Ok(entries)
}

/// A name and where it begins.
type Name = (Vec<u8>, usize);

struct Reader<'text> {
    text: &'text [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes blanks, line ends and comments; what comes then.
    fn skip_blank(&mut self) -> Option<u8> {
        loop {
            match self.peek()? {
                b'#' => self.at += to_line_end(&self.text[self.at..]),
                byte if byte.is_ascii_whitespace() => self.at += 1,
                // Goes on in the next line, which it does anyhow.
                b'\\' if self.ends_line(self.at + 1) => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    /// Whether nothing but blanks comes before the end of the line.
    fn ends_line(&self, at: usize) -> bool {
        let rest = &self.text[at..];
        rest[..to_line_end(rest)].trim_ascii().is_empty()
    }

    /// What stands before `=`, which is passed.
    fn key(&mut self) -> Result<Vec<u8>, Fault> {
        let start = self.at;
        let rest = &self.text[start..];
        let end = rest.iter().position(|byte| b"=\n#[],".contains(byte));
        let Some(length) = end.filter(|end| rest[*end] == b'=') else {
            return Err(Problem::NotAnEntry.at(start));
        };
        self.at = start + length + 1;
        let key = rest[..length].trim_ascii();
        Ok(unquoted(key).unwrap_or(key).to_vec())
    }

    /// What stands behind `=`.
    fn value(&mut self) -> Result<Vec<Name>, Fault> {
        let line_end = self.at + to_line_end(&self.text[self.at..]);
        match self.skip_blank() {
            None => Ok(Vec::new()),
            Some(b'[') => self.vector(),
            // The next entry: this one is empty.
            Some(_) if self.at > line_end && self.has_equals() => Ok(Vec::new()),
            Some(_) => self.bare().map(|name| vec![name]),
        }
    }

    fn vector(&mut self) -> Result<Vec<Name>, Fault> {
        let opener = self.at;
        self.at += 1;
        let mut names = Vec::new();
        loop {
            if self.skip_blank() == Some(b']') {
                self.at += 1;
                return Ok(names);
            }
            names.push(self.element(opener)?);
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
    }

    /// One name of the vector that was opened at `opener`, up to its comma or the vector's end.
    fn element(&mut self, opener: usize) -> Result<Name, Fault> {
        let start = self.at;
        let mut name = Vec::new();
        let mut brackets: Vec<(u8, usize)> = Vec::new();
        loop {
            let unclosed = brackets.last().map_or(opener, |(_, at)| *at);
            let Some(byte) = self.peek() else {
                return Err(Problem::Unclosed(self.text[unclosed].into()).at(unclosed));
            };
            match byte {
                b',' | b']' if brackets.is_empty() => break,
                b'\'' | b'"' => {
                    let is_whole = name.is_empty();
                    name.extend_from_slice(self.quoted()?);
                    if is_whole {
                        return self.after_quoted(&name, start);
                    }
                    continue;
                }
                b'#' => {
                    self.at += to_line_end(&self.text[self.at..]);
                    continue;
                }
                b'\n' => {
                    self.join_lines(&mut name);
                    continue;
                }
                b'[' | b'(' | b'{' => brackets.push((closer_of(byte), self.at)),
                b']' | b')' | b'}' => {
                    let open = brackets.pop().filter(|(closer, _)| *closer == byte);
                    open.ok_or_else(|| Problem::ClosesNothing(byte.into()).at(self.at))?;
                }
                _ => {}
            }
            name.push(byte);
            self.at += 1;
        }
        let name = name.trim_ascii().to_vec();
        if name.is_empty() {
            return Err(Problem::NoName.at(self.at));
        }
        Ok((name, start))
    }

    /// A name that is in quotes as a whole; nothing else may stand beside it.
    fn after_quoted(&mut self, name: &[u8], start: usize) -> Result<Name, Fault> {
        match self.skip_blank() {
            Some(b',' | b']') | None => {}
            Some(_) => return Err(Problem::NoComma.at(self.at)),
        }
        Ok((unquoted(name).unwrap_or(name).to_vec(), start))
    }

    /// Passes a part in quotes, which count as characters of it.
    fn quoted(&mut self) -> Result<&[u8], Fault> {
        let start = self.at;
        let rest = &self.text[start..];
        let line = &rest[..to_line_end(rest)];
        let end = line.iter().skip(1).position(|byte| *byte == line[0]);
        let length = end.ok_or_else(|| Problem::UnclosedText.at(start))? + 2;
        self.at += length;
        Ok(&rest[..length])
    }

    /// Passes the end of a line in a name: one blank stands for it and all around it, and nothing
    /// before a quote.
    fn join_lines(&mut self, name: &mut Vec<u8>) {
        let kept = name.trim_ascii_end();
        let kept = kept.strip_suffix(b"\\").unwrap_or(kept).trim_ascii_end().len();
        name.truncate(kept);
        if !matches!(self.skip_blank(), Some(b'\'' | b'"')) {
            name.push(b' ');
        }
    }

    /// A value without brackets: the rest of the line, and lines that are no entries.
    fn bare(&mut self) -> Result<Name, Fault> {
        let start = self.at;
        let mut name = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'=' => return Err(Problem::BareEquals.at(self.at)),
                b'\'' | b'"' => name.extend_from_slice(self.quoted()?),
                b'#' => self.at += to_line_end(&self.text[self.at..]),
                b'\n' => {
                    self.join_lines(&mut name);
                    if self.peek().is_none() || self.has_equals() {
                        break;
                    }
                }
                byte => {
                    name.push(byte);
                    self.at += 1;
                }
            }
        }
        let name = name.trim_ascii();
        Ok((unquoted(name).unwrap_or(name).to_vec(), start))
    }

    /// Whether the rest of the line has an `=` outside of quotes.
    fn has_equals(&self) -> bool {
        let rest = &self.text[self.at..];
        let mut open = None;
        for byte in &rest[..to_line_end(rest)] {
            match (open, byte) {
                (None, b'=') => return true,
                (None, b'#') => return false,
                (None, b'\'' | b'"') => open = Some(*byte),
                (Some(quote), byte) if quote == *byte => open = None,
                _ => {}
            }
        }
        false
    }
}

const fn closer_of(opener: u8) -> u8 {
    match opener {
        b'[' => b']',
        b'(' => b')',
        _ => b'}',
    }
}

/// What is between quotes, if `name` is one part in quotes.
fn unquoted(name: &[u8]) -> Option<&[u8]> {
    let [quote @ (b'\'' | b'"'), inner @ .., last] = name else { return None };
    (quote == last && !inner.contains(quote)).then_some(inner)
}
