//! What agents have said of attempts whose ends their engines are to explain: kept in a file each, so
//! that the agent can go at once, until the outcome is in the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    allocation::Claim,
    doubts::Seems,
    kept,
    machine::Happened,
    verdicts::{Circumstances, verdict},
};
use crate::{
    agent::protocol::Ended,
    engine::batch::End,
    gateway::core::Core,
    model::{JobId, NodeName, Outcome, Timestamp},
    place::StateDirectory,
    units::format_duration,
};

/// An agent's last word on an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Word {
    node: NodeName,
    ended: Ended,
}

/// All that wait for an engine.
#[derive(Debug)]
pub(super) struct Testimony {
    directory: PathBuf,
    words: BTreeMap<JobId, Word>,
}

impl Testimony {
    /// With what an earlier gateway has left.
    pub(super) fn load(state: &StateDirectory) -> Self {
        let directory = state.allocations().join("ended");
        let words = match read_all(&directory) {
            Ok(words) => words,
            Err(error) => {
                tracing::error!("what agents have said of jobs cannot be read: {error}");
                BTreeMap::new()
            }
        };
        Self { directory, words }
    }

    fn file(&self, job: JobId) -> PathBuf {
        self.directory.join(format!("{job}.json"))
    }

    fn keep(&mut self, word: Word) -> io::Result<()> {
        let job = word.ended.attempt.job;
        let file = self.file(job);
        fs::create_dir_all(&self.directory)?;
        kept::write(&file, &serde_json::to_vec(&word)?)?;
        self.words.insert(job, word);
        Ok(())
    }
}

fn read_all(directory: &Path) -> io::Result<BTreeMap<JobId, Word>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut words = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "json") {
            let word: Option<Word> = kept::read_or_put_aside(&path);
            words.extend(word.map(|word| (word.ended.attempt.job, word)));
        }
    }
    Ok(words)
}

/// How an end looks that may be none of the job's own; `None`: it is the job's own.
fn seems(ended: &Ended) -> Option<Seems> {
    match ended.outcome {
        // Whoever waits for it has sent it, such as `timeout`.
        Outcome::Signaled { signal, .. } if ended.passed_on == Some(signal) => None,
        Outcome::Signaled { signal: libc::SIGTERM | libc::SIGKILL, .. } => Some(Seems::Killed),
        Outcome::Cancelled { .. } | Outcome::Lost { .. } => Some(Seems::Abandoned),
        _ => None,
    }
}

impl Core {
    /// Whether an attempt at a job is over, and its engine is to say why.
    pub(in crate::gateway::core) fn is_doubted(&self, job: JobId) -> bool {
        self.pools.as_ref().is_some_and(|pools| pools.testimony.words.contains_key(&job))
    }

    /// All such jobs.
    pub(in crate::gateway::core) fn doubted(&self) -> BTreeSet<JobId> {
        let words = self.pools.as_ref().map(|pools| pools.testimony.words.keys().copied());
        words.into_iter().flatten().collect()
    }

    /// An agent says that an attempt has ended; given back if that is all there is to be known.
    pub(in crate::gateway::core) fn doubt(
        &mut self,
        node: &NodeName,
        ended: Ended,
    ) -> Option<Ended> {
        let job = ended.attempt.job;
        if self.is_doubted(job) {
            return None;
        }
        let Some(seems) = seems(&ended) else { return Some(ended) };
        let is_our_doing = self.live.get(&job).is_none_or(|live| live.ending.is_some());
        let Some(pools) = self.pools.as_mut().filter(|_| !is_our_doing) else { return Some(ended) };
        if !pools.machine.is_in_use(node) {
            return Some(ended);
        }
        let word = Word { node: node.clone(), ended: ended.clone() };
        if let Err(error) = pools.testimony.keep(word) {
            tracing::error!(%job, "cannot note down how it has ended: {error}");
            return Some(ended);
        }
        tracing::info!(%job, %node, "it has ended as {}; the engine is asked why", ended.outcome);
        self.note(Happened::Doubted { job, node: node.clone(), seems });
        None
    }

