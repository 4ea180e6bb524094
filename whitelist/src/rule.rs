//! One line of a whitelist.

use crate::MAX_LINE;
use crate::attributes::{Attributes, BARE_NESTED, is_attribute};
use crate::command::{Arguments, Command};
use crate::error::{Error, ErrorKind, Fault};
use crate::glob::{self, Reach};
use crate::request::Request;
use crate::text::{Character, Characters, Tokens, prefix, skip_blanks, take_token};

/// A rule without mistakes.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'t> {
    redirects: bool,
    pattern: &'t [u8],
    attributes: Attributes<'t>,
}

/// What one line says about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the line is about something else, or has a mistake.
    NoMatch,
    /// It becomes a job.
    Redirect,
    /// A `!` rule: it runs here.
    RunHere,
}

/// What `line`, without its line end, says about `command`.
///
/// Lines about another program, which nearly all are, are told apart by their first byte or their
/// program, and those about another subcommand by their first argument. Only what is left is read
/// in full. A line with a mistake says nothing.
pub fn verdict<A: Arguments + ?Sized>(line: &[u8], command: &Command<'_, A>) -> Verdict {
    if !may_match(line, command) {
        return Verdict::NoMatch;
    }
    match Parts::split(line) {
        Ok(Some(parts))
            if pattern_matches(parts.pattern, command) && parts.attributes().is_ok() =>
        {
            if parts.redirects { Verdict::Redirect } else { Verdict::RunHere }
        }
        _ => Verdict::NoMatch,
    }
}

