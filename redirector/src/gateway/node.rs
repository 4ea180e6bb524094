//! What this computer has for jobs.

use std::{fs, path::Path, thread};

use crate::{
    config,
    model::{Amount, Resources},
};

/// As configured, else as found.
pub(super) fn capacity(settings: &config::Node) -> Resources {
    Resources::new(
        settings.cpus.value.unwrap_or_else(cpus),
        settings.mem.value.unwrap_or_else(memory),
    )
}

/// The cpus that this process may use: by affinity and by its control groups' quota.
fn cpus() -> Amount {
    Amount::whole(thread::available_parallelism().map_or(1, |count| count.get() as u64))
}

/// The computer's memory, or what its control groups leave of it.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).and_then(|rest| {
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    });
    control_group_limits().chain(total).min().unwrap_or(u64::MAX)
}

/// `memory.max` of this process's control group (version 2) and those above it.
fn control_group_limits() -> impl Iterator<Item = u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or_default()
        .to_owned();
    let groups: Vec<_> = Path::new(&group).ancestors().map(Path::to_owned).collect();
    groups.into_iter().filter_map(|group| {
        let limit =
            fs::read_to_string(Path::new("/sys/fs/cgroup").join(group).join("memory.max")).ok()?;
        limit.trim().parse().ok()
    })
}
