//! Allocations that begin at once, by salloc and srun.
//!
//! Slurm begins what sbatch hands in on its next round, which comes once a second. To salloc it
//! gives at once what is free at that moment (`docs/decisions/immediate-allocations.md`):
//!
//! ```text
//! salloc --immediate … sh ──► tells its job id ──► srun … sh ──► the script, on the node
//!    └── both live here until the script ends, and give the allocation back then
//! ```
//!
//! Since they take up memory here, there are only a few at a time; all others are sbatch's. So is
//! whatever does not work this way, and nobody is told of that: sbatch says it in its own words.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::unix::ffi::OsStrExt,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::Child,
    sync::Semaphore,
    time::timeout,
};

use super::{
    refusal,
    submission::{file_name_pattern, of_allocation, with_bytes},
};
use crate::engine::batch::{
    End, EngineJobId, Refusal, Request, Status,
    tools::{LIMIT, Tools},
};

/// So many at a time: each is two processes here.
const MOST: usize = 8;

/// How long sbatch is preferred where nothing was free: an allocation that salloc gives up takes
/// a job id of Slurm each time.
const BUSY: Duration = Duration::from_secs(10);

/// … and where a script was not begun.
const BROKEN: Duration = Duration::from_mins(10);

/// What the line begins with that tells the job id: a site's filter may print lines, too.
const TOLD: &str = "redirector-allocation ";

/// What salloc runs, here. Complaints of srun go where the script's output goes (`$1`), if that
/// is to be seen here.
const LAUNCHER: &str = r#"echo "redirector-allocation $SLURM_JOB_ID"
output=$1
shift
( : >>"$output" ) 2>/dev/null || output=/dev/null
exec srun "$@" >/dev/null 2>>"$output""#;

/// What there is of them.
pub(super) struct Immediate {
    turns: Arc<Semaphore>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Until when each partition is left to sbatch; the empty name is that of the default one.
    resting: Mutex<BTreeMap<String, Instant>>,
    /// Those whose script may not have been begun.
    unbegun: Mutex<BTreeSet<EngineJobId>>,
}

impl Immediate {
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(MOST)), shared: Arc::default() }
    }

    /// Starts one, unless that is to be left to sbatch.
    pub(super) async fn start(
        &self,
        tools: &Tools,
        request: &Request,
    ) -> Result<Option<EngineJobId>, Refusal> {
        let options = &request.options;
        // Arguments are sbatch's, and steps have to be asked for generic resources once more.
        let is_plain = options.arguments.is_empty() && options.gres.is_none() && request.gpus == 0;
        let partition = options.partition.clone().unwrap_or_default();
        if !request.immediate || !is_plain || self.shared.rests(&partition) {
            return Ok(None);
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else { return Ok(None) };
        let mut command = tools.command("salloc", arguments(request));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let own =
            command.as_std().get_envs().map(|(name, value)| (name.into(), value.map(Into::into)));
        let all = std::env::vars_os().map(|(name, value)| (name, Some(value))).chain(own);
        for (name, value) in variables(all) {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let Ok(mut child) = command.spawn() else {
            self.shared.rest(partition, BROKEN);
            return Ok(None);
        };
        let complaint = tokio::spawn(collect(child.stderr.take()));
        let Ok(told) = timeout(LIMIT, told(child.stdout.take())).await else {
            give_up(child).await;
            return Err(Refusal::Temporary(format!(
                "'salloc' did not answer within {} s",
                LIMIT.as_secs()
            )));
        };
        let Some(id) = told else {
            give_up(child).await;
            self.shared.rest(partition, BUSY);
            let complaint = complaint.await.unwrap_or_default();
            tracing::debug!("salloc gives nothing at once: {complaint}");
            return match refusal(complaint) {
                Refusal::Permanent(_) => Ok(None),
                refusal => Err(refusal),
            };
        };
        let (shared, own) = (Arc::clone(&self.shared), id.clone());
        tokio::spawn(async move {
            let status = child.wait().await;
            drop(turn);
            shared.ended(own, partition, status.ok());
        });
        Ok(Some(id))
    }

    /// What to make of Slurm's word: a script that was not begun says nothing about others.
    pub(super) fn judge(&self, id: &EngineJobId, status: Status) -> Status {
        match status {
            Status::Ended(End::Done(1..) | End::Signal(_)) if self.shared.is_unbegun(id) => {
                let reason = "srun could not begin it, sbatch may".to_owned();
                Status::Ended(End::NotBegun(reason))
            }
            other => other,
        }
    }
}

impl Shared {
    fn rests(&self, partition: &str) -> bool {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.get(partition).is_some_and(|until| Instant::now() < *until)
    }

    fn rest(&self, partition: String, time: Duration) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.insert(partition, Instant::now() + time);
    }

    fn is_unbegun(&self, id: &EngineJobId) -> bool {
        self.unbegun.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// A salloc has ended, with the exit status of its srun.
    fn ended(&self, id: EngineJobId, partition: String, status: Option<ExitStatus>) {
        // srun's own failure; other numbers are the script's.
        if status.is_some_and(|status| status.code() == Some(1)) {
            tracing::debug!("srun of Slurm's job {id} has failed");
            self.rest(partition, BROKEN);
            self.unbegun.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
    }
}

/// The arguments of salloc, with all that it runs.
fn arguments(request: &Request) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["--quiet", "--immediate"].map(OsString::from).into();
    all.append(&mut of_allocation(request));
    if request.directory.is_dir() {
        all.push(in_directory(request));
    }
    all.extend(["/bin/sh", "-c", LAUNCHER, "sh"].map(OsString::from));
    all.push(request.output.clone().into());
    // '--overlap': the script may have steps of its own, as one of sbatch's may.
    all.extend(
        ["--quiet", "--overlap", "--mpi=none", "--input=none", "--open-mode=append"]
            .map(OsString::from),
    );
    all.push(with_bytes("--output=", &file_name_pattern(&request.output)));
    all.push(in_directory(request));
    // Steps do not take this one from their allocation.
    all.push(format!("--cpus-per-task={}", request.cpus).into());
    all.extend(["/bin/sh", "-c", &request.script].map(OsString::from));
    all
}

fn in_directory(request: &Request) -> OsString {
    with_bytes("--chdir=", request.directory.as_os_str().as_bytes())
}

/// What to change of the environment so that salloc takes for granted what sbatch would.
fn variables(
    all: impl IntoIterator<Item = (OsString, Option<OsString>)>,
) -> BTreeMap<OsString, Option<OsString>> {
    let (mut changes, mut of_sbatch) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in all {
        let bytes = name.as_bytes();
        if let Some(option) = bytes.strip_prefix(b"SBATCH_") {
            of_sbatch.insert(with_bytes("SALLOC_", option), value);
        } else if bytes.starts_with(b"SALLOC_") {
            changes.insert(name, None);
        }
    }
    changes.append(&mut of_sbatch);
    changes
}

/// The id, as soon as it is told; `None`: salloc has ended before.
async fn told(stdout: Option<impl AsyncRead + Unpin>) -> Option<EngineJobId> {
    let mut lines = BufReader::new(stdout?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(id) = line.strip_prefix(TOLD)
            && !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Some(EngineJobId(id.to_owned()));
        }
    }
    None
}

