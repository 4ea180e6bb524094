//! How many files a process may have open: more for the gateway, which has a connection for each
//! client that waits, but not for what it starts. Jobs expect what is usual (select(2) cannot
//! take numbers above 1023), and some programs close every number that they may have.
//!
//! ```text
//!  gateway: [`raise`] ── start of an agent, with [`hand_on`] ──► its launcher: [`restore`] ─► agent
//! ```

use std::{env, process::Command, sync::OnceLock};

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Tells what is started how many it may have.
const VARIABLE: &str = "REDIRECTOR_OPEN_FILES";

/// How many this process could have before they were raised.
static BEFORE: OnceLock<rlim_t> = OnceLock::new();

/// Lets this process have as many as the system allows.
pub(crate) fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => drop(BEFORE.set(soft)),
        // Then fewer clients can wait at the same time; they are told when it comes to that.
        Err(errno) => tracing::warn!("cannot have more than {soft} files open: {errno}"),
    }
}

/// Has `command`, which is to [`restore`] it, know how many this process could have at first.
pub(crate) fn hand_on(command: &mut Command) {
    if let Some(soft) = BEFORE.get() {
        command.env(VARIABLE, soft.to_string());
    }
}

/// Lets this process have as many as the one that started it could at first.
pub(crate) fn restore() {
    let soft = env::var(VARIABLE).ok().and_then(|text| text.parse().ok());
    if let (Some(soft), Ok((_, hard))) = (soft, getrlimit(Resource::RLIMIT_NOFILE)) {
        // Less than this process may have, so it is not refused.
        let _restored = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_knows_what_was_before() {
        let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        raise();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
        let mut command = Command::new("true");
        hand_on(&mut command);
        let handed_on = command.get_envs().next().unwrap().1.unwrap();
        assert_eq!(handed_on, before.to_string().as_str());
    }
}
