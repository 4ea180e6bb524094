//! The processor time of this program: that of the wall counts what others do on the machine, too.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Does `work`, and says how long this thread ran for it.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = now();
    let result = work();
    (result, now().saturating_sub(begin))
}

fn now() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock");
    time.into()
}
