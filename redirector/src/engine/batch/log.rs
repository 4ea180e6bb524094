//! What an allocation's own log tells about its end.

/// Whether the last lines of an allocation's log say that it was ended for its memory. Where there
/// are no control groups Slurm ends such a job with SIGKILL and calls it `FAILED`: nothing but the
/// log tells it from a job that somebody killed.
pub fn out_of_memory(log: &str) -> bool {
    const SAYINGS: [&str; 5] = [
        "exceeded memory limit",
        "Exceeded job memory limit",
        "oom-kill event",
        "oom_kill event",
        "OOM Killed",
    ];
    log.lines().any(|line| {
        let is_engines = line.contains("slurmstepd") || line.contains("error:");
        is_engines && SAYINGS.iter().any(|saying| line.contains(saying))
    })
}

/// The memory of an allocation that was ended for it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What it had.
    pub used: u64,
    /// What it was given.
    pub limit: u64,
}

impl Memory {
    /// What the last lines of an allocation's log tell, if they do.
    pub fn told(log: &str) -> Option<Self> {
        log.lines().rev().find_map(|line| {
            let (_, numbers) = line.split_once("exceeded memory limit (")?;
            let (used, limit) = numbers.split_once(')')?.0.split_once(" > ")?;
            Some(Self { used: used.parse().ok()?, limit: limit.parse().ok()? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_that_memory_was_exceeded() {
        let said = "slurmstepd-n1: error: StepId=4.batch exceeded memory limit (223432704 > \
                    20971520), being killed\n\
                    slurmstepd-n1: error: *** JOB 4 ON n1 CANCELLED AT 2026-11-23T01:49:02 ***\n";
        assert!(out_of_memory(said));
        let memory = Memory { used: 223_432_704, limit: 20_971_520 };
        assert_eq!(Memory::told(said), Some(memory));
        assert_eq!(Memory::told("slurmstepd: error: exceeded memory limit (a > b)"), None);
        assert!(out_of_memory(
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch."
        ));
        assert!(!out_of_memory("my tool never exceeded memory limit\n"));
        assert!(!out_of_memory(""));
    }
}
