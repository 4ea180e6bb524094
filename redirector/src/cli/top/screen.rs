//! A terminal's other screen, so that what was there before is there again afterwards.

use std::io::{self, Write};

use console::{Term, strip_ansi_codes, truncate_str};
use nix::sys::{
    signal::{Signal, raise},
    termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr},
};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The whole screen of the terminal; dropped, the terminal is as it was.
pub(super) struct Screen {
    before: Termios,
    colours: bool,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let colours = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let screen = Self { before, colours };
        screen.take()?;
        Ok(screen)
    }

    /// Keys come one by one and are not shown; Ctrl-C and Ctrl-Z are signals as before.
    fn take(&self) -> io::Result<()> {
        let mut raw = self.before.clone();
        raw.local_flags -= LocalFlags::ICANON | LocalFlags::ECHO;
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        write(ENTER)
    }

    fn leave(&self) -> io::Result<()> {
        write(LEAVE)?;
        Ok(tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before)?)
    }

    /// Stops this process with the terminal as it was, until it is continued.
    pub(super) fn stop(&self) -> io::Result<()> {
        self.leave()?;
        raise(Signal::SIGSTOP)?;
        self.take()
    }

    /// How many lines there is room for.
    pub(super) fn rows() -> usize {
        Term::stdout().size().0.into()
    }

    /// Shows as many of `lines` as there is room for.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        let (rows, columns) = Term::stdout().size();
        let fitting = lines.iter().take(rows.into()).map(|line| {
            let line = truncate_str(line, columns.into(), "…");
            if self.colours { line } else { strip_ansi_codes(&line).into_owned().into() }
        });
        let fitting: Vec<_> = fitting.collect();
        // Each line over the old one and the rest cleared: no flicker.
        write(&format!("\x1b[H{}\x1b[K\x1b[J", fitting.join("\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        drop(self.leave());
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
