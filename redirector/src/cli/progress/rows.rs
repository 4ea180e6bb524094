//! The rows that show how far a run is, laid out by `indicatif`.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use console::{measure_text_width, pad_str, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::{eta, screen::Size};
use crate::{
    config::format_duration,
    protocol::{Progress, RuleProgress},
};

/// Rows of rules at most; a larger block would take the terminal from the pipeline.
const MOST_RULES: usize = 6;

/// Columns of a name at most.
const NAME: usize = 24;

/// What is to be drawn: a row for all jobs and, if there are several rules, one for each of those
/// that are least far. Nothing before the first job.
pub(super) fn rows(progress: &Progress, elapsed: Duration, size: Size) -> Vec<String> {
    let total = sum(&progress.rules);
    if jobs(&total) == 0 {
        return Vec::new();
    }
    let room = usize::from(size.rows / 3).saturating_sub(1).min(MOST_RULES);
    let mut shown: Vec<&RuleProgress> = progress.rules.iter().collect();
    if shown.len() < 2 {
        shown.clear();
    }
    let hidden = shown.len().saturating_sub(room);
    // Those that run or wait, then those that ended; else in the order in which they came.
    shown.sort_by_key(|rule| (rule.running == 0, rule.queued == 0));
    shown.truncate(room);
    shown.sort_by_key(|rule| progress.rules.iter().position(|other| other.name == rule.name));

    let mut told = vec![counts(&total), format_duration(rounded(elapsed))];
    if let Some(remaining) = eta::remaining(progress) {
        told.push(format!("about {} left", format_duration(rounded(remaining))));
    }
    if hidden > 0 {
        told.push(format!("{hidden} more rules"));
    }
    let names = shown.iter().map(|rule| measure_text_width(&rule.name) + 2);
    let width = names.chain([measure_text_width("jobs")]).max().unwrap_or(0).min(NAME);
    let mut rows = vec![row("jobs", width, &total, &told.join("  "), size)];
    for rule in shown {
        let name = format!("  {}", rule.name.replace(char::is_control, " "));
        rows.push(row(&name, width, rule, &counts(rule), size));
    }
    rows
}

fn sum(rules: &[RuleProgress]) -> RuleProgress {
    rules.iter().fold(RuleProgress::default(), |sum, rule| RuleProgress {
        queued: sum.queued + rule.queued,
        running: sum.running + rule.running,
        succeeded: sum.succeeded + rule.succeeded,
        failed: sum.failed + rule.failed,
        ..sum
    })
}

fn jobs(rule: &RuleProgress) -> u64 {
    rule.queued + rule.running + rule.succeeded + rule.failed
}

/// `6 running  40 queued  2 failed`
fn counts(rule: &RuleProgress) -> String {
    let counts = [(rule.running, "running"), (rule.queued, "queued"), (rule.failed, "failed")];
    let told = counts.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join("  ")
}

/// Whole seconds: a clock that is drawn each second has no tenths.
fn rounded(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

fn row(name: &str, width: usize, rule: &RuleProgress, told: &str, size: Size) -> String {
    let template = if rule.failed > 0 {
        "{prefix} {bar:24.red/dim} {pos:>5}/{len:<5} {msg}"
    } else {
        "{prefix} {bar:24.cyan/dim} {pos:>5}/{len:<5} {msg}"
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─");
    let drawn = Drawn { columns: size.columns, ..Drawn::default() };
    // Hidden until all is set, so that it is drawn once.
    let bar = ProgressBar::with_draw_target(Some(jobs(rule)), ProgressDrawTarget::hidden());
    bar.set_style(style);
    let name = truncate_str(name, width, "…");
    bar.set_prefix(pad_str(&name, width, console::Alignment::Left, None).into_owned());
    bar.set_message(told.to_owned());
    bar.set_position(rule.succeeded + rule.failed);
    bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(drawn.clone())));
    bar.tick();
    truncate_str(drawn.text().trim_end(), size.columns.into(), "…").into_owned()
}

/// A terminal of one row that keeps what is written to it.
#[derive(Clone, Debug, Default)]
struct Drawn {
    columns: u16,
    text: Arc<Mutex<String>>,
}

impl Drawn {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TermLike for Drawn {
    fn width(&self) -> u16 {
        // What is too long is cut by us: indicatif would draw no bar at all.
        self.columns.max(1_000)
    }

    fn move_cursor_up(&self, _rows: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _rows: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { rows: 24, columns: 80 };

    fn rule(name: &str, queued: u64, running: u64, succeeded: u64, failed: u64) -> RuleProgress {
        RuleProgress {
            name: name.to_owned(),
            queued,
            running,
            succeeded,
            failed,
            ..RuleProgress::default()
        }
    }

    fn plain(rules: Vec<RuleProgress>, size: Size) -> Vec<String> {
        let progress = Progress { rules, ..Progress::default() };
        let rows = rows(&progress, Duration::from_secs(75), size);
        rows.iter().map(|row| console::strip_ansi_codes(row).into_owned()).collect()
    }

    #[test]
    fn a_run_of_one_rule_is_one_row() {
        assert!(plain(vec![], SIZE).is_empty());
        let rows = plain(vec![rule("map", 3, 2, 5, 0)], SIZE);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(rows[0].starts_with("jobs ━━━━━━━━━━━━"), "{rows:?}");
        assert!(
            rows[0].contains("5/10") && rows[0].ends_with("2 running  3 queued  1m15s"),
            "{rows:?}"
        );
    }

    #[test]
    fn rules_have_rows_of_their_own() {
        let rows = plain(vec![rule("map", 0, 1, 1, 0), rule("sort\n", 1, 0, 0, 2)], SIZE);
        assert_eq!(rows.len(), 3);
        assert!(rows[0].contains("3/5") && rows[0].contains("2 failed"), "{rows:?}");
        assert!(rows[1].starts_with("  map ") && rows[1].ends_with("1 running"), "{rows:?}");
        assert!(
            rows[2].starts_with("  sort ") && rows[2].ends_with("1 queued  2 failed"),
            "{rows:?}"
        );
    }

    #[test]
    fn what_is_done_makes_room_for_what_runs() {
        let mut rules: Vec<_> =
            (0..20).map(|number| rule(&format!("done{number}"), 0, 0, 1, 0)).collect();
        rules.push(rule("last", 0, 1, 0, 0));
        let rows = plain(rules, SIZE);
        assert_eq!(rows.len(), 1 + MOST_RULES);
        assert!(rows[0].ends_with("15 more rules"), "{rows:?}");
        assert!(rows[MOST_RULES].starts_with("  last"), "{rows:?}");
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for columns in [1, 10, 40, 79] {
            let rules = vec![rule(&"name".repeat(30), 100_000, 2, 1, 3), rule("b", 1, 1, 1, 1)];
            for row in plain(rules, Size { rows: 24, columns }) {
                assert!(measure_text_width(&row) <= columns.into(), "{columns}: {row}");
            }
        }
    }
}
