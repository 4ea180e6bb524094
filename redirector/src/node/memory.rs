//! How much memory jobs may use.

use super::{computer::Computer, control_groups};

/// The computer's memory in bytes, or what its control groups leave of it.
pub(super) fn amount(computer: &Computer) -> (u64, String) {
    let total = total(computer).map(|bytes| (bytes, "/proc/meminfo".to_owned()));
    let limit = control_groups::memory(computer);
    // The computer's own comes first: without a limit, version 1 shows a huge one.
    let known = total.into_iter().chain(limit).min_by_key(|(bytes, _)| *bytes);
    known.unwrap_or_else(|| (u64::MAX, "not found out: taken as unlimited".to_owned()))
}

fn total(computer: &Computer) -> Option<u64> {
    let text = computer.read("/proc/meminfo")?;
    let rest = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
