//! Slurm, by its programs ([`Programs`]) or by slurmrestd ([`Rest`]).
//!
//! ```text
//! start    sbatch, the script on its standard input;       POST   job/submit
//!          salloc and srun where that is sooner
//! status   one squeue for all jobs of the user, ended ones  GET    jobs
//!          too; sacct for those that Slurm has forgotten
//! stop     scancel with many ids                            DELETE job/ID
//! explain  squeue for one job, its reason translated        GET    job/ID
//! find     squeue for all jobs of the user, by comment      GET    jobs
//! ```
//!
//! `--no-requeue` keeps Slurm from starting an allocation twice when its node is lost. Slurm forgets
//! jobs `MinJobAge` after their end (300 s unless configured), so a status has to be asked for more
//! often than that.

mod accounting;
mod immediate;
mod listing;
mod partitions;
mod programs;
mod reasons;
mod record;
mod rest;
mod submission;

pub use programs::Programs;
pub use rest::Rest;

use super::Refusal;

/// What Slurm says when it would do the same thing at another time. From the texts of its
/// `slurm_errno`.
const TEMPORARY: [&str; 13] = [
    "Unable to contact slurm controller",
    "temporarily unable",
    "Resource temporarily unavailable",
    "temporarily disabled",
    "job queue full",
    "Slurm backup controller in standby mode",
    "Connection refused",
    POLICY,
    "SlurmDBD Pending request",
    "Unable to connect to database",
    // munged is down here or at the controller.
    "Protocol authentication error",
    // Where slurm.conf comes from the controller.
    "Could not establish a configuration source",
    "Required partition not available (inactive or drain)",
];

/// One text for a submit limit, which is over when other jobs have ended, and for what a job may
/// never ask for; the names of the limits are in lines before it, if anywhere.
const POLICY: &str = "Job violates accounting/QOS policy (job submit limit";

/// What it says when the request may have been taken.
const UNSURE: [&str; 3] = [
    "Socket timed out on send/recv operation",
    "Zero Bytes were transmitted or received",
    "Transport endpoint is not connected",
];

/// What sbatch and salloc say before they sleep for up to two minutes; the pool tries again by itself.
const RETRIES: [&str; 3] = ["sleeping and retrying", "disabled, retrying", "queue full, sleeping"];

/// What Slurm's complaint means for whoever would ask again.
fn refusal(complaint: String) -> Refusal {
    if complaint.contains(POLICY) && breaks_a_limit_for_good(&complaint) {
        return Refusal::Permanent(complaint);
    }
    Refusal::of(complaint, &TEMPORARY, &UNSURE)
}

/// Whether a complaint names limits, and none of them is one of how many jobs there are.
fn breaks_a_limit_for_good(complaint: &str) -> bool {
    let is_limit = |word: &&str| {
        ["QOS", "Assoc", "Max"].iter().any(|start| {
            let rest = word.strip_prefix(start);
            rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
        })
    };
    let words = complaint.split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut limits = words.filter(is_limit).peekable();
    limits.peek().is_some() && limits.all(|limit| !limit.contains("Submit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_whether_to_try_again() {
        for (said, expected) in [
            (
                "sbatch: error: Batch job submission failed: Unable to contact slurm controller \
                 (connect failure)",
                Refusal::Temporary as fn(String) -> Refusal,
            ),
            (
                "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying.",
                Refusal::Temporary,
            ),
            (
                "sbatch: error: Batch job submission failed: Socket timed out on send/recv \
                 operation",
                Refusal::Unsure,
            ),
            (
                "sbatch: error: invalid partition specified: nopart\nsbatch: error: Batch job \
                 submission failed: Invalid partition name specified",
                Refusal::Permanent,
            ),
            (
                "sbatch: error: Batch job submission failed: Requested node configuration is not \
                 available",
                Refusal::Permanent,
            ),
            (
                "sbatch: error: Batch job submission failed: Protocol authentication error",
                Refusal::Temporary,
            ),
            ("sbatch: fatal: Could not establish a configuration source", Refusal::Temporary),
            (
                "sbatch: error: Batch job submission failed: Required partition not available \
                 (inactive or drain)",
                Refusal::Temporary,
            ),
        ] {
            assert_eq!(refusal(said.to_owned()), expected(said.to_owned()));
        }
    }

    #[test]
    fn a_submit_limit_is_over_some_time_and_other_limits_are_not() {
        const SAID: &str = "sbatch: error: Batch job submission failed: Job violates \
                            accounting/QOS policy (job submit limit, user's size and/or time limits)";
        for (named, expected) in [
            ("", Refusal::Temporary as fn(String) -> Refusal),
            ("sbatch: error: QOSMaxSubmitJobPerUserLimit\n", Refusal::Temporary),
            ("sbatch: error: AssocMaxSubmitJobLimit\n", Refusal::Temporary),
            ("sbatch: error: MaxSubmitJobs is reached\n", Refusal::Temporary),
            ("sbatch: error: QOSMaxWallDurationPerJobLimit\n", Refusal::Permanent),
            ("sbatch: error: AssocMaxCpuPerJobLimit\n", Refusal::Permanent),
            ("sbatch: error: QOSMaxMemoryPerJob\n", Refusal::Permanent),
        ] {
            let said = format!("{named}{SAID}");
            assert_eq!(refusal(said.clone()), expected(said));
        }
    }
}
