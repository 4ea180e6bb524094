//! Which cpus jobs may use, and how many at a time.

use super::{computer::Computer, control_groups};
use crate::model::Amount;

/// As many as this process may run on, or the time that its control groups leave of them.
pub(super) fn amount(computer: &Computer) -> (Amount, String) {
    let affinity = Amount::whole(computer.affinity.len().max(1) as u64);
    match control_groups::cpus(computer) {
        // A job that asks for nothing gets one cpu, and must be able to run.
        Some((quota, origin)) if quota < affinity => (quota.max(Amount::ONE), origin),
        _ => (affinity, "sched_getaffinity".to_owned()),
    }
}

/// The cpus of this process, those of one package and of one core beside each other.
pub(super) fn ids(computer: &Computer) -> Vec<u32> {
    let mut ids = computer.affinity.clone();
    ids.sort_by_cached_key(|cpu| {
        let number = |file: &str| -> u32 {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/{file}");
            computer.read(path).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
        };
        (number("physical_package_id"), number("core_id"), *cpu)
    });
    ids
}
