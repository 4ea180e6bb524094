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
    collections::BTreeMap,
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
    sync::{Semaphore, oneshot},
    time::timeout,
};

use super::{
    RETRIES, refusal,
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

/// What becomes salloc, with the seconds of processor time that it may have. One whose allocation is
/// cancelled while its command ends waits for that without end, at full speed (seen with 22.05); the
/// kernel ends it, whether there is a gateway then or not. Slurm has ended its job before.
const GUARD: &str = r#"seconds=$1
shift
ulimit -S -t "$seconds" 2>/dev/null
exec salloc "$@""#;

/// It takes some hundredths of a second.
const CPU_SECONDS: u32 = 20;

/// What salloc runs, here, without salloc's limit. Complaints of srun go where the script's output goes (`$1`), if that
/// is to be seen here, else to this program.
const LAUNCHER: &str = r#"ulimit -S -t "$(ulimit -H -t)"
echo "redirector-allocation $SLURM_JOB_ID"
if ( : >>"$1" ) 2>/dev/null
then exec 2>>"$1"
fi
shift
exec srun "$@" >/dev/null"#;

/// What there is of them.
pub(super) struct Immediate {
    turns: Arc<Semaphore>,
    shared: Arc<Shared>,
    /// How long a salloc may take to tell an id, and then to end if it has told none.
    patience: Duration,
    cpu_seconds: u32,
}

#[derive(Default)]
struct Shared {
    /// Until when each partition is left to sbatch; the empty name is that of the default one.
    resting: Mutex<BTreeMap<String, Instant>>,
    /// Those whose script may not have been begun, and what srun said if that is not in the
    /// script's output.
    unbegun: Mutex<BTreeMap<EngineJobId, String>>,
}

/// What a salloc does first.
enum First {
    /// It has an allocation.
    Told(EngineJobId),
    /// It ends without one.
    Ended,
    /// It would sleep and try again.
    Retries,
}

impl Immediate {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(MOST)),
            shared: Arc::default(),
            patience: LIMIT,
            cpu_seconds: CPU_SECONDS,
        }
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
        if !tools.has("salloc") {
            self.shared.rest(partition, BROKEN);
            return Ok(None);
        }
        let guarded = ["-c".into(), GUARD.into(), "sh".into(), self.cpu_seconds.to_string().into()];
        let mut command = tools.command("/bin/sh", guarded.into_iter().chain(arguments(request)));
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
        let (retry, mut retries) = oneshot::channel();
        let words = Arc::new(Words::default());
        let listener = tokio::spawn(listen(child.stderr.take(), Arc::clone(&words), retry));
        let told = told(child.stdout.take());
        let first = timeout(self.patience, async {
            tokio::select! {
                Ok(()) = &mut retries => First::Retries,
                id = told => id.map_or(First::Ended, First::Told),
            }
        });
        let id = match first.await {
            Ok(First::Told(id)) => id,
            Ok(First::Ended) => {
                self.shared.rest(partition, BUSY);
                self.give_up(child, &words).await.ok();
                listener.await.ok();
                let complaint = words.said();
                tracing::debug!("salloc gives nothing at once: {complaint}");
                return match refusal(complaint) {
                    Refusal::Permanent(_) => Ok(None),
                    refusal => Err(refusal),
                };
            }
            Ok(First::Retries) => {
                self.shared.rest(partition, BUSY);
                self.give_up(child, &words).await?;
                return Err(Refusal::Temporary(words.said()));
            }
            Err(_) => {
                self.shared.rest(partition, BROKEN);
                self.give_up(child, &words).await?;
                tracing::debug!("salloc has told no job id in time: {}", words.said());
                return Ok(None);
            }
        };
        let (shared, own) = (Arc::clone(&self.shared), id.clone());
        tokio::spawn(async move {
            let status = child.wait().await;
            drop(turn);
            listener.await.ok();
            shared.ended(own, partition, status.ok(), words.said());
        });
        Ok(Some(id))
    }

    /// Ends a salloc, which gives back what it may have got if it is asked to; SIGKILL would leave
    /// that to nobody.
    ///
    /// # Errors
    /// If it does not end, so that it may still get an allocation.
    async fn give_up(&self, mut child: Child, words: &Words) -> Result<(), Refusal> {
        let Some(leader) = child.id() else { return Ok(()) };
        // It may be gone; then there is nothing to do.
        killpg(Pid::from_raw(leader as i32), Signal::SIGTERM).ok();
        if timeout(self.patience, child.wait()).await.is_ok() {
            return Ok(());
        }
        let said = format!(
            "'salloc' told no job id within {} s, and does not end by SIGTERM: end it by \
             'kill -KILL {leader}' on the gateway's host, and its job in Slurm by 'scancel'; it \
             says: {}",
            self.patience.as_secs(),
            words.said()
        );
        tracing::warn!("{said}");
        Err(Refusal::Unsure(said))
    }

    /// What to make of Slurm's word: a script that was not begun says nothing about others.
    pub(super) fn judge(&self, id: &EngineJobId, status: Status) -> Status {
        match status {
            Status::Ended(End::Done(1..) | End::Signal(_)) => match self.shared.unbegun(id) {
                Some(said) => Status::Ended(End::NotBegun(not_begun(&said))),
                None => status,
            },
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

    fn unbegun(&self, id: &EngineJobId) -> Option<String> {
        self.unbegun.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// A salloc has ended, with the exit status of its srun.
    fn ended(&self, id: EngineJobId, partition: String, status: Option<ExitStatus>, said: String) {
        // srun's own failure; other numbers are the script's.
        if status.is_some_and(|status| status.code() == Some(1)) {
            tracing::debug!("srun of Slurm's job {id} has failed: {said}");
            self.rest(partition, BROKEN);
            self.unbegun.lock().unwrap_or_else(PoisonError::into_inner).insert(id, said);
        }
    }
}

/// What becomes of a job that srun has not begun; `said` is what it said here.
fn not_begun(said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    format!("srun could not begin it{said}, and it is left to sbatch")
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

/// What a salloc has said until now.
#[derive(Default)]
struct Words(Mutex<Vec<u8>>);

impl Words {
    /// The rest counts for nothing.
    const MOST: usize = 16 << 10;

    fn add(&self, piece: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Self::MOST - all.len();
        all.extend(&piece[..piece.len().min(room)]);
    }

    fn said(&self) -> String {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&all).trim().to_owned()
    }
}

/// Reads all that salloc says, for it would end of a pipe that is closed; `retry` is told when it
/// would sleep and try again.
async fn listen(
    stderr: Option<impl AsyncRead + Unpin>,
    words: Arc<Words>,
    retry: oneshot::Sender<()>,
) {
    let mut piece = [0; 1024];
    let mut retry = Some(retry);
    let Some(mut stderr) = stderr else { return };
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        words.add(&piece[..count]);
        let said = words.said();
        if RETRIES.iter().any(|saying| said.contains(saying))
            && let Some(retry) = retry.take()
        {
            // Nobody waits for this any more if it has told an id.
            retry.send(()).ok();
        }
    }
}

#[cfg(test)]
mod tests;
