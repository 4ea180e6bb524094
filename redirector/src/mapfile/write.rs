//! Writing mapfiles.

use std::fmt::Write as _;

use super::entry::{Content, Entry};
use crate::model::{NodeName, Text};

/// How a mapfile is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A list of Python's dictionaries, which can say everything.
    #[default]
    Dictionaries,
    /// LOFAR's parset, a line a host; it has no word for what is skipped.
    Parset,
}

/// A mapfile that cannot be written in this form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {number} (host {host}): a parset cannot say {what}; write it as a list of dictionaries"
)]
pub struct Unsayable {
    /// Which entry, from 1.
    pub number: usize,
    /// Its host.
    pub host: NodeName,
    /// What there is no word for.
    pub what: &'static str,
}

/// The entries as a mapfile. A parset has those of a host together, in the order in which the
/// hosts come first.
///
/// # Errors
/// [`Unsayable`], with [`Form::Parset`] only.
pub fn write(entries: &[Entry], form: Form) -> Result<Vec<u8>, Unsayable> {
    match form {
        Form::Dictionaries => Ok(dictionaries(entries)),
        Form::Parset => parset(entries),
    }
}

fn dictionaries(entries: &[Entry]) -> Vec<u8> {
    let lines: Vec<_> = entries.iter().map(dictionary).collect();
    format!("[{}]\n", lines.join(",\n ")).into_bytes()
}

fn dictionary(entry: &Entry) -> String {
    let host = literal(entry.host.0.as_bytes());
    let skip = truth(entry.skip);
    match &entry.content {
        Content::File(file) => {
            format!("{{'host': {host}, 'file': {}, 'skip': {skip}}}", literal(file.as_bytes()))
        }
        Content::Files(members) => {
            let files: Vec<_> =
                members.iter().map(|member| literal(member.file.as_bytes())).collect();
            let flags: Vec<_> = members.iter().map(|member| truth(member.skip)).collect();
            // LOFAR's reader evaluates the text as well.
            let files = literal(format!("[{}]", files.join(", ")).as_bytes());
            let flags = flags.join(", ");
            format!("{{'host': {host}, 'file': {files}, 'skip': {skip}, 'file_skip': [{flags}]}}")
        }
    }
}

const fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A text that every Python reads as these bytes; `b'…'` if they are not UTF-8.
fn literal(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes);
    let mut written = String::from(if text.is_ok() { "'" } else { "b'" });
    match text {
        Ok(text) => text.chars().for_each(|character| push(&mut written, character)),
        Err(_) => {
            for byte in bytes {
                match byte {
                    0x80.. => write!(written, "\\x{byte:02x}").expect("a string can be written to"),
                    byte => push(&mut written, char::from(*byte)),
                }
            }
        }
    }
    written.push('\'');
    written
}

fn push(written: &mut String, character: char) {
    match character {
        '\'' | '\\' => written.extend(['\\', character]),
        '\n' => written.push_str("\\n"),
        '\r' => written.push_str("\\r"),
        '\t' => written.push_str("\\t"),
        character if character.is_ascii_control() => {
            write!(written, "\\x{:02x}", character as u32).expect("a string can be written to");
        }
        character => written.push(character),
    }
}

fn parset(entries: &[Entry]) -> Result<Vec<u8>, Unsayable> {
    let mut hosts: Vec<(&NodeName, Vec<Vec<u8>>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let name = sayable(entry).map_err(|what| Unsayable {
            number: position + 1,
            host: entry.host.clone(),
            what,
        })?;
        let place = *index.entry(&entry.host).or_insert_with(|| {
            hosts.push((&entry.host, Vec::new()));
            hosts.len() - 1
        });
        hosts[place].1.push(name);
    }
    let mut text = Vec::new();
    for (host, names) in hosts {
        text.extend_from_slice(host.0.as_bytes());
        text.extend_from_slice(b"=[ ");
        text.extend_from_slice(&names.join(&b", "[..]));
        text.extend_from_slice(b" ]\n");
    }
    Ok(text)
}

/// The name of the entry's file, in quotes where needed.
fn sayable(entry: &Entry) -> Result<Vec<u8>, &'static str> {
    let file = match &entry.content {
        Content::File(_) if entry.skip => return Err("that an entry is skipped"),
        Content::File(file) => file,
        Content::Files(_) => return Err("that an entry has several files"),
    };
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if !entry.host.0.chars().all(is_plain) {
        return Err("a host with such a name");
    }
    in_quotes(file)
}

fn in_quotes(file: &Text) -> Result<Vec<u8>, &'static str> {
    let name = file.as_bytes();
    let is_plain = |byte: &u8| !byte.is_ascii_whitespace() && !b"'\"#,()[]{}=\\".contains(byte);
    if !name.is_empty() && name.iter().all(is_plain) {
        return Ok(name.to_vec());
    }
    if name.contains(&b'\n') {
        return Err("a file name with a line end");
    }
    let quote = [b'\'', b'"'].into_iter().find(|quote| !name.contains(quote));
    let quote = quote.ok_or("a file name with both kinds of quotes")?;
    Ok([&[quote], name, &[quote]].concat())
}
