//! Slurm by its programs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    RETRIES, accounting,
    immediate::Immediate,
    listing, partitions,
    record::{Record, marked},
    refusal,
    submission::{arguments, id},
};
use crate::{
    config::{EngineOptions, Pool},
    engine::batch::{
        Answer, Batch, End, EngineJobId, Mark, Refusal, Request, Status, only_numbers,
        tools::{Said, Tools, words},
    },
};

/// Most ids on one command line, which may have 128 KiB.
const AT_ONCE: usize = 1000;

const ADVICE: &str = "install Slurm's client programs here (Debian: slurm-client), or set PATH in \
                      the pool's 'engine_env'";

const NEEDED: [&str; 4] = ["sbatch", "squeue", "scancel", "sinfo"];

/// Programs that are done without, and what is lost then.
const OPTIONAL: [(&str, &str); 3] = [
    ("salloc", "jobs begin on Slurm's next round only"),
    ("srun", "jobs begin on Slurm's next round only"),
    ("sacct", "nothing is known of jobs that Slurm has forgotten, nor who cancelled one"),
];

/// The programs of Slurm.
pub struct Programs {
    tools: Tools,
    immediate: Immediate,
    /// Nobody keeps accounts: sacct need not be asked again.
    without_accounts: AtomicBool,
}

impl Programs {
    /// Those of a pool.
    pub fn new(pool: &Pool) -> Self {
        let mut variables = pool.engine_env.clone();
        // Seconds since 1970, whatever the site's time zone is.
        variables.insert("SLURM_TIME_FORMAT".into(), Some("%s".into()));
        Self {
            tools: Tools::new(&variables, ADVICE),
            immediate: Immediate::new(),
            without_accounts: AtomicBool::new(false),
        }
    }

    async fn submit(&self, request: &Request) -> Result<EngineJobId, Refusal> {
        if let Some(id) = self.immediate.start(&self.tools, request).await? {
            return Ok(id);
        }
        let said = self.tools.run_with("sbatch", arguments(request), &request.script, &RETRIES);
        let said = said.await?;
        match id(&said.stdout) {
            Some(id) if said.status.success() => Ok(EngineJobId(id.to_owned())),
            None if said.status.success() => Err(Refusal::Unsure(format!(
                "sbatch tells no job id; it says: {}",
                said.complaint()
            ))),
            _ => Err(refusal(said.complaint())),
        }
    }

    /// squeue's jobs: all of this user, or one. Without `--all` squeue leaves out those in partitions
    /// that are hidden or closed to the user's groups (`squeue(1)`), which would look as if they had ended.
    async fn list(&self, which: &str) -> Result<Vec<Record>, Refusal> {
        let format = format!("--Format={}", listing::format());
        let arguments = ["--noheader", "--all", "--states=all", which, &format];
        let said = self.tools.run("squeue", words(arguments)).await?;
        if said.status.success() {
            let mut records = listing::read(&said.stdout);
            // Those of a federation that another cluster has begun are shown by '--all', too.
            records.retain(|record| record.state != "REVOKED");
            return Ok(records);
        }
        if said.stderr.contains("Invalid job id specified") {
            return Ok(Vec::new());
        }
        Err(refusal(said.complaint()))
    }

    async fn list_own(&self) -> Result<Vec<Record>, Refusal> {
        self.list(&format!("--user={}", nix::unistd::geteuid())).await
    }

    /// What accounting has of `ids`; nothing where there is none.
    async fn accounts(&self, ids: &[&str]) -> Vec<Record> {
        let mut records = Vec::new();
        for ids in ids.chunks(AT_ONCE) {
            if self.without_accounts.load(Ordering::Relaxed) {
                break;
            }
            let jobs = format!("--jobs={}", ids.join(","));
            let format = format!("--format={}", accounting::FORMAT);
            let arguments = ["-X", "--noheader", "--parsable2", &jobs, &format];
            match self.tools.run("sacct", words(arguments)).await {
                Ok(Said { status, stdout, .. }) if status.success() => {
                    records.extend(accounting::read(&stdout));
                }
                Ok(said) if said.stderr.contains("storage is disabled") => {
                    self.without_accounts.store(true, Ordering::Relaxed);
                }
                Ok(said) => tracing::debug!("sacct: {}", said.complaint()),
                Err(trouble) => tracing::debug!("sacct: {trouble}"),
            }
        }
        records
    }

