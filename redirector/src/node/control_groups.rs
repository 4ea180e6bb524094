//! Limits that the control groups of this process set, in both versions of their files.
//!
//! A limit may stand at any group above this process's own, and the lowest counts. Which
//! directory stands for a group is told by `/proc/self/mountinfo`: version 1 has a tree per
//! controller, and a container sees only a part of it.

use std::path::{Path, PathBuf};

use super::computer::Computer;
use crate::model::Amount;

/// A limit, and the file that sets it, for people.
pub(super) type Limit<T> = (T, String);

/// The lowest limit on cpu time, in cpus.
pub(super) fn cpus(computer: &Computer) -> Option<Limit<Amount>> {
    let by_version_2 = limits(computer, Tree::Version2, "cpu.max", |group| {
        let text = computer.read(group.join("cpu.max"))?;
        let (quota, period) = text.trim().split_once(' ')?;
        cpus_in(quota, period)
    });
    let by_version_1 = limits(computer, Tree::Version1("cpu"), "cpu.cfs_quota_us", |group| {
        let quota = computer.read(group.join("cpu.cfs_quota_us"))?;
        cpus_in(&quota, &computer.read(group.join("cpu.cfs_period_us"))?)
    });
    by_version_2.into_iter().chain(by_version_1).min_by_key(|(amount, _)| *amount)
}

/// The lowest limit on memory, in bytes.
pub(super) fn memory(computer: &Computer) -> Option<Limit<u64>> {
    let bytes = |file: PathBuf| computer.read(file)?.trim().parse().ok();
    let by_version_2 =
        limits(computer, Tree::Version2, "memory.max", |group| bytes(group.join("memory.max")));
    let by_version_1 =
        limits(computer, Tree::Version1("memory"), "memory.limit_in_bytes", |group| {
            bytes(group.join("memory.limit_in_bytes"))
        });
    by_version_2.into_iter().chain(by_version_1).min_by_key(|(bytes, _)| *bytes)
}

/// Microseconds of cpu time in a period of so many; `max` and `-1` are no limit.
fn cpus_in(quota: &str, period: &str) -> Option<Amount> {
    let quota: u64 = quota.trim().parse().ok()?;
    let period: u64 = period.trim().parse().ok().filter(|period| *period > 0)?;
    Some(Amount(quota.saturating_mul(Amount::ONE.0) / period))
}

#[derive(Clone, Copy)]
enum Tree {
    Version2,
    /// The tree of this controller.
    Version1(&'static str),
}

/// What `read` finds in this process's group and those above it.
fn limits<T>(
    computer: &Computer,
    tree: Tree,
    file: &str,
    read: impl Fn(&Path) -> Option<T>,
) -> Vec<Limit<T>> {
    let limit = |group: PathBuf| Some((read(&group)?, origin(file, &group)));
    groups(computer, tree).into_iter().filter_map(limit).collect()
}

fn origin(file: &str, group: &Path) -> String {
    format!("cgroup {file} of {}", group.display())
}

/// The directories of this process's group and those above it, as far as they can be seen.
fn groups(computer: &Computer, tree: Tree) -> Vec<PathBuf> {
    let Some((mount, root)) = mount(computer, tree) else { return Vec::new() };
    let own = membership(computer, tree).unwrap_or_default();
    // Outside the visible part of the tree, only its top tells anything.
    let below = Path::new(&own).strip_prefix(&root).unwrap_or(Path::new(""));
    below.ancestors().map(|group| mount.join(group)).collect()
}

/// Where the tree is mounted, and which of its groups is the top there.
fn mount(computer: &Computer, tree: Tree) -> Option<(PathBuf, PathBuf)> {
    computer.read("/proc/self/mountinfo")?.lines().find_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        let (kind, options) = (system.next()?, system.nth(1)?);
        let found = match tree {
            Tree::Version2 => kind == "cgroup2",
            Tree::Version1(controller) => {
                kind == "cgroup" && options.split(',').any(|option| option == controller)
            }
        };
        let mut place = place.split(' ').skip(3);
        let (root, mount) = (place.next()?, place.next()?);
        found.then(|| (mount.into(), root.into()))
    })
}

/// The group that this process is in.
fn membership(computer: &Computer, tree: Tree) -> Option<String> {
    computer.read("/proc/self/cgroup")?.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let found = match tree {
            Tree::Version2 => controllers.is_empty(),
            Tree::Version1(controller) => controllers.split(',').any(|name| name == controller),
        };
        found.then(|| group.to_owned())
    })
}
