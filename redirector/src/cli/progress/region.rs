//! What a terminal is told so that its last rows stay put while the others scroll.
//!
//! Each text is complete by itself and leaves the cursor where the pipeline has it: it saves the
//! cursor (DECSC), sets the margins (DECSTBM), which moves it, and restores it (DECRC).

use std::fmt::Write;

use super::screen::Size;

const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
const ALL_ROWS: &str = "\x1b[r";

/// Keeps `rows` rows at the bottom out of what scrolls; what stands there moves up.
pub(super) fn reserve(size: Size, rows: u16) -> String {
    let mut text = String::new();
    for _ in 0..rows {
        // One row down in the same column, which scrolls at the bottom (IND).
        text += "\x1bD";
    }
    text + &format!("\x1b[{rows}A{SAVE}{}{RESTORE}", margins(size, rows))
}

/// Draws `lines` on the last rows. The margins are set once more, because programs reset them.
pub(super) fn draw(size: Size, lines: &[String]) -> String {
    let rows = lines.len() as u16;
    let mut text = format!("{SAVE}{}", margins(size, rows));
    for (line, row) in lines.iter().zip(size.rows - rows + 1..) {
        // A String takes everything.
        let _never_fails = write!(text, "\x1b[{row};1H\x1b[0m\x1b[2K{line}\x1b[0m");
    }
    text + RESTORE
}

/// Gives back the `rows` rows that were reserved when the terminal had the size `then`.
pub(super) fn give_back(then: Size, now: Size, rows: u16) -> String {
    let mut text = format!("{SAVE}{ALL_ROWS}");
    for row in (then.rows.saturating_sub(rows) + 1..=then.rows).filter(|row| *row <= now.rows) {
        let _never_fails = write!(text, "\x1b[{row};1H\x1b[2K");
    }
    text + RESTORE
}

fn margins(size: Size, rows: u16) -> String {
    format!("\x1b[1;{}r", size.rows - rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { rows: 24, columns: 80 };

    #[test]
    fn the_last_rows_are_reserved_drawn_on_and_given_back() {
        assert_eq!(reserve(SIZE, 2), "\x1bD\x1bD\x1b[2A\x1b7\x1b[1;22r\x1b8");
        let drawn = draw(SIZE, &["a".to_owned(), "b".to_owned()]);
        assert!(drawn.starts_with("\x1b7\x1b[1;22r") && drawn.ends_with("\x1b8"), "{drawn:?}");
        assert!(drawn.contains("\x1b[23;1H\x1b[0m\x1b[2Ka") && drawn.contains("\x1b[24;1H"));
        assert_eq!(give_back(SIZE, SIZE, 1), "\x1b7\x1b[r\x1b[24;1H\x1b[2K\x1b8");
    }

    #[test]
    fn rows_that_a_smaller_terminal_lacks_are_not_cleared() {
        let smaller = Size { rows: 23, columns: 80 };
        assert_eq!(give_back(SIZE, smaller, 2), "\x1b7\x1b[r\x1b[23;1H\x1b[2K\x1b8");
    }
}
