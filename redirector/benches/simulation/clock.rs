//! The processor time of this program: that of the wall counts what others do on the machine, too.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long this thread has run until now.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock");
    time.into()
}