fn may_match<A: Arguments + ?Sized>(line: &[u8], command: &Command<'_, A>) -> bool {
    let (_, mut rest) = take_exclamation_mark(skip_blanks(line));
    let Some(&first) = rest.first() else { return false };
    let is_plain = !matches!(first, b'*' | b'?' | b'[' | b'\\' | b'\'' | b'"');
    if is_plain
        && command.path.first() != Some(&first)
        && command.file_name().first() != Some(&first)
    {
        return false;
    }
    match take_token(&mut rest) {
        Ok(Some(program)) if program_matches(program, command) => {}
        _ => return false,
    }
    match take_token(&mut rest) {
        Ok(Some(next)) if !is_attribute(next) && next != BARE_NESTED && !skips_arguments(next) => {
            let argument = command.arguments.get(1);
            argument.is_some_and(|argument| glob::matches(next, argument, Reach::Anything))
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

/// Whether `line` starts with `!`, and the line without it.
fn take_exclamation_mark(line: &[u8]) -> (bool, &[u8]) {
    match line {
        [b'!', rest @ ..] => (true, skip_blanks(rest)),
        _ => (false, line),
    }
}

fn program_matches<A: Arguments + ?Sized>(program: &[u8], command: &Command<'_, A>) -> bool {
    if program.contains(&b'/') {
        glob::matches(program, command.path, Reach::Segment)
    } else {
        glob::matches(program, command.file_name(), Reach::Anything)
    }
}

/// Whether the pattern `token` stands for any number of arguments.
fn skips_arguments(token: &[u8]) -> bool {
    token == b"..." || token == "…".as_bytes()
}

/// Whether each of `patterns` describes an argument, in order, from `argv[1]` on.
///
/// As in [`glob::matches`], remembering the last skip is enough.
fn arguments_match<A: Arguments + ?Sized>(mut patterns: Tokens<'_>, arguments: &A) -> bool {
    let mut index = 1;
    let mut last_skip: Option<(Tokens<'_>, usize)> = None;
    loop {
        let mut ahead = patterns.clone();
        let Some(pattern) = ahead.next() else { return true };
        if skips_arguments(pattern) {
            patterns = ahead.clone();
            last_skip = Some((ahead, index));
            continue;
        }
        // Skipping more arguments would not leave more of them to match.
        let Some(argument) = arguments.get(index) else { return false };
        if glob::matches(pattern, argument, Reach::Anything) {
            patterns = ahead;
            index += 1;
            continue;
        }
        let Some((after_skip, from)) = &mut last_skip else { return false };
        *from += 1;
        index = *from;
        patterns = after_skip.clone();
    }
}

/// A line whose pattern is sound and whose attributes nobody has looked at yet.
#[derive(Clone, Copy, Debug)]
struct Parts<'t> {
    redirects: bool,
    pattern: &'t [u8],
    attributes: &'t [u8],
}

impl<'t> Parts<'t> {
    fn split(line: &'t [u8]) -> Result<Option<Self>, Fault<'t>> {
        let start = skip_blanks(line);
        if matches!(start.first(), None | Some(b'#')) {
            return Ok(None);
        }
        if let Some(at) = line.get(MAX_LINE..).filter(|rest| !rest.is_empty()) {
            return Err(Fault { at, kind: ErrorKind::LineTooLong });
        }
        let (runs_here, start) = take_exclamation_mark(start);
        let (pattern, attributes) = split_pattern(start)?;
        Ok(Some(Self { redirects: !runs_here, pattern, attributes }))
    }

    fn attributes(&self) -> Result<Attributes<'t>, Fault<'t>> {
        if !self.redirects
            && let Some(at) = Tokens(self.attributes).next()
        {
            return Err(Fault { at, kind: ErrorKind::AttributesOfRunHere });
        }
        Attributes::parse(self.attributes)
    }
}

fn pattern_matches<A: Arguments + ?Sized>(pattern: &[u8], command: &Command<'_, A>) -> bool {
    let mut patterns = Tokens(pattern);
    patterns.next().is_some_and(|program| program_matches(program, command))
        && arguments_match(patterns, command.arguments)
}

impl<'t> Rule<'t> {
    /// Reads a line, without its line end. `Ok(None)` if it is blank or only a comment.
    ///
    /// # Errors
    ///
    /// The first mistake in the line, and where it is.
    pub fn parse(line: &'t [u8]) -> Result<Option<Self>, Error> {
        Self::read(line).map_err(|fault| fault.in_line(line))
    }

    fn read(line: &'t [u8]) -> Result<Option<Self>, Fault<'t>> {
        let Some(parts) = Parts::split(line)? else { return Ok(None) };
        let attributes = parts.attributes()?;
        Ok(Some(Self { redirects: parts.redirects, pattern: parts.pattern, attributes }))
    }

    /// Whether the rule is about `command`.
    pub fn matches<A: Arguments + ?Sized>(&self, command: &Command<'_, A>) -> bool {
        pattern_matches(self.pattern, command)
    }

    /// Whether the commands that it is about become jobs; a `!` rule has them run here.
    pub const fn redirects(&self) -> bool {
        self.redirects
    }

    /// The pattern: program and arguments as they are in the file, without `!` and attributes.
    pub const fn text(&self) -> &'t [u8] {
        self.pattern
    }

    /// The bytes of the program's name or path; `None` where the pattern has wildcards.
    pub fn only_program(&self) -> Option<impl Iterator<Item = u8> + use<'t>> {
        let mut rest = self.pattern;
        let characters = Characters::new(take_token(&mut rest).ok()??);
        let is_wildcard =
            |it: Character| [b'*', b'?', b'['].iter().any(|&byte| it.is_special(byte));
        let is_only = !characters.clone().any(is_wildcard);
        is_only.then(|| characters.map(|character| character.byte))
    }

    /// What the rule asks for on behalf of `command`.
    pub fn request<A: Arguments + ?Sized>(&self, command: &Command<'_, A>) -> Request<'t> {
        Request::new(&self.attributes, command.arguments)
    }
}

/// Splits a rule, without `!`, into its pattern and its attributes.
///
/// The attributes start at the first token `KEY=…`, or at a bare `nested` that only attributes
/// follow.
fn split_pattern(start: &[u8]) -> Result<(&[u8], &[u8]), Fault<'_>> {
    let mut rest = start;
    let program = match take_token(&mut rest)? {
        Some(program) if !is_attribute(program) && !is_empty(program) => program,
        _ => return Err(Fault { at: start, kind: ErrorKind::ProgramMissing }),
    };
    if program.starts_with(b"~/") {
        return Err(Fault { at: program, kind: ErrorKind::HomeNotExpanded });
    }
    glob::check(program)?;
    let mut after_pattern = rest;
    while let Some(token) = take_token(&mut rest)? {
        if is_attribute(token) {
            break;
        }
        // Words `nested` belong to the attributes until an argument comes after them.
        if token != BARE_NESTED {
            glob::check(token)?;
            after_pattern = rest;
        }
    }
    let pattern = prefix(start, start.len().saturating_sub(after_pattern.len()));
    Ok((pattern, after_pattern))
}

/// Whether a program pattern has no characters: `''`.
fn is_empty(token: &[u8]) -> bool {
    Characters::new(token).next().is_none()
}
