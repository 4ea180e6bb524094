//! Ends services of a session as crashes would.

use std::{
    os::fd::AsFd,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use integration::{Random, Session, Watched};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        signal::{Signal, kill},
    },
};

/// Nobody's victim lives longer than this, in microseconds.
const LONGEST_LIFE: u64 = 60_000;

/// How often a killer whose victim does not come back looks whether its load has failed, in
/// milliseconds.
const LOOK_AROUND: u16 = 500;

/// Which service is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Victim {
    Gateway,
    Agent,
}

impl Victim {
    fn find(self, session: &Session) -> Option<Watched> {
        match self {
            Self::Gateway => session.gateway_if_running(),
            Self::Agent => session.agent_if_running(),
        }
    }
}

/// Kills one `victim` of `session` after the other, each at a random moment from when it holds
/// its lock, until there were `kills` or `over` is set.
pub(crate) fn kill_again_and_again(
    session: &Session,
    victim: Victim,
    kills: usize,
    random: &mut Random,
    over: &AtomicBool,
) {
    let births = Inotify::init(InitFlags::IN_NONBLOCK).expect("inotify instances are left");
    // Whoever holds a lock writes its process id into the file.
    births
        .add_watch(&session.state(), AddWatchFlags::IN_MODIFY)
        .expect("the session has a state directory");
    let mut killed = 0;
    while killed < kills && !over.load(Ordering::Relaxed) {
        let Some(process) = victim.find(session).filter(|process| !process.has_ended()) else {
            let mut watched = [PollFd::new(births.as_fd(), PollFlags::POLLIN)];
            poll(&mut watched, PollTimeout::from(LOOK_AROUND))
                .expect("polling a descriptor that we own");
            // Only to have it quiet again; EAGAIN when the time was over.
            drop(births.read_events());
            continue;
        };
        // The moment is what is random, so this waits for a time and not for an event.
        std::thread::sleep(Duration::from_micros(random.below(LONGEST_LIFE)));
        if !process.has_ended() && kill(process.pid(), Signal::SIGKILL).is_ok() {
            killed += 1;
        }
        process.wait_for_end();
    }
}
