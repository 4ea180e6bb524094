//! How much memory jobs have, by a look at all processes.
//!
//! ```text
//!   /proc/*/stat ── one pass ──► whose is it? ──► sum of resident memory per job
//!                                 below the job's process · in its session · has its token
//! ```
//!
//! Resident memory counts what processes share once for each of them, so it is a bound from
//! above: below a limit it proves that all is well, above it [`Snapshot::proportional`]
//! has the last word.

use std::{collections::HashMap, fs, sync::LazyLock, time::Duration};

use super::processes::{self, Process};

/// A job whose memory is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root<'a> {
    /// The process above all others of the job.
    pub pid: i32,
    /// Whether that process itself is the job's.
    pub counts_itself: bool,
    /// The job's token: what carries it belongs to the job wherever it has gone. Reading it
    /// costs a look at the environment of every process that is in no job otherwise.
    pub token: Option<&'a str>,
    /// Processes below it may be those of further jobs, which have limits of their own: only
    /// those are the job's that carry its token.
    pub is_nested: bool,
}

/// Most that a job's memory grows in a second, in bytes: pages are handed out zeroed, and
/// that is about how fast two cpus can do it.
const GROWTH: u64 = 2 << 30;

/// The shortest and the longest time between two looks.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// When to look again at a job that may have `headroom` bytes more: before it can have
/// them, but not all the time.
pub fn interval(headroom: u64) -> Duration {
    let until_full = Duration::from_secs_f64(headroom as f64 / GROWTH as f64);
    until_full.clamp(INTERVALS.0, INTERVALS.1)
}

/// What the processes of each of `roots` have together, in bytes; shared memory is counted
/// once for each of them. One pass over `/proc` for all.
pub fn used_by(roots: &[Root]) -> Vec<u64> {
    let snapshot = Snapshot::take(roots);
    (0..roots.len()).map(|root| snapshot.resident(root)).collect()
}

/// The processes of some jobs at one moment.
#[derive(Debug)]
pub struct Snapshot {
    members: Vec<Vec<Process>>,
}

impl Snapshot {
    /// Looks at all processes; their jobs are numbered as in `roots`.
    pub fn take(roots: &[Root]) -> Self {
        Self::sort(processes::all().collect(), roots, Process::has_variable)
    }

    fn sort(
        all: Vec<Process>,
        roots: &[Root],
        has_variable: impl Fn(&Process, &[Vec<u8>]) -> bool,
    ) -> Self {
        let parents: HashMap<i32, i32> = all.iter().map(|one| (one.pid, one.parent)).collect();
        let by_pid: HashMap<i32, usize> =
            roots.iter().enumerate().map(|(index, root)| (root.pid, index)).collect();
        let tokens: Vec<_> = roots
            .iter()
            .enumerate()
            .filter_map(|(index, root)| {
                Some((index, [format!("REDIRECTOR_TOKEN={}", root.token?).into_bytes()]))
            })
            .collect();
        // The nearest root at or above a process. A chain that changes while it is read
        // could be a circle.
        let above = |process: &Process| {
            let mut pid = process.pid;
            for _ in 0..parents.len() {
                match by_pid.get(&pid) {
                    Some(index) if pid != process.pid || roots[*index].counts_itself => {
                        return Some(*index);
                    }
                    _ => pid = *parents.get(&pid)?,
                }
            }
            None
        };
        let mut members = vec![Vec::new(); roots.len()];
        for process in all {
            let is_root = by_pid.contains_key(&process.pid);
            let owner = above(&process)
                .or_else(|| by_pid.get(&process.session).copied().filter(|_| !is_root))
                .or_else(|| {
                    let carried = |(_, token): &&(_, [Vec<u8>; 1])| has_variable(&process, token);
                    tokens.iter().find(carried).filter(|_| !is_root).map(|(index, _)| *index)
                });
            let Some(index) = owner else { continue };
            let carries =
                |(of, token): &(usize, [Vec<u8>; 1])| *of == index && has_variable(&process, token);
            if !roots[index].is_nested || tokens.iter().any(carries) {
                members[index].push(process);
            }
        }
        Self { members }
    }

