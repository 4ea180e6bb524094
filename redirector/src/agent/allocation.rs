//! What a batch engine tells the jobs of an allocation by variables, such as `SLURM_JOB_ID`: jobs
//! that its agent runs have them as they would have in the engine's own script.

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use crate::{model::Text, node::mapping::is_of_batch_job};

/// What srun tells its steps, and sbatch its scripts not: programs that use MPI would take it for
/// an invitation to ask srun for their ranks.
const OF_STEPS: [&[u8]; 6] = [
    b"SLURM_STEP",
    b"SLURM_SRUN_",
    b"SLURM_LAUNCH_",
    b"SLURM_CPU_BIND",
    b"SLURM_MPI_TYPE",
    b"SLURM_OVERLAP",
];

/// Those among the variables `of_agent` that its jobs are to have.
pub(super) fn variables(
    of_agent: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(Text, Text)> {
    let all: Vec<_> = of_agent.into_iter().collect();
    let is_grid_engine = all.iter().any(|(name, _)| name == "SGE_TASK_ID");
    let is_for_jobs = |(name, _): &(OsString, OsString)| {
        let name = name.as_bytes();
        is_of_batch_job(name, is_grid_engine) && !OF_STEPS.iter().any(|it| name.starts_with(it))
    };
    let text = |text: OsString| Text::from(text.as_bytes());
    let for_jobs = all.into_iter().filter(is_for_jobs);
    for_jobs.map(|(name, value)| (text(name), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of_agent: &[&str]) -> Vec<String> {
        let pairs = of_agent.iter().map(|name| (OsString::from(name), OsString::from("7")));
        let all = variables(pairs).into_iter();
        all.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn jobs_are_told_what_scripts_of_the_engine_are_told() {
        assert_eq!(
            names(&["PATH", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEPID", "JOB_ID"]),
            ["SLURM_JOB_ID"]
        );
        assert_eq!(
            names(&["SGE_TASK_ID", "JOB_ID", "NSLOTS"]),
            ["SGE_TASK_ID", "JOB_ID", "NSLOTS"]
        );
    }
}
