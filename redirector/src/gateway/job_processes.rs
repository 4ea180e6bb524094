//! The processes of a job, wherever they have gone.
//!
//! A job shares its pipeline's process group and session, and what it leaves behind
//! passes to other parents. But every process of a job was started with the job's
//! token in its environment, which tells it from all others.

use std::{collections::HashSet, fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process of a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    pid: i32,
    /// No later process with this id has the same.
    start_time: String,
}

/// What a process does.
struct Activity {
    is_asleep: bool,
    ticks: u64,
}

/// Kills all processes that carry `token`, until none is left.
///
/// A process can start another between being seen and being killed, so this looks
/// again until a look finds nobody new. Each process is signalled once: one that
/// hangs in the kernel cannot be waited for.
pub(super) fn kill_all(token: &str) {
    let mut signalled = HashSet::new();
    loop {
        let mut found = carriers(&[token.to_owned()]);
        found.retain(|(process, _)| !signalled.contains(process));
        if found.is_empty() {
            return;
        }
        for (process, _) in found {
            tracing::info!(pid = process.pid, "killing a process that a job left behind");
            let _gone_already = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            signalled.insert(process);
        }
    }
}

/// The processor time, in clock ticks, of all processes that carry one of `tokens`;
/// `None` if one of them is at work right now.
pub(super) fn time_of_sleepers(tokens: &[String]) -> Option<u64> {
    let found = carriers(tokens);
    let all_asleep = found.iter().all(|(_, activity)| activity.is_asleep);
    all_asleep.then(|| found.iter().map(|(_, activity)| activity.ticks).sum())
}

fn carriers(tokens: &[String]) -> Vec<(Process, Activity)> {
    let entries: HashSet<Vec<u8>> =
        tokens.iter().map(|token| format!("REDIRECTOR_TOKEN={token}").into_bytes()).collect();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let ids =
        processes.filter_map(|process| process.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|pid| {
        let directory = Path::new("/proc").join(pid.to_string());
        let environment = fs::read(directory.join("environ")).ok()?;
        if !environment.split(|byte| *byte == 0).any(|entry| entries.contains(entry)) {
            return None;
        }
        let stat = fs::read_to_string(directory.join("stat")).ok()?;
        // Fields are counted from behind the name, which may hold blanks (proc(5)).
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        let activity =
            Activity { is_asleep: *fields.first()? == "S", ticks: number(11)? + number(12)? };
        Some((Process { pid, start_time: (*fields.get(19)?).to_owned() }, activity))
    })
    .collect()
}