    /// Bytes that the processes of job `root` have, shared memory counted for each of them.
    pub fn resident(&self, root: usize) -> u64 {
        static PAGE: LazyLock<u64> = LazyLock::new(|| {
            // SAFETY: takes no memory.
            u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
        });
        self.members[root].iter().map(|process| process.resident * *PAGE).sum()
    }

    /// Bytes that the processes of job `root` have, of shared memory their share only. Slow:
    /// the kernel goes through all their pages.
    pub fn proportional(&self, root: usize) -> u64 {
        self.members[root].iter().map(|process| proportional(process.pid).unwrap_or(0)).sum()
    }
}

/// The sum of a process's shares in its pages; `None` when it is gone.
fn proportional(pid: i32) -> Option<u64> {
    let sums = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32, resident: u64) -> Process {
        let (state, ticks, start_time) = (b'S', 0, 0);
        Process { pid, state, parent, session, ticks, start_time, resident, is_starting: false }
    }

    fn pages(all: Vec<Process>, roots: &[Root], carriers: &[i32]) -> Vec<u64> {
        let carries = |process: &Process, _: &[Vec<u8>]| carriers.contains(&process.pid);
        let snapshot = Snapshot::sort(all, roots, carries);
        let sum = |members: &Vec<Process>| members.iter().map(|one| one.resident).sum();
        snapshot.members.iter().map(sum).collect()
    }

    #[test]
    fn a_process_belongs_to_the_nearest_job_above_it() {
        let all = vec![
            process(1, 0, 1, 1000),
            process(10, 1, 10, 1),
            process(11, 10, 10, 2),
            process(12, 11, 12, 4),
            process(20, 11, 20, 8),
            process(21, 20, 20, 16),
        ];
        let outer = Root { pid: 10, counts_itself: true, token: None, is_nested: false };
        let inner = Root { pid: 20, counts_itself: false, token: None, is_nested: false };
        // What an inner job's own process is when it is not the job's: the outer job's.
        assert_eq!(pages(all, &[outer, inner], &[]), [1 + 2 + 4 + 8, 16]);
    }

    #[test]
    fn sessions_and_tokens_tell_where_orphans_belong() {
        let all = vec![
            process(1, 0, 1, 1000),
            process(10, 1, 10, 1),
            process(11, 1, 10, 2),
            process(12, 1, 12, 4),
            process(13, 1, 13, 8),
        ];
        let root = |token| Root { pid: 10, counts_itself: true, token, is_nested: false };
        assert_eq!(pages(all.clone(), &[root(None)], &[12]), [1 + 2]);
        assert_eq!(pages(all, &[root(Some("7.x"))], &[12]), [1 + 2 + 4]);
    }

    #[test]
    fn what_a_nested_job_has_is_not_what_its_jobs_have() {
        let all = vec![process(10, 1, 10, 1), process(11, 10, 10, 2), process(12, 11, 10, 4)];
        let root = Root { pid: 10, counts_itself: true, token: Some("7.x"), is_nested: true };
        assert_eq!(pages(all, &[root], &[10, 11]), [1 + 2]);
    }

    #[test]
    fn a_circle_of_parents_is_nobody_s() {
        let all = vec![process(10, 11, 1, 1), process(11, 10, 1, 1)];
        let root = Root { pid: 99, counts_itself: true, token: None, is_nested: false };
        assert_eq!(pages(all, &[root], &[]), [0]);
    }

    #[test]
    fn looks_come_closer_together_near_the_limit() {
        assert_eq!(interval(0), INTERVALS.0);
        assert_eq!(interval(GROWTH), Duration::from_secs(1));
        assert_eq!(interval(u64::MAX), INTERVALS.1);
    }

    #[test]
    fn this_process_has_what_it_has_touched() {
        let own = Root {
            pid: std::process::id() as i32,
            counts_itself: true,
            token: None,
            is_nested: false,
        };
        let block = std::hint::black_box(vec![1u8; 32 << 20]);
        let snapshot = Snapshot::take(&[own]);
        assert!(snapshot.resident(0) > block.len() as u64);
        assert!(snapshot.proportional(0) > block.len() as u64);
        assert!(snapshot.proportional(0) <= snapshot.resident(0) * 2, "about the same thing");
    }
}
