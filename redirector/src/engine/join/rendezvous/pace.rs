//! How often a side looks: often while something happens, seldom when nothing does.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// Between two looks while something happens.
const SHORTEST: Duration = Duration::from_millis(5);

/// Between two looks when nothing has happened for long.
const LONGEST: Duration = Duration::from_millis(500);

/// What is waited for comes later than it could by this part of the time for which it was waited.
const SHARE: u32 = 4;

/// The pace of both directions of a call, for what one says the other answers.
#[derive(Debug)]
pub(super) struct Pace(watch::Sender<Instant>);

impl Pace {
    pub(super) fn begin() -> Self {
        Self(watch::Sender::new(Instant::now()))
    }

    /// Something has happened.
    pub(super) fn quicken(&self) {
        self.0.send_replace(Instant::now());
    }

    /// Waits until it is time for another look.
    pub(super) async fn rest(&self) {
        let mut latest = self.0.subscribe();
        let quiet = latest.borrow_and_update().elapsed();
        tokio::select! {
            () = sleep(interval(quiet)) => {}
            // Fails only without a sender, which is here.
            _ = latest.changed() => sleep(SHORTEST).await,
        }
    }
}

/// Between two looks when nothing has happened for `quiet`.
fn interval(quiet: Duration) -> Duration {
    (quiet / SHARE).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request and its answer cost, and what a link costs on which nobody says anything.
    #[test]
    fn looks_become_rare() {
        let (mut quiet, mut looks) = (Duration::ZERO, 0);
        while interval(quiet) < LONGEST {
            quiet += interval(quiet);
            looks += 1;
        }
        assert!(looks <= 25, "{looks} looks");
        assert!(quiet <= 2 * SHARE * LONGEST, "{quiet:?}");
        assert_eq!(interval(Duration::from_hours(1)), LONGEST);
    }

    #[test]
    fn whoever_rests_is_woken() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let pace = Pace(watch::Sender::new(Instant::now() - Duration::from_mins(1)));
            let begin = Instant::now();
            tokio::join!(pace.rest(), async { pace.quicken() });
            assert!(begin.elapsed() < LONGEST / 2, "{:?}", begin.elapsed());
            tokio::join!(pace.rest());
            assert!(begin.elapsed() < LONGEST / 2, "{:?}", begin.elapsed());
        });
    }
}
