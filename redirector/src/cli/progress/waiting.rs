//! A bar for `redirector wait`, on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::client::watcher::is_watched;

/// Shows how many of some jobs have ended; nothing where nobody looks.
pub(in crate::cli) struct Bar(ProgressBar);

impl Bar {
    /// For `jobs` jobs.
    pub(in crate::cli) fn new(jobs: u64) -> Self {
        let target =
            if is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(jobs), target);
        let style =
            ProgressStyle::with_template("{bar:24.cyan/dim} {pos}/{len} ended  {elapsed}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─"));
        bar.tick();
        Self(bar)
    }

    /// One more has ended.
    pub(in crate::cli) fn ended(&self, success: bool) {
        if !success {
            self.0.set_message("some failed");
        }
        self.0.inc(1);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
