//! Whether the engine of a pool answers, what it has, and how long a job takes to get there.
//!
//! The probe job goes the way that every job goes: through the gateway, which asks the engine for an
//! allocation, whose agent joins. So it finds whatever is in a job's way, in the same words.

use std::{ffi::CString, time::Duration};

use super::Finding;
use crate::{
    agent::invocation::Invocation,
    client::{
        api::{Client, Error},
        submit::{self, Wishes},
    },
    config::{Engine, Pool, PoolMode, format_duration},
    doctor::Checkup,
    engine::batch,
    model::{Amount, Job, JobId, Outcome, PoolList, Timestamp},
    place::StateDirectory,
};

/// How long a person may be kept waiting for an engine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the probe job runs.
const PROBE: &std::ffi::CStr = c"/bin/true";

/// Looks at one pool.
pub(super) async fn examine(pool: &Pool) -> Checkup {
    let mut findings = engine(pool).await;
    let answers = findings.iter().all(|finding| finding.verdict != super::Verdict::Failed);
    if answers {
        findings.push(match probe(pool).await {
            Ok(finding) => finding,
            Err(problem) => {
                let advice = "see 'redirector status', and gateway.log in the state directory";
                Finding::failed("probe job", format!("it cannot be submitted: {problem}"), advice)
            }
        });
    }
    let address = Some(format!("pool of {}, {}", pool.engine.word(), pool.mode.word()));
    Checkup { computer: pool.name.clone(), address, findings }
}

async fn engine(pool: &Pool) -> Vec<Finding> {
    let settings = format!("see the settings of [[pools]] '{}' in redirector.toml", pool.name);
    let engine = match batch::of(pool) {
        Ok(engine) => engine,
        Err(refusal) => return vec![Finding::failed("engine", refusal.to_string(), settings)],
    };
    let version = match engine.version().await {
        Ok(version) => Finding::ok("engine", version),
        // It says itself what to install.
        Err(refusal) => return vec![Finding::failed("engine", refusal.to_string(), settings)],
    };
    let mut findings = vec![version];
    match engine.capacity(&pool.options).await {
        Ok(lines) => findings.extend(lines.into_iter().map(|line| Finding::ok("capacity", line))),
        Err(refusal) => findings.push(Finding::failed("capacity", refusal.to_string(), settings)),
    }
    findings
}

/// Why a probe job could not be submitted or asked for.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Place(#[from] crate::place::Error),
    #[error(transparent)]
    Client(#[from] Error),
    #[error(transparent)]
    Submission(#[from] submit::Error),
}

async fn probe(pool: &Pool) -> Result<Finding, Problem> {
    let client = Client::starting(&StateDirectory::locate()?)?;
    let wishes = Wishes {
        name: Some("doctor".to_owned()),
        pool: Some(PoolList::from(&*pool.name)),
        cpus: Some(Amount::ONE),
        mem: memory(pool),
        time_limit: Some(PATIENCE),
        ..Wishes::default()
    };
    let invocation = Invocation::new(PROBE.to_owned(), &[CString::from(PROBE)]);
    let submission = submit::prepare(invocation, wishes)?.submission;
    let job = client.submit(&submission).await?.first;
    if let Ok(record) = tokio::time::timeout(PATIENCE, client.job(job, true)).await {
        return Ok(judge(&record?));
    }
    let why = client.explain(job).await?.lines.join(" ");
    client.cancel(job, "the doctor waits no longer").await?;
    Ok(late(job, &why))
}

/// The memory that the probe job has to ask for: a template that has a place for it wants some.
fn memory(pool: &Pool) -> Option<u64> {
    const ENOUGH: u64 = 256 << 20;
    let Engine::Command(templates) = &pool.engine else { return None };
    let asks = templates.submit.iter().any(|word| word.contains("{mem_mb}"));
    (asks && pool.mode == PoolMode::PerJob).then_some(ENOUGH)
}

fn late(job: JobId, why: &str) -> Finding {
    Finding::warning(
        "probe job",
        format!("job {job} had not ended after {}: {why}", format_duration(PATIENCE)),
        "jobs of this pool wait as long; if it is never idle, mode = \"pilot\" has them wait once",
    )
}

/// Judges the probe job by its record.
fn judge(job: &Job) -> Finding {
    const CHECK: &str = "probe job";
    let outcome = match &job.outcome {
        Some(Outcome::Exited { exit_code: 0 }) => return Finding::ok(CHECK, timing(job)),
        Some(outcome) => outcome,
        None => return late(job.id, "it has no outcome"),
    };
    let found = match outcome.reason() {
        Some(reason) => format!("job {} is {outcome}: {reason}", job.id),
        None => format!("job {} is {outcome}", job.id),
    };
    Finding::failed(CHECK, found, "what it says is what every job of this pool would be told")
}

fn timing(job: &Job) -> String {
    let node = job.node.as_ref().map_or_else(|| "no node".to_owned(), ToString::to_string);
    let since = |later: Option<Timestamp>, earlier: Timestamp| {
        format_duration(later.map_or(Duration::ZERO, |later| later.since(earlier)))
    };
    let started = job.started.unwrap_or(job.submitted);
    format!(
        "job {} ran on {node}: it waited {} and took {}",
        job.id,
        since(job.started, job.submitted),
        since(job.ended, started)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_pool_that_is_busy_is_no_failure() {
        let finding = late(JobId(7), "it waits for free cpus");
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.found.contains("job 7") && finding.found.contains("free cpus"));
    }
}
