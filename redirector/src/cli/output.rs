//! What goes to standard output: JSON for scripts, colours for terminals.

use std::io::Write;

use serde::Serialize;

use crate::{
    config::format_duration,
    model::{Job, Outcome, State, Timestamp},
};

/// Prints `value` as JSON.
pub(super) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut output, value)?;
    writeln!(output)?;
    Ok(())
}

/// Prints `text`; colours are left out where standard output is not a terminal.
pub(super) fn text(text: &str) -> anyhow::Result<()> {
    anstream::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const STRONG: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Text in a listing, and the colour it has on a terminal.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub text: String,
    colour: &'static str,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: "" }
    }

    pub(super) fn faint(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: FAINT }
    }

    pub(super) fn strong(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: STRONG }
    }

    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: GREEN }
    }

    pub(super) fn doubtful(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: YELLOW }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: RED }
    }

    /// A job's state, or its outcome once it has one.
    pub(super) fn state(state: State, outcome: Option<&Outcome>) -> Self {
        let (text, colour) = match outcome {
            Some(outcome) if outcome.is_success() => (outcome.to_string(), GREEN),
            Some(outcome) => (outcome.to_string(), RED),
            None if state == State::Running => (state.word().to_owned(), YELLOW),
            None => (state.word().to_owned(), FAINT),
        };
        Self { text, colour }
    }

    /// The text in its colour.
    pub(super) fn painted(&self) -> String {
        match self.colour {
            "" => self.text.clone(),
            colour => format!("{colour}{}{PLAIN}", self.text),
        }
    }
}

/// How long the job ran, or has run so far.
pub(super) fn wall(job: &Job) -> String {
    let Some(started) = job.started else { return "-".to_owned() };
    format_duration(job.ended.unwrap_or_else(Timestamp::now).since(started))
}

/// `text` in one line that moves no cursor, cut to `most` characters.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let one_line = text.replace(char::is_control, " ");
    if one_line.chars().count() <= most {
        return one_line;
    }
    one_line.chars().take(most - 1).chain(['…']).collect()
}
