//! Has a process beside the client show how far its run is.
//!
//! A process and not a thread: the client stands in the pipeline's place, with signals blocked and
//! its memory shared with the children it makes, and must not wait for a terminal that somebody has
//! paused. The other process shares nothing with it but a pipe, and gives the terminal back as it
//! was even when the client is killed with `kill -9`:
//!
//! ```text
//!   client ── starts, once the run has its number ──► redirector progress RUN ──► terminal
//!      │                                                   ▲
//!      └── pipe: "ended", then closed; or closed by death ─┘
//! ```

use std::{
    env,
    fs::File,
    io::{self, IsTerminal, Write},
    process::{Child, Command, Stdio},
};

use nix::{fcntl::OFlag, unistd::pipe2};

use crate::{agent, model::JobId, program};

/// What the process that shows a run reads when the run has ended and is journalled.
pub const ENDED: &str = "ended\n";

/// Rows that a terminal has at least to be drawn on.
const LEAST_ROWS: u16 = 5;

/// What a person is to see of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How far it is, while it runs.
    pub progress: bool,
    /// What became of it.
    pub report: bool,
}

/// Whether a person looks at standard error, on a terminal that can be drawn on.
pub fn is_watched() -> bool {
    let is_dumb = env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
    let rows = || console::Term::stderr().size_checked().map_or(0, |(rows, _)| rows);
    io::stderr().is_terminal() && !is_dumb && rows() >= LEAST_ROWS
}

/// Shows one run, or nothing.
#[derive(Debug, Default)]
pub struct Watcher {
    shown: Shown,
    process: Option<(Child, File)>,
}

impl Watcher {
    /// Will show this much.
    pub fn new(shown: Shown) -> Self {
        Self { shown, process: None }
    }

    /// Starts to show `run`.
    pub fn start(&mut self, run: JobId) {
        if self.process.is_none() && self.shown != Shown::default() {
            // Without it, the run goes on as well.
            self.process = self.spawn(run).ok();
        }
    }

    fn spawn(&self, run: JobId) -> io::Result<(Child, File)> {
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC)?;
        let (ours, theirs) = (agent::above_standard(ours)?, agent::above_standard(theirs)?);
        let mut command = Command::new(program::path()?);
        command.arg("progress").arg(run.to_string());
        if self.shown.progress {
            command.arg("--live");
        }
        if self.shown.report {
            command.arg("--report");
        }
        let child = command.stdin(theirs).stdout(Stdio::null()).spawn()?;
        Ok((child, File::from(ours)))
    }

    /// Has the run's report shown, if it is to be, and the terminal given back.
    pub fn end(&mut self) {
        let Some((mut child, mut pipe)) = self.process.take() else { return };
        // If it is gone, there is nobody to tell and nothing to wait for.
        drop(pipe.write_all(ENDED.as_bytes()));
        drop(pipe);
        drop(child.wait());
    }
}
