//! Any engine that has commands to submit, list and cancel: PBS, Torque, LSF, `HTCondor`, OAR, …
//!
//! ```toml
//! [[pools]]
//! name   = "pbs"
//! engine = "command"
//! submit = "qsub -N {name} -l select=1:ncpus={cpus}:mem={mem_mb}mb -o {output} -j oe {script}"
//! status = "qstat {ids}"
//! cancel = "qdel {ids}"
//! status_pattern = '^(?<id>\d+)\S*\s+.*\s(?<state>[A-Z])\s+\S+$'
//! ```
//!
//! A template is split into words as a shell would do it, and then each `{…}` is replaced within its
//! word: whatever a job is called, it can neither add words nor be evaluated by a shell.

mod reading;
mod template;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use self::{reading::Reading, template::Values};
use super::{
    Answer, Batch, EngineJobId, Mark, Refusal, Request, Status,
    tools::{Said, Tools},
};
use crate::config::{Pool, Templates};

/// Most ids on one command line, which may have 128 KiB.
const AT_ONCE: usize = 1000;

const ADVICE: &str = "correct the command in the pool's settings, or set PATH in its 'engine_env'";

/// An engine that consists of three commands.
pub struct Command {
    tools: Tools,
    templates: Templates,
    reading: Reading,
    /// Of the pool; told in messages.
    pool: String,
}

impl Command {
    /// That of a pool.
    ///
    /// # Errors
    /// If a pattern cannot be used.
    pub fn new(pool: &Pool, templates: &Templates) -> Result<Self, Refusal> {
        let reading = Reading::new(templates)
            .map_err(|reason| Refusal::Permanent(format!("pool {}: {reason}", pool.name)))?;
        let tools = Tools::new(&pool.engine_env, ADVICE);
        Ok(Self { tools, templates: templates.clone(), reading, pool: pool.name.clone() })
    }

    async fn run(&self, words: Vec<OsString>, input: &str) -> Result<Said, Refusal> {
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default();
        let program = program.to_string_lossy();
        Ok(self.tools.run_with(&program, words, input, &[]).await?)
    }

    async fn submit(&self, request: &Request) -> Result<EngineJobId, Refusal> {
        let wants_file = self.templates.submit.iter().any(|word| word.contains("{script}"));
        let script = script_file(request);
        let values = Values::of_request(request, &script);
        if let Some(name) = values.missing(&self.templates.submit) {
            return Err(Refusal::Permanent(format!(
                "pool {}: 'submit' has {name}, for which this job has no value: add {}, or take \
                 {name} out of 'submit'",
                self.pool,
                template::setting_of(name)
            )));
        }
        if wants_file {
            write_script(request, &script)?;
        }
        let words = values.fill(&self.templates.submit);
        let input = if wants_file { "" } else { &request.script };
        let said = self.run(words, input).await?;
        if !said.status.success() {
            // What a site's own commands say cannot be known, so that no complaint is final but
            // those of a shell that finds no program.
            let complaint = format!("pool {}: {}", self.pool, said.complaint());
            return Err(match said.status.code() {
                Some(126 | 127) => Refusal::Permanent(complaint),
                Some(code) if code == TRY_AGAIN => Refusal::Temporary(complaint),
                _ => Refusal::Permanent(complaint),
            });
        }
        self.reading.id(&said.stdout).ok_or_else(|| {
            Refusal::Unsure(format!(
                "pool {}: 'submit' tells no job id ('id_pattern' finds it); it says: {}",
                self.pool,
                said.complaint()
            ))
        })
    }

    /// Runs `template` for `jobs`: in one call if it takes all ids, else in one for each. What was
    /// said comes with the jobs that it was said of.
    async fn run_for(
        &self,
        template: &[String],
        jobs: &[EngineJobId],
    ) -> Result<Vec<(Vec<EngineJobId>, Said)>, Refusal> {
        let takes_all = template.iter().any(|word| word.contains("{ids}"));
        let takes_one = template.iter().any(|word| word.contains("{id}"));
        let at_once = if takes_one && !takes_all { 1 } else { AT_ONCE };
        let mut said = Vec::new();
        for jobs in jobs.chunks(at_once) {
            let words = Values::of_jobs(jobs).fill(template);
            said.push((jobs.to_vec(), self.run(words, "").await?));
        }
        Ok(said)
    }

    async fn list(&self, jobs: &[EngineJobId]) -> Result<Listing, Refusal> {
        let mut listing = Listing::default();
        for (_, said) in self.run_for(&self.templates.status, jobs).await? {
            let found = self.reading.jobs(&said.stdout);
            let is_empty = found.is_empty() && said.stdout.trim().is_empty();
            // Some engines fail when one of the jobs is unknown, and tell the others.
            if !said.status.success() && is_empty && !is_unknown_job(&said.complaint()) {
                let complaint = said.complaint();
                listing.trouble = Some(format!("pool {}: 'status' says: {complaint}", self.pool));
            }
            listing.jobs.extend(found);
        }
        Ok(listing)
    }

    async fn states(&self, jobs: &[EngineJobId]) -> Result<Vec<(EngineJobId, Status)>, Refusal> {
        let listing = self.list(jobs).await?;
        Ok(jobs.iter().map(|id| (id.clone(), listing.status(id))).collect())
    }

