//! Grid Engine (Son of Grid Engine, Univa's and others of its kind), by its programs.
//!
//! ```text
//! start    qsub -terse, the script on its standard input
//! status   qstat -f -ne -xml for all jobs of the user; qacct for those that it does not list
//! stop     qdel with all ids
//! explain  qalter -w p, which changes nothing and says what is in the way; errors by qstat -j
//! find     qstat -xml -j '*', by the context that qsub was given
//! ```
//!
//! What is different from Slurm: an ended job is nowhere but in the accounts, which are written
//! seconds late, and a job that is deleted before it has begun is not even there. Accounts do not
//! tell a deleted job from one that was killed: both are [`End::Signal`] 9.

mod accounting;
mod listing;
mod queues;
mod submission;

use std::collections::BTreeMap;

use self::listing::Listed;
use super::{
    Answer, Batch, End, EngineJobId, Mark, Refusal, Request, Status, only_numbers,
    tools::{Tools, words},
};
use crate::config::{EngineOptions, Pool};

/// Most ids on one command line, which may have 128 KiB.
const AT_ONCE: usize = 1000;

/// More ended jobs than these are looked up by one reading of the accounts of the last day; fewer by
/// a reading for each.
const SINGLY: usize = 4;

/// Of those that are not among the accounts of the last day, so many are looked up by a reading for
/// each, which goes through all that there are.
const SINGLY_AT_MOST: usize = 20;

const ADVICE: &str = "install Grid Engine's client programs here (Debian: gridengine-client), or \
                      set PATH and SGE_ROOT in the pool's 'engine_env'";

/// What Grid Engine says when it would do the same thing at another time.
const TEMPORARY: [&str; 7] = [
    "unable to contact qmaster",
    "unable to send message to qmaster",
    "can't connect to service",
    "got select error",
    "qmaster is not running",
    "error: commlib error",
    "exceeds limit of jobs",
];

/// What it says when the request may have been taken.
const UNSURE: [&str; 3] =
    ["Error reading answer list", "failed receiving gdi request", "got read error"];

/// What Grid Engine's complaint means for whoever would ask again.
fn refusal(complaint: String) -> Refusal {
    Refusal::of(complaint, &TEMPORARY, &UNSURE)
}

/// `qsub`, `qstat`, `qdel`, `qacct` and `qalter`.
pub struct GridEngine {
    tools: Tools,
    memory_resource: Option<String>,
    gpu_resource: Option<String>,
}

impl GridEngine {
    /// That of a pool.
    pub fn new(
        pool: &Pool,
        memory_resource: &Option<String>,
        gpu_resource: &Option<String>,
    ) -> Self {
        Self {
            tools: Tools::new(&pool.engine_env, ADVICE),
            memory_resource: memory_resource.clone(),
            gpu_resource: gpu_resource.clone(),
        }
    }

    async fn submit(&self, request: &Request) -> Result<EngineJobId, Refusal> {
        let resources = (self.memory_resource.as_deref(), self.gpu_resource.as_deref());
        let arguments = submission::arguments(request, resources)?;
        let said = self.tools.run_with("qsub", arguments, &request.script, &[]).await?;
        match submission::id(&said.stdout) {
            Some(id) if said.status.success() => Ok(EngineJobId(id.to_owned())),
            None if said.status.success() => {
                Err(Refusal::Unsure(format!("qsub tells no job id; it says: {}", said.complaint())))
            }
            _ => Err(refusal(said.complaint())),
        }
    }

    async fn list(&self) -> Result<Vec<Listed>, Refusal> {
        let user = user();
        let said = self.tools.run("qstat", words(["-f", "-ne", "-xml", "-u", &user])).await?;
        if !said.status.success() {
            return Err(refusal(said.complaint()));
        }
        listing::read(&said.stdout)
            .map_err(|reason| Refusal::Temporary(format!("qstat prints no XML: {reason}")))
    }

    /// How the jobs `ids` have ended, as far as the accounts have it.
    async fn ends(&self, ids: &[&EngineJobId]) -> BTreeMap<EngineJobId, End> {
        let mut ends = BTreeMap::new();
        if ids.len() > SINGLY {
            ends = self.ends_of_a_day().await;
        }
        let missing: Vec<_> = ids.iter().filter(|id| !ends.contains_key(**id)).collect();
        for id in missing.into_iter().take(SINGLY_AT_MOST) {
            ends.extend(self.accounts(&["-j", &id.0]).await);
        }
        ends
    }

    /// Of the jobs that ended within the last day. Without `-E` it is those that began then
    /// (`qacct(1)` of 8.1.9; other Grid Engines do not have it), and long ones are missing.
    async fn ends_of_a_day(&self) -> BTreeMap<EngineJobId, End> {
        let user = user();
        let by_start = ["-d", "1", "-o", &user, "-j"];
        let by_end = [&["-E"], &by_start[..]].concat();
        let ends = self.accounts(&by_end).await;
        if ends.is_empty() { self.accounts(&by_start).await } else { ends }
    }

    async fn accounts(&self, arguments: &[&str]) -> BTreeMap<EngineJobId, End> {
        match self.tools.run("qacct", arguments).await {
            Ok(said) => accounting::read(&said.stdout, &user()),
            Err(trouble) => {
                tracing::debug!("qacct: {trouble}");
                BTreeMap::new()
            }
        }
    }