    /// Takes back what an earlier gateway was told, once all live jobs are known.
    pub(in crate::gateway::core) fn recall_doubts(&mut self) {
        let Some(pools) = &self.pools else { return };
        for (job, word) in pools.testimony.words.clone() {
            let attempt = word.ended.attempt.number;
            let live = self.live.get(&job).filter(|it| it.attempt == attempt);
            match (live, seems(&word.ended)) {
                (Some(live), Some(seems)) if live.ending.is_none() => {
                    self.note(Happened::Doubted { job, node: word.node, seems });
                }
                (Some(_), _) => drop(self.believe(job)),
                (None, _) => self.forget_testimony(job),
            }
        }
    }

    /// A job has ended as its agent said, if its engine was to explain that.
    pub(in crate::gateway::core) fn believe(&mut self, job: JobId) -> bool {
        let word = self.pools.as_ref().and_then(|pools| pools.testimony.words.get(&job));
        let Some(Ended { outcome, usage, at, .. }) = word.map(|word| word.ended.clone()) else {
            return false;
        };
        self.placed_ended(job, outcome, Some(usage), at);
        true
    }

    /// An allocation has ended; so have the jobs that ran there.
    pub(super) fn judge(&mut self, claim: &Claim, end: &End) {
        let jobs: Vec<_> = self.running_on(&claim.node).collect();
        for job in jobs {
            let is_our_doing = self.live.get(&job).is_none_or(|live| live.ending.is_some());
            if is_our_doing || self.is_in_no_hands(job) {
                continue;
            }
            let Some(outcome) = self.verdict_on(job, claim, end) else {
                // If nobody said anything it is lost together with the node.
                self.believe(job);
                continue;
            };
            let word = self.pools.as_ref().and_then(|pools| pools.testimony.words.get(&job));
            let (usage, at) = word.map_or_else(
                || (None, Timestamp::now()),
                |word| (Some(word.ended.usage), word.ended.at),
            );
            self.placed_ended(job, outcome, usage, at);
        }
    }

    fn verdict_on(&self, job: JobId, claim: &Claim, end: &End) -> Option<Outcome> {
        let pools = self.pools.as_ref()?;
        let word = pools.testimony.words.get(&job).map(|word| &word.ended);
        let seen = pools.kept.memory(&claim.node);
        let ran = || {
            let started = self.journal.store().job(job).ok()??.started?;
            Some(Timestamp::now().since(started))
        };
        let known = Circumstances {
            allocation: &pools.called(claim),
            time_limit: claim.size.walltime.or_else(ran).unwrap_or_default(),
            mem_limit: seen.map(|seen| seen.limit).or(claim.size.mem).unwrap_or_default(),
            mem_used: seen
                .map(|seen| seen.used)
                .or(word.map(|ended| ended.usage.max_rss))
                .unwrap_or_default(),
        };
        verdict(end, known)
    }

    /// Its outcome is about to be journalled.
    pub(super) fn forget_testimony(&mut self, job: JobId) {
        let Some(pools) = &mut self.pools else { return };
        if pools.testimony.words.remove(&job).is_none() {
            return;
        }
        let file = pools.testimony.file(job);
        // Until then the next gateway needs it: its agent does not know the attempt any more.
        self.journal.after_next_commit(move || {
            if let Err(error) = fs::remove_file(&file) {
                tracing::warn!("cannot remove {}: {error}", file.display());
            }
        });
    }

    /// What a job waits for whose attempt is over.
    pub(in crate::gateway::core) fn why_doubted(&self, job: JobId) -> Option<String> {
        let pools = self.pools.as_ref()?;
        let word = pools.testimony.words.get(&job)?;
        let allocation = pools.machine.allocation(&word.node)?;
        let until = pools.machine.doubts_until(job)?;
        let left = until.saturating_duration_since(Instant::now());
        Some(format!(
            "its attempt on {} has ended as {}; it waits for the engine to say whether {} was ended, \
             for {} at most",
            word.node,
            word.ended.outcome,
            pools.called(&allocation.claim),
            format_duration(Duration::from_secs(left.as_secs()))
        ))
    }
}

impl super::Pools {
    /// An allocation, for people.
    fn called(&self, claim: &Claim) -> String {
        let engine = self.machine.pool(&claim.pool).map_or("engine", |pool| pool.engine.word());
        let id = claim.id.as_ref().map_or_else(String::new, ToString::to_string);
        format!("allocation {} ({engine} job {id})", claim.node)
    }
}
