//! The terminal that the pipeline and this process share.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use console::Term;
use nix::{
    sys::termios::{LocalFlags, tcgetattr},
    unistd::{getpgrp, tcgetpgrp},
};

use super::region;

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// Rows that are left to the pipeline at least.
const LEAST_FOR_PIPELINE: u16 = 4;

/// Draws on the last rows of the terminal behind standard error, when nobody minds.
pub(super) struct Screen {
    reserved: Option<Reserved>,
    rests_until: Instant,
}

#[derive(Clone, Copy)]
struct Reserved {
    size: Size,
    rows: u16,
}

impl Screen {
    pub(super) fn new() -> Self {
        // What console finds out by itself is about standard output, which is not drawn on.
        console::set_colors_enabled(std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()));
        Self { reserved: None, rests_until: Instant::now() }
    }

    /// Gives the terminal back, and leaves it alone for this long.
    pub(super) fn rest_for(&mut self, time: Duration) {
        self.rests_until = Instant::now() + time;
    }

    /// Draws what `lines` are for a terminal of this size; none: nothing.
    pub(super) fn draw(&mut self, lines: impl FnOnce(Size) -> Vec<String>) {
        let size = size().filter(|_| self.may_draw());
        let lines = size.map(lines).unwrap_or_default();
        let rows = lines.len() as u16;
        let Some(size) = size.filter(|size| rows > 0 && size.rows >= rows + LEAST_FOR_PIPELINE)
        else {
            return self.give_back();
        };
        let fits = |reserved: &Reserved| reserved.size == size && reserved.rows == rows;
        let mut text = String::new();
        if !self.reserved.as_ref().is_some_and(fits) {
            self.give_back();
            text = region::reserve(size, rows);
            self.reserved = Some(Reserved { size, rows });
        }
        write(&(text + &region::draw(size, &lines)));
    }

    /// Leaves the terminal as it was found.
    pub(super) fn give_back(&mut self) {
        if let Some(Reserved { size: then, rows }) = self.reserved.take() {
            write(&region::give_back(then, size().unwrap_or(then), rows));
        }
    }

    /// Whether this process group has the terminal, and nobody reads it key by key.
    fn may_draw(&self) -> bool {
        let terminal = io::stderr();
        Instant::now() >= self.rests_until
            && tcgetpgrp(&terminal).is_ok_and(|group| group == getpgrp())
            && tcgetattr(&terminal).is_ok_and(|set| set.local_flags.contains(LocalFlags::ICANON))
    }
}

fn size() -> Option<Size> {
    Term::stderr().size_checked().map(|(rows, columns)| Size { rows, columns })
}

/// In one piece, so that nothing of the pipeline's gets in between.
fn write(text: &str) {
    // A terminal that is gone needs nothing.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
