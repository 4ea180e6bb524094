//! What an engine is asked for.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use crate::{config::EngineOptions, model::JobId};

/// An allocation that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What people see in the engine's listings: run and rule. May have any characters.
    pub name: String,
    /// Tells whose it is.
    pub mark: Mark,
    /// Cpus, all on one node; at least 1.
    pub cpus: u32,
    /// Memory in bytes; `None`: the engine's default.
    pub mem: Option<u64>,
    /// How long it may take; `None`: the engine's default.
    pub walltime: Option<Duration>,
    /// Graphics processors.
    pub gpus: u32,
    /// Somebody waits for just this one: where the engine has a way that begins sooner, it is
    /// taken.
    pub immediate: bool,
    /// Where the script begins; a directory that the node has.
    pub directory: PathBuf,
    /// The script, with its `#!` line.
    pub script: String,
    /// Where the script's own output goes: a file in a directory that the node has.
    pub output: PathBuf,
    /// Options of the pool and of the rule, as one.
    pub options: EngineOptions,
}

/// By what a gateway recognises its own among the jobs of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The gateway's id.
    pub gateway: String,
    /// Its allocation.
    pub allocation: String,
    /// The only job that is to run there.
    pub job: Option<JobId>,
}

/// What every mark begins with.
const FIRST: &str = "redirector/";

/// What the number of a job follows.
const JOB: &str = "job-";

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FIRST}{}/{}", self.gateway, self.allocation)?;
        self.job.map_or(Ok(()), |job| write!(f, "/{JOB}{job}"))
    }
}

/// This is no mark: some other job's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mark is redirector/GATEWAY/ALLOCATION or redirector/GATEWAY/ALLOCATION/job-NUMBER")]
pub struct NoMark;

impl FromStr for Mark {
    type Err = NoMark;

    fn from_str(text: &str) -> Result<Self, NoMark> {
        let rest = text.trim_end().strip_prefix(FIRST).ok_or(NoMark)?;
        let (gateway, rest) = rest.split_once('/').ok_or(NoMark)?;
        let (allocation, job) =
            rest.split_once('/').map_or((rest, None), |(it, job)| (it, Some(job)));
        if gateway.is_empty() || allocation.is_empty() {
            return Err(NoMark);
        }
        let number = |job: &str| job.strip_prefix(JOB)?.parse().ok().map(JobId);
        let job = job.map(|job| number(job).ok_or(NoMark)).transpose()?;
        Ok(Self { gateway: gateway.to_owned(), allocation: allocation.to_owned(), job })
    }
}

impl Request {
    /// The name, with `_` for all that is not plain or is in `forbidden`, cut to what listings
    /// and every engine take.
    pub(super) fn safe_name(&self, forbidden: &str) -> String {
        const LONGEST: usize = 64;
        let plain = |c: char| if c.is_ascii_graphic() && !forbidden.contains(c) { c } else { '_' };
        let name: String = self.name.chars().take(LONGEST).map(plain).collect();
        if name.is_empty() { "redirector".to_owned() } else { name }
    }

    /// The memory in MiB, rounded up.
    pub(super) fn mem_mb(&self) -> Option<u64> {
        self.mem.map(|mem| mem.div_ceil(1 << 20))
    }

    /// The time in whole minutes, rounded up.
    pub(super) fn minutes(&self) -> Option<u64> {
        self.walltime.map(|walltime| walltime.as_secs().div_ceil(60).max(1))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One that asks for little.
    pub(in crate::engine::batch) fn small() -> Request {
        Request {
            name: "run.rule".to_owned(),
            mark: Mark { gateway: "g1".to_owned(), allocation: "7".to_owned(), job: None },
            cpus: 1,
            mem: None,
            walltime: None,
            gpus: 0,
            immediate: false,
            directory: "/tmp".into(),
            script: "#!/bin/sh\n".to_owned(),
            output: "/tmp/output".into(),
            options: EngineOptions::default(),
        }
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        let mark = small().mark;
        assert_eq!(mark.to_string(), "redirector/g1/7");
        assert_eq!("redirector/g1/7  ".parse(), Ok(mark.clone()));
        let of_job = Mark { job: Some(JobId(12)), ..mark };
        assert_eq!(of_job.to_string(), "redirector/g1/7/job-12");
        assert_eq!("redirector/g1/7/job-12".parse(), Ok(of_job));
        for other in [
            "",
            "(null)",
            "redirector/",
            "redirector/g1",
            "redirector//7",
            "mine/g1/7",
            "redirector/g1/7/12",
            "redirector/g1/7/job-",
        ] {
            assert_eq!(other.parse::<Mark>(), Err(NoMark), "{other}");
        }
    }

    #[test]
    fn names_amounts_and_times_are_what_engines_take() {
        let mut request = small();
        request.name = "a b\nü:c/d".to_owned();
        assert_eq!(request.safe_name(":/"), "a_b___c_d");
        request.name = "x".repeat(500);
        assert_eq!(request.safe_name("").len(), 64);
        request.mem = Some((1 << 20) + 1);
        request.walltime = Some(Duration::from_secs(61));
        assert_eq!((request.mem_mb(), request.minutes()), (Some(2), Some(2)));
        request.walltime = Some(Duration::ZERO);
        assert_eq!(request.minutes(), Some(1));
    }
}
