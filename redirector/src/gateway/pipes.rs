//! Finds jobs that are joined by pipes through processes that are not jobs.
//!
//! In `bwa … | gzip | samtools …` the first job waits for `gzip`, which waits for the
//! last job: where only one of them has room, the other must start too. Between the
//! two jobs no pipe is shared, so the processes in between have to be looked at.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::{dispatcher::End, model::JobId};

/// A pipe's inode number, and the end that somebody holds.
pub(super) type Hold = (u64, End);

/// Pairs of jobs, the first of them one of `queued`, that are joined directly or
/// through other processes.
pub(super) fn links(queued: &[JobId], jobs: &[(JobId, Vec<Hold>)]) -> Vec<(JobId, JobId)> {
    search(queued, jobs, &processes())
}

fn search(
    queued: &[JobId],
    jobs: &[(JobId, Vec<Hold>)],
    processes: &[Vec<Hold>],
) -> Vec<(JobId, JobId)> {
    let mut job_at: HashMap<Hold, Vec<JobId>> = HashMap::new();
    for (job, holds) in jobs {
        for hold in holds {
            job_at.entry(*hold).or_default().push(*job);
        }
    }
    let mut process_at: HashMap<Hold, Vec<&Vec<Hold>>> = HashMap::new();
    for holds in processes {
        for hold in holds {
            process_at.entry(*hold).or_default().push(holds);
        }
    }
    let mut links = Vec::new();
    for (job, start) in jobs.iter().filter(|(job, _)| queued.contains(job)) {
        let mut seen: HashSet<Hold> = start.iter().copied().collect();
        let mut next: Vec<Hold> = start.clone();
        while let Some((pipe, end)) = next.pop() {
            let across = (pipe, opposite(end));
            let found = job_at.get(&across).into_iter().flatten().filter(|other| *other != job);
            links.extend(found.map(|other| (*job, *other)));
            if job_at.contains_key(&across) {
                continue;
            }
            for hold in process_at.get(&across).into_iter().flatten().copied().flatten() {
                if seen.insert(*hold) {
                    next.push(*hold);
                }
            }
        }
    }
    links.sort_unstable();
    links.dedup();
    links
}

fn opposite(end: End) -> End {
    match end {
        End::Read => End::Write,
        End::Write => End::Read,
    }
}

/// The pipes on the standard descriptors of each process of this user. Others do not
/// count: a make's job server is open everywhere and joins nobody.
fn processes() -> Vec<Vec<Hold>> {
    let own = nix::unistd::getuid().as_raw();
    let Ok(directories) = fs::read_dir("/proc") else { return Vec::new() };
    directories
        .filter_map(|directory| {
            let directory = directory.ok()?;
            directory.file_name().to_str()?.parse::<i32>().ok()?;
            (directory.metadata().ok()?.uid() == own).then(|| standard_pipes(&directory.path()))
        })
        .filter(|holds| !holds.is_empty())
        .collect()
}

fn standard_pipes(process: &Path) -> Vec<Hold> {
    let hold = |descriptor: u32| {
        let link = process.join("fd").join(descriptor.to_string());
        let target = fs::read_link(&link).ok()?;
        let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()?;
        // The link's own permissions tell how the descriptor is open (proc(5)).
        let writes = fs::symlink_metadata(&link).ok()?.permissions().mode() & 0o200 != 0;
        Some((inode, if writes { End::Write } else { End::Read }))
    };
    (0..=2).filter_map(hold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_found_through_other_processes_but_not_through_jobs() {
        let (first, last, beyond) = (JobId(1), JobId(2), JobId(3));
        let jobs = [
            (first, vec![(10, End::Write)]),
            (last, vec![(12, End::Read), (13, End::Write)]),
            (beyond, vec![(13, End::Read)]),
        ];
        let gzip = vec![(10, End::Read), (11, End::Write)];
        let tee = vec![(11, End::Read), (12, End::Write)];
        let unrelated = vec![(20, End::Read), (21, End::Write)];
        let processes = [gzip, tee, unrelated];
        let all = [first, last, beyond];
        assert_eq!(search(&[first], &jobs, &processes), [(first, last)]);
        assert_eq!(search(&[last], &jobs, &processes), [(last, first), (last, beyond)]);
        assert_eq!(search(&all, &jobs, &[]), [(last, beyond), (beyond, last)]);
        assert_eq!(search(&[], &jobs, &processes), []);
    }
}