    async fn states(&self, jobs: &[EngineJobId]) -> Result<Vec<(EngineJobId, Status)>, Refusal> {
        let listed: BTreeMap<_, _> =
            self.list_own().await?.into_iter().map(|record| (record.id(), record)).collect();
        let is_asked_further = |id: &&EngineJobId| {
            let status = listed.get(id).map(Record::status);
            matches!(status, None | Some(Status::Ended(End::Cancelled { .. })))
        };
        let further: Vec<_> =
            jobs.iter().filter(is_asked_further).map(|id| id.0.as_str()).collect();
        let accounts = self.accounts(&further).await;
        let accounts: BTreeMap<_, _> =
            accounts.iter().map(|record| (record.id(), record)).collect();
        let state = |id: &EngineJobId| {
            let of_accounts = accounts.get(id).map(|record| record.status());
            let ended = |status: &Status| matches!(status, Status::Ended(_));
            // Accounts lag: there a job may run that slurmctld does not have any more.
            let status = of_accounts.filter(ended).or_else(|| listed.get(id).map(Record::status));
            let status = status.unwrap_or(Status::Forgotten);
            (id.clone(), self.immediate.judge(id, status))
        };
        Ok(jobs.iter().map(state).collect())
    }

    async fn cancel(&self, jobs: &[EngineJobId]) -> Result<(), Refusal> {
        only_numbers("Slurm", jobs)?;
        for jobs in jobs.chunks(AT_ONCE) {
            // Quiet about those that have ended.
            let ids = jobs.iter().map(|id| id.0.as_str());
            let said = self.tools.run("scancel", ["--quiet"].into_iter().chain(ids)).await?;
            let complaints: BTreeSet<_> =
                said.stderr.lines().filter(|line| matters(line)).collect();
            if !complaints.is_empty() {
                let complaints: Vec<_> = complaints.into_iter().collect();
                return Err(refusal(complaints.join("\n")));
            }
        }
        Ok(())
    }

    async fn reason(&self, job: &EngineJobId) -> String {
        let mut records = match self.list(&format!("--jobs={job}")).await {
            Ok(records) => records,
            Err(refusal) => return format!("Slurm does not answer: {refusal}"),
        };
        if records.is_empty() {
            records = self.accounts(&[&job.0]).await;
        }
        match records.first() {
            Some(record) => record.in_words(),
            None => format!("Slurm does not know a job {job} any more"),
        }
    }
}

/// Whether scancel's complaint is more than that a job has ended.
fn matters(line: &str) -> bool {
    let has_ended = ["Invalid job id specified", "already completing or completed"];
    !line.trim().is_empty() && !has_ended.iter().any(|saying| line.contains(saying))
}

impl Batch for Programs {
    fn start<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<EngineJobId, Refusal>> {
        Box::pin(self.submit(request))
    }

    fn status<'a>(&'a self, jobs: &'a [EngineJobId]) -> Answer<'a, Vec<(EngineJobId, Status)>> {
        Box::pin(async move {
            self.states(jobs).await.unwrap_or_else(|refusal| Status::unknown(jobs, &refusal))
        })
    }

    fn stop<'a>(&'a self, jobs: &'a [EngineJobId]) -> Answer<'a, Result<(), Refusal>> {
        Box::pin(self.cancel(jobs))
    }

    fn explain<'a>(&'a self, job: &'a EngineJobId) -> Answer<'a, String> {
        Box::pin(self.reason(job))
    }

    fn find<'a>(
        &'a self,
        gateway: &'a str,
    ) -> Answer<'a, Result<Vec<(EngineJobId, Mark)>, Refusal>> {
        Box::pin(async move { Ok(marked(&self.list_own().await?, gateway)) })
    }

    fn version(&self) -> Answer<'_, Result<String, Refusal>> {
        Box::pin(async move {
            let missing: Vec<_> =
                NEEDED.into_iter().filter(|program| !self.tools.has(program)).collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                return Err(Refusal::Permanent(format!(
                    "these programs of Slurm are missing: {missing}; {ADVICE}"
                )));
            }
            let said = self.tools.run("sbatch", ["--version"]).await?;
            let lost = OPTIONAL.into_iter().filter(|(program, _)| !self.tools.has(program));
            let lost = lost.map(|(program, loss)| format!("; without {program}, {loss}"));
            let found = NEEDED.into_iter().chain(OPTIONAL.map(|(program, _)| program));
            let found: Vec<_> = found.filter(|program| self.tools.has(program)).collect();
            Ok(format!(
                "{} with {}{}",
                said.stdout.trim(),
                found.join(", "),
                lost.collect::<String>()
            ))
        })
    }

    fn capacity<'a>(
        &'a self,
        options: &'a EngineOptions,
    ) -> Answer<'a, Result<Vec<String>, Refusal>> {
        Box::pin(async move {
            let partition = options.partition.as_deref();
            let format = format!("--format={}", partitions::FORMAT);
            // Hidden partitions are shown with '--all' only, which does not go with '--partition'.
            let all = partition.map(|_| "--all");
            let arguments = ["--noheader", &format].into_iter().chain(all);
            let said = self.tools.run("sinfo", arguments).await?;
            if !said.status.success() {
                return Err(refusal(said.complaint()));
            }
            let lines = partitions::read(&said.stdout, partition);
            match partition {
                Some(partition) if lines.is_empty() => {
                    Err(Refusal::Permanent(format!("Slurm has no partition '{partition}'")))
                }
                _ => Ok(lines),
            }
        })
    }
}

#[cfg(test)]
mod tests;
