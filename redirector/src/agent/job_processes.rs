//! The processes of a job, wherever they have gone.
//!
//! A leased job shares its pipeline's process group and session, and what it leaves behind
//! passes to other parents. But every process of a job was started with the job's
//! token in its environment, which tells it from all others.

use std::collections::HashSet;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::processes::{self, Process};

/// Kills all processes that carry `token`, until none is left.
///
/// A process can start another between being seen and being killed, so this looks
/// again until a look finds nobody new. Each process is signalled once: one that
/// hangs in the kernel cannot be waited for.
pub(crate) fn kill_all(token: &str) {
    let mut signalled = HashSet::new();
    loop {
        let mut found = carriers(&[token.to_owned()]);
        found.retain(|process| !signalled.contains(&(process.pid, process.start_time)));
        if found.is_empty() {
            return;
        }
        for process in found {
            tracing::info!(pid = process.pid, "killing a process that a job left behind");
            let _gone_already = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            signalled.insert((process.pid, process.start_time));
        }
    }
}

/// The processor time, in clock ticks, of all processes that carry one of `tokens`;
/// `None` if one of them is at work right now.
pub(crate) fn time_of_sleepers(tokens: &[String]) -> Option<u64> {
    let found = carriers(tokens);
    let all_asleep = found.iter().all(|process| process.state == b'S');
    all_asleep.then(|| found.iter().map(|process| process.ticks).sum())
}

fn carriers(tokens: &[String]) -> Vec<Process> {
    let entries: Vec<_> =
        tokens.iter().map(|token| format!("REDIRECTOR_TOKEN={token}").into_bytes()).collect();
    processes::all().filter(|process| process.has_variable(&entries)).collect()
}