    async fn cancel(&self, jobs: &[EngineJobId]) -> Result<(), Refusal> {
        if jobs.is_empty() {
            return Ok(());
        }
        let mut not_taken = BTreeSet::new();
        let mut complaints = BTreeSet::new();
        for (of, said) in self.run_for(&self.templates.cancel, jobs).await? {
            if !said.status.success() && !tells_only_of_ended_jobs(&said.complaint()) {
                complaints.insert(said.complaint());
                not_taken.extend(of);
            }
        }
        // Commands of this kind fail when a job has ended. Whether all have is what counts; one that
        // runs, or is in a state that is not known, may take a moment to end, but only if the engine
        // was told to end it.
        let listing = self.list(jobs).await.unwrap_or_else(|refusal| Listing::none(&refusal));
        let left = jobs.iter().filter_map(|id| {
            let is_ending = listing.jobs.contains_key(id) && !not_taken.contains(id);
            let what = match listing.status(id) {
                Status::Pending { .. } => "waits".to_owned(),
                Status::Running { .. } if !is_ending => "runs".to_owned(),
                Status::Unknown { reason } if !is_ending => reason,
                _ => return None,
            };
            Some(format!("{id} ({what})"))
        });
        let left: Vec<_> = left.collect();
        if left.is_empty() {
            return Ok(());
        }
        let said = complaints.iter().map(|said| format!("; 'cancel' says: {said}"));
        Err(Refusal::Temporary(format!(
            "pool {}: after 'cancel' there may still be {}{}",
            self.pool,
            left.join(", "),
            said.collect::<String>()
        )))
    }
}

/// What `status` has told.
#[derive(Default)]
struct Listing {
    jobs: BTreeMap<EngineJobId, Status>,
    /// Why those that are not listed may be there all the same.
    trouble: Option<String>,
}

impl Listing {
    /// It could not be had.
    fn none(refusal: &Refusal) -> Self {
        Self { jobs: BTreeMap::new(), trouble: Some(refusal.to_string()) }
    }

    fn status(&self, id: &EngineJobId) -> Status {
        match (self.jobs.get(id), &self.trouble) {
            (Some(status), _) => status.clone(),
            (None, Some(reason)) => Status::Unknown { reason: reason.clone() },
            (None, None) => Status::Forgotten,
        }
    }
}

/// The exit status by which a command asks to be run again later: `EX_TEMPFAIL` of `sysexits.h`.
const TRY_AGAIN: i32 = 75;

/// Whether a listing has failed only because the job is not there any more.
fn is_unknown_job(complaint: &str) -> bool {
    let complaint = complaint.to_ascii_lowercase();
    ["unknown job", "not found", "does not exist", "invalid job", "no such job"]
        .iter()
        .any(|saying| complaint.contains(saying))
}

/// Whether jobs were not cancelled only because they have ended.
fn tells_only_of_ended_jobs(complaint: &str) -> bool {
    let has_ended = |line: &str| {
        let line = line.to_ascii_lowercase();
        is_unknown_job(&line)
            || ["has finished", "already finished", "already completed", "invalid for state of job"]
                .iter()
                .any(|saying| line.contains(saying))
    };
    complaint.lines().filter(|line| !line.trim().is_empty()).all(has_ended)
}

/// Where the script of a request is put: beside its output, where the nodes see it.
fn script_file(request: &Request) -> PathBuf {
    let mut file = request.output.clone().into_os_string();
    file.push(".sh");
    file.into()
}

fn write_script(request: &Request, file: &PathBuf) -> Result<(), Refusal> {
    let written = fs::write(file, &request.script)
        .and_then(|()| fs::set_permissions(file, fs::Permissions::from_mode(0o700)));
    written.map_err(|cause| {
        Refusal::Temporary(format!("cannot write the script {}: {cause}", file.display()))
    })
}

impl Batch for Command {
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
        Box::pin(async move {
            match self.status(std::slice::from_ref(job)).await.pop() {
                Some((_, Status::Pending { reason })) if reason.is_empty() => {
                    "it waits; the commands of this pool tell no reason".to_owned()
                }
                Some((_, Status::Pending { reason })) => format!("it waits: {reason}"),
                Some((_, Status::Running { host: Some(host), .. })) => format!("it runs on {host}"),
                Some((_, Status::Running { host: None, .. })) => "it runs".to_owned(),
                Some((_, Status::Ending)) => "it is ending".to_owned(),
                Some((_, Status::Ended(end))) => format!("it {end}"),
                Some((_, Status::Unknown { reason })) => reason,
                Some((_, Status::Forgotten)) | None => format!("'status' does not list {job}"),
            }
        })
    }

    /// Commands have no place for a mark: what is not in the gateway's own journal is not found.
    fn find<'a>(
        &'a self,
        _gateway: &'a str,
    ) -> Answer<'a, Result<Vec<(EngineJobId, Mark)>, Refusal>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn search_by_hand(&self, request: &Request) -> Option<String> {
        let name = template::name(request);
        let list = shell_words::join(&self.templates.status);
        let cancel = shell_words::join(&self.templates.cancel);
        Some(format!(
            "commands cannot look for it (pool {}): look for a job called '{name}' in the engine's \
             own listing (here '{list}'), end it if it is there ('{cancel}'), and correct \
             'id_pattern' of the pool if 'submit' has printed an id",
            self.pool
        ))
    }

    fn version(&self) -> Answer<'_, Result<String, Refusal>> {
        Box::pin(async move {
            let Templates { submit, status, cancel, .. } = &self.templates;
            let commands = [("submit", submit), ("status", status), ("cancel", cancel)];
            let first = |words: &[String]| words.first().cloned().unwrap_or_default();
            let missing: Vec<_> = commands
                .iter()
                .filter(|(_, words)| !self.tools.has(&first(words)))
                .map(|(setting, words)| format!("'{}' of '{setting}'", first(words)))
                .collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                return Err(Refusal::Permanent(format!("there is no program {missing}; {ADVICE}")));
            }
            let programs = commands.map(|(setting, words)| format!("{setting} '{}'", first(words)));
            Ok(format!("commands: {}", programs.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests;
