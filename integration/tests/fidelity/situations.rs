//! A table of shell scripts that must not notice a redirector.

use integration::{Session, Way, assert_same};

/// A script and how many of its commands the session's whitelist makes jobs.
pub(crate) struct Situation {
    /// What the script is about, for the message when it fails.
    pub(crate) name: &'static str,
    /// Jobs that one redirected run makes.
    pub(crate) jobs: usize,
    /// Runs in bash, in the session's directory, which it may change: every situation runs in all
    /// ways there.
    pub(crate) script: &'static str,
}

/// Runs every situation in every way and compares all that the caller of the script sees.
#[track_caller]
pub(crate) fn try_all(session: &Session, situations: &[Situation]) {
    let mut jobs = 0;
    for Situation { name, jobs: expected, script } in situations {
        let plain = session.bash(Way::Plain, script);
        for way in Way::REDIRECTED {
            assert_same(&format!("{name}, {way:?}"), &plain, &session.bash(way, script));
            let made = session.commands().len() - jobs;
            assert_eq!(made, *expected, "{name}, {way:?}: number of jobs");
            jobs += made;
        }
    }
}