    async fn states(&self, jobs: &[EngineJobId]) -> Result<Vec<(EngineJobId, Status)>, Refusal> {
        let listed: BTreeMap<_, _> =
            self.list().await?.into_iter().map(|job| (job.id.clone(), job)).collect();
        let gone: Vec<_> = jobs.iter().filter(|id| !listed.contains_key(id)).collect();
        let mut ends = self.ends(&gone).await;
        let is_broken =
            |id: &&EngineJobId| listed.get(*id).is_some_and(Listed::could_not_be_started);
        let broken: Vec<_> = jobs.iter().filter(is_broken).collect();
        let errors = self.errors_of(&broken).await;
        let state = |id: &EngineJobId| {
            let ended = || ends.remove(id).map_or(Status::Forgotten, Status::Ended);
            let status = match (listed.get(id).map(Listed::status), errors.get(id)) {
                (Some(Status::Ended(End::Failed(what))), Some(why)) => {
                    Status::Ended(End::Failed(format!("{what}: {why}")))
                }
                (status, _) => status.unwrap_or_else(ended),
            };
            (id.clone(), status)
        };
        Ok(jobs.iter().map(state).collect())
    }

    async fn cancel(&self, jobs: &[EngineJobId]) -> Result<(), Refusal> {
        only_numbers("Grid Engine", jobs)?;
        for jobs in jobs.chunks(AT_ONCE) {
            let said = self.tools.run("qdel", jobs.iter().map(|id| &id.0)).await?;
            if said.status.success() {
                continue;
            }
            let text = format!("{}{}", said.stdout, said.stderr);
            let complaints: Vec<_> = text.lines().filter(|line| matters(line)).collect();
            if !complaints.is_empty() {
                return Err(refusal(complaints.join("\n")));
            }
        }
        Ok(())
    }

    async fn reason(&self, job: &EngineJobId) -> String {
        let listed = match self.list().await {
            Ok(listed) => listed.into_iter().find(|listed| listed.id == *job),
            Err(refusal) => return format!("Grid Engine does not answer: {refusal}"),
        };
        let Some(listed) = listed else {
            return match self.ends(&[job]).await.remove(job) {
                Some(end) => format!("it {end}"),
                None => format!("Grid Engine does not know a job {job} any more"),
            };
        };
        match listed.status() {
            Status::Pending { .. } if listed.is_held() => {
                "it is held by you, a script or an administrator ('qrls ID' lets it go on)"
                    .to_owned()
            }
            Status::Pending { .. } => self.obstacles(job).await,
            Status::Running { host, .. } => {
                let host = host.map(|host| format!(" on {host}")).unwrap_or_default();
                format!("it runs{host}")
            }
            Status::Ending => "it is being ended".to_owned(),
            Status::Ended(end) => match self.errors_of(&[job]).await.remove(job) {
                Some(error) => format!("Grid Engine could not start it: {error}"),
                None => format!("it {end}"),
            },
            Status::Unknown { reason } => reason,
            Status::Forgotten => format!("Grid Engine does not know a job {job} any more"),
        }
    }

    /// What keeps a job from being started now.
    async fn obstacles(&self, job: &EngineJobId) -> String {
        match self.tools.run("qalter", words(["-w", "p", &job.0])).await {
            Ok(said) => submission::obstacles(&format!("{}{}", said.stdout, said.stderr)),
            Err(trouble) => trouble.to_string(),
        }
    }

    /// Why jobs are in state E, as far as Grid Engine tells.
    async fn errors_of(&self, jobs: &[&EngineJobId]) -> BTreeMap<EngineJobId, String> {
        let mut errors = BTreeMap::new();
        for jobs in jobs.chunks(AT_ONCE) {
            let ids: Vec<_> = jobs.iter().map(|id| id.0.as_str()).collect();
            match self.tools.run("qstat", ["-xml", "-j", &ids.join(",")]).await {
                Ok(said) => errors.extend(
                    listing::read_details(&said.stdout)
                        .into_iter()
                        .filter_map(|details| Some((details.id, details.error?))),
                ),
                Err(trouble) => tracing::debug!("qstat -j: {trouble}"),
            }
        }
        errors
    }

    async fn marked(&self, gateway: &str) -> Result<Vec<(EngineJobId, Mark)>, Refusal> {
        let said = self.tools.run("qstat", words(["-xml", "-j", "*"])).await?;
        if !said.status.success() {
            return Err(refusal(said.complaint()));
        }
        let marked = listing::read_details(&said.stdout).into_iter().filter_map(|details| {
            let mark: Mark = details.mark?.parse().ok()?;
            (mark.gateway == gateway).then_some((details.id, mark))
        });
        Ok(marked.collect())
    }
}

/// Whose jobs are listed.
fn user() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Whether qdel's complaint is more than that a job has ended or is ending.
fn matters(line: &str) -> bool {
    let is_fine =
        ["does not exist", "has registered the job", "has deleted job", "already in deletion"];
    !line.trim().is_empty() && !is_fine.iter().any(|saying| line.contains(saying))
}

impl Batch for GridEngine {
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
        Box::pin(self.marked(gateway))
    }

    fn version(&self) -> Answer<'_, Result<String, Refusal>> {
        Box::pin(async move {
            let said = self.tools.run("qstat", ["-help"]).await?;
            let first = said.stdout.lines().next().unwrap_or_default().trim();
            Ok(format!("Grid Engine {first}"))
        })
    }

    fn capacity<'a>(
        &'a self,
        options: &'a EngineOptions,
    ) -> Answer<'a, Result<Vec<String>, Refusal>> {
        Box::pin(async move {
            let only = options.partition.iter().flat_map(|queue| ["-q", queue]);
            let said = self.tools.run("qstat", ["-g", "c"].into_iter().chain(only)).await?;
            if !said.status.success() {
                return Err(refusal(said.complaint()));
            }
            Ok(queues::read(&said.stdout))
        })
    }
}

#[cfg(test)]
mod tests;
