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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_says_that_memory_was_exceeded() {
        let said = "slurmstepd-n1: error: StepId=4.batch exceeded memory limit (223432704 > \
                    20971520), being killed\n\
                    slurmstepd-n1: error: *** JOB 4 ON n1 CANCELLED AT 2026-11-23T01:49:02 ***\n";
        assert!(out_of_memory(said));
        assert!(out_of_memory(
            "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch."
        ));
        assert!(!out_of_memory("my tool never exceeded memory limit\n"));
        assert!(!out_of_memory(""));
    }
}