async fn collect(stderr: Option<impl AsyncRead + Unpin>) -> String {
    /// The rest is read too, for salloc would end of a pipe that is closed.
    const MOST: usize = 16 << 10;
    let mut all = Vec::new();
    let mut piece = [0; 1024];
    let Some(mut stderr) = stderr else { return String::new() };
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        all.extend(&piece[..count.min(MOST - all.len().min(MOST))]);
    }
    String::from_utf8_lossy(&all).trim().to_owned()
}

/// Ends a salloc, which gives back what it may have got if it is asked to; SIGKILL would leave
/// that to nobody.
async fn give_up(mut child: Child) {
    if let Some(leader) = child.id() {
        // It may be gone; then there is nothing to do.
        killpg(Pid::from_raw(leader as i32), Signal::SIGTERM).ok();
    }
    if timeout(LIMIT, child.wait()).await.is_err() {
        tracing::warn!("a salloc (process {:?}) does not end: kill it", child.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batch::request::tests::small;

    #[test]
    fn salloc_runs_srun_which_runs_the_script() {
        let mut request = small();
        request.cpus = 2;
        request.output = "/tmp/50%/out".into();
        let words: Vec<_> =
            arguments(&request).into_iter().map(|word| word.into_string().unwrap()).collect();
        assert_eq!(words[..3], ["--quiet", "--immediate", "--job-name=run.rule"]);
        let shell = words.iter().position(|word| word == LAUNCHER).unwrap();
        assert_eq!(words[shell + 1..shell + 3], ["sh", "/tmp/50%/out"]);
        for word in ["--output=/tmp/50%%/out", "--chdir=/tmp", "--cpus-per-task=2"] {
            assert!(words[shell..].contains(&word.to_owned()), "{word} in {words:?}");
        }
        assert_eq!(words[words.len() - 2..], ["-c", "#!/bin/sh\n"]);
    }

    #[test]
    fn what_is_set_for_sbatch_counts_and_nothing_else() {
        let all = [
            ("SBATCH_PARTITION", Some("long")),
            ("SALLOC_PARTITION", Some("interactive")),
            ("SALLOC_ACCOUNT", Some("a")),
            ("SBATCH_QOS", Some("early")),
            ("SBATCH_QOS", None),
            ("HOME", Some("/root")),
        ];
        let all = all.map(|(name, value)| (name.into(), value.map(OsString::from)));
        let expected =
            [("SALLOC_ACCOUNT", None), ("SALLOC_PARTITION", Some("long")), ("SALLOC_QOS", None)];
        let expected = expected.map(|(name, value)| (name.into(), value.map(OsString::from)));
        assert_eq!(variables(all), BTreeMap::from(expected));
    }

    #[tokio::test]
    async fn the_id_is_found_among_what_a_site_prints() {
        let id = told(Some(&b"Welcome\nredirector-allocation 12\n"[..])).await;
        assert_eq!(id, Some(EngineJobId("12".to_owned())));
        assert_eq!(told(Some(&b"Welcome\nredirector-allocation \n"[..])).await, None);
    }
}
