//! The processes of a job, wherever they have gone.
//!
//! A leased job shares its pipeline's process group and session, and what it leaves behind
//! passes to other parents. But every process of a job was started with the job's
//! token in its environment, which tells it from all others.

use std::{collections::HashSet, thread};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::processes::{self, Process};

/// Looks at processes that stay unreadable; becoming another program takes microseconds.
const MOST_LOOKS: u32 = 100;

/// Kills all processes that carry `token`, until none is left.
///
/// A process can start another between being seen and being killed, so this looks
/// again until a look finds nobody new, and nobody whose environment is just being made.
/// Each process is signalled once: one that hangs in the kernel cannot be waited for.
pub(crate) fn kill_all(token: &str) {
    let mut signalled = HashSet::new();
    let mut looks = 0;
    loop {
        let Carriers { mut found, unknown } = carriers(&[token.to_owned()]);
        found.retain(|process| !signalled.contains(&(process.pid, process.start_time)));
        if found.is_empty() {
            if unknown == 0 || looks == MOST_LOOKS {
                return;
            }
            looks += 1;
            thread::yield_now();
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
    let Carriers { found, .. } = carriers(tokens);
    let all_asleep = found.iter().all(|process| process.state == b'S');
    all_asleep.then(|| found.iter().map(|process| process.ticks).sum())
}

/// What a look at all processes found.
struct Carriers {
    /// Those that carry a token.
    found: Vec<Process>,
    /// How many could not be asked yet.
    unknown: usize,
}

fn carriers(tokens: &[String]) -> Carriers {
    let entries: Vec<_> =
        tokens.iter().map(|token| format!("REDIRECTOR_TOKEN={token}").into_bytes()).collect();
    let mut carriers = Carriers { found: Vec::new(), unknown: 0 };
    for process in processes::all() {
        if process.has_variable(&entries) {
            carriers.found.push(process);
        } else if process.is_starting && process.is_own() {
            carriers.unknown += 1;
        }
    }
    carriers
}
