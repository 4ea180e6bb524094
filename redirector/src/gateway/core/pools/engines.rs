//! Talks to batch engines, off the core's thread of thought: each request is a task, and its
//! answer a message.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc::UnboundedSender};

use crate::{
    config::{Engine, Pool},
    engine::batch::{self, Batch, EngineJobId, Mark, Refusal, Request, Status},
    gateway::message::Message,
    model::{NodeName, Text},
};

/// So many submissions to an engine are under way at the same time.
const SUBMISSIONS: usize = 8;

/// What an engine has answered.
pub(in crate::gateway) enum Answer {
    /// A request for an allocation.
    Submitted { node: NodeName, result: Result<EngineJobId, Refusal> },
    /// What has become of allocations, if it was asked then.
    Told { engine: usize, statuses: Vec<(NodeName, Status)>, asked: Instant },
    /// It was told to end what it calls this.
    Stopped { node: NodeName, id: EngineJobId, result: Result<(), Refusal> },
    /// Which of its jobs are this gateway's.
    Found { engine: usize, result: Result<Vec<(EngineJobId, Mark)>, Refusal> },
}

/// All engines of the configuration.
pub(super) struct Engines {
    /// Each with the settings that tell it from others, and how to reach it.
    reached: Vec<(Site, Reach)>,
    of_pools: BTreeMap<String, usize>,
    messages: UnboundedSender<Message>,
}

/// What tells one engine from another: its settings, and the variables of its programs.
type Site = (Engine, BTreeMap<Text, Option<Text>>);

/// How an engine is reached.
#[derive(Clone)]
struct Reach {
    batch: Arc<dyn Batch>,
    submissions: Arc<Semaphore>,
}

impl Engines {
    /// Those of `pools`, and why pools have none.
    pub(super) fn of<'a>(
        pools: impl IntoIterator<Item = &'a Pool>,
        messages: UnboundedSender<Message>,
    ) -> (Self, BTreeMap<String, Refusal>) {
        let mut all = Self { reached: Vec::new(), of_pools: BTreeMap::new(), messages };
        let mut troubles = BTreeMap::new();
        for pool in pools {
            let key = (pool.engine.clone(), pool.engine_env.clone());
            let known = all.reached.iter().position(|(other, _)| *other == key);
            let index = match known.map_or_else(|| batch::of(pool).map(Err), |it| Ok(Ok(it))) {
                Ok(Ok(known)) => known,
                Ok(Err(engine)) => {
                    let submissions = Arc::new(Semaphore::new(SUBMISSIONS));
                    all.reached.push((key, Reach { batch: engine.into(), submissions }));
                    all.reached.len() - 1
                }
                Err(refusal) => {
                    troubles.insert(pool.name.clone(), refusal);
                    continue;
                }
            };
            all.of_pools.insert(pool.name.clone(), index);
        }
        (all, troubles)
    }

    pub(super) fn all(&self) -> std::ops::Range<usize> {
        0..self.reached.len()
    }

    /// How often each may be asked: as often as one of its pools says.
    pub(super) fn intervals<'a>(&self, pools: impl IntoIterator<Item = &'a Pool>) -> Vec<Duration> {
        let mut intervals = vec![None; self.reached.len()];
        for pool in pools {
            if let Some(known) = self.of_pool(&pool.name).map(|engine| &mut intervals[engine]) {
                *known = Some(known.map_or(pool.interval, |it: Duration| it.min(pool.interval)));
            }
        }
        intervals.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The engine of a pool.
    pub(super) fn of_pool(&self, pool: &str) -> Option<usize> {
        self.of_pools.get(pool).copied()
    }

    fn reach(&self, engine: usize) -> Reach {
        self.reached[engine].1.clone()
    }

    fn answer(&self, answer: impl Future<Output = Answer> + Send + 'static) {
        let messages = self.messages.clone();
        tokio::spawn(async move {
            // Fails only when the core is gone.
            drop(messages.send(Message::Engine(answer.await)));
        });
    }

    /// Hands a request in. If that may have been done before, it is looked for first.
    pub(super) fn submit(&self, engine: usize, node: NodeName, request: Request, is_new: bool) {
        let reach = self.reach(engine);
        self.answer(async move {
            let _turn = reach.submissions.acquire().await;
            let result = submit(&*reach.batch, &request, is_new).await;
            Answer::Submitted { node, result }
        });
    }

    /// Asks for all of these at once.
    pub(super) fn ask(&self, engine: usize, jobs: Vec<(NodeName, EngineJobId)>) {
        let reach = self.reach(engine);
        self.answer(async move {
            let (nodes, ids): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            let asked = Instant::now();
            let statuses = reach.batch.status(&ids).await.into_iter().map(|(_, status)| status);
            Answer::Told { engine, statuses: nodes.into_iter().zip(statuses).collect(), asked }
        });
    }

    /// Looks for this gateway's jobs.
    pub(super) fn find(&self, engine: usize, gateway: String) {
        let reach = self.reach(engine);
        self.answer(
            async move { Answer::Found { engine, result: reach.batch.find(&gateway).await } },
        );
    }

    /// Ends jobs; returns when the engine has heard it.
    pub(super) fn stop(
        &self,
        engine: usize,
        jobs: Vec<EngineJobId>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + 'static {
        let reach = self.reach(engine);
        async move { reach.batch.stop(&jobs).await }
    }

    /// Ends an allocation, and says what came of it.
    pub(super) fn stop_one(&self, engine: usize, node: NodeName, id: EngineJobId) {
        let stopped = self.stop(engine, vec![id.clone()]);
        self.answer(async move { Answer::Stopped { node, id, result: stopped.await } });
    }

    /// Why a job waits.
    pub(super) fn explain(
        &self,
        engine: usize,
        job: EngineJobId,
    ) -> impl Future<Output = String> + Send + 'static {
        let reach = self.reach(engine);
        async move { reach.batch.explain(&job).await }
    }
}

async fn submit(
    batch: &dyn Batch,
    request: &Request,
    is_new: bool,
) -> Result<EngineJobId, Refusal> {
    let by_hand = batch.search_by_hand(request);
    match &by_hand {
        // Each repetition might be one more job that nobody knows.
        Some(by_hand) if !is_new => {
            return Err(not_repeated("it was asked for already, and no answer is known", by_hand));
        }
        None if !is_new => {
            if let Some(id) = look_for(batch, &request.mark).await? {
                return Ok(id);
            }
        }
        Some(_) | None => {}
    }
    match (batch.start(request).await, by_hand) {
        (Err(Refusal::Unsure(reason)), Some(by_hand)) => Err(not_repeated(&reason, &by_hand)),
        (Err(Refusal::Unsure(reason)), None) => match look_for(batch, &request.mark).await {
            Ok(Some(id)) => Ok(id),
            Ok(None) => Err(Refusal::Temporary(reason)),
            Err(_) => Err(Refusal::Unsure(reason)),
        },
        (result, _) => result,
    }
}

/// The answer to a request that may have been taken, of an engine whose jobs cannot be looked for.
fn not_repeated(reason: &str, by_hand: &str) -> Refusal {
    Refusal::Permanent(format!(
        "{reason}; the engine may have taken the job, so that it is not submitted again; {by_hand}"
    ))
}

async fn look_for(batch: &dyn Batch, mark: &Mark) -> Result<Option<EngineJobId>, Refusal> {
    let found = batch.find(&mark.gateway).await.map_err(|refusal| {
        // Whether it was taken is not known as long as nobody says so.
        Refusal::Unsure(refusal.to_string())
    })?;
    Ok(found.into_iter().find(|(_, other)| other == mark).map(|(id, _)| id))
}

/// The script of an allocation: it becomes the agent.
pub(super) fn script(program: &Text, invitation: &Text) -> Vec<u8> {
    let mut script = b"#!/bin/sh\nexec ".to_vec();
    script.extend(quoted(program));
    script.extend(b" agent --join ");
    script.extend(quoted(invitation));
    script.push(b'\n');
    script
}

/// As one word for a shell.
fn quoted(text: &Text) -> Vec<u8> {
    let mut word = b"'".to_vec();
    for byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend(br"'\''"),
            other => word.push(*other),
        }
    }
    word.push(b'\'');
    word
}

/// A path of an engine's request.
pub(super) fn path(text: &Text) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::config::{EngineOptions, PoolMode, Templates};

    /// A pool of commands whose `submit` notes each call and prints `printed`.
    fn commands(directory: &Path, printed: &str) -> Box<dyn Batch> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let calls = directory.join("calls");
        let script = format!("echo call >>'{}'; echo '{printed}'", calls.display());
        let templates = Templates {
            submit: words(&["sh", "-c", &script]),
            status: words(&["qstat", "{ids}"]),
            cancel: words(&["qdel", "{ids}"]),
            id_pattern: Some("job ([0-9]+)".to_owned()),
            status_pattern: None,
            states: BTreeMap::new(),
        };
        let pool = Pool::minimal("pbs", Engine::Command(templates), PoolMode::PerJob);
        batch::of(&pool).unwrap()
    }

    fn request() -> Request {
        Request {
            name: "run.rule".to_owned(),
            mark: Mark { gateway: "g1".to_owned(), allocation: "pbs-1".to_owned(), job: None },
            cpus: 1,
            mem: None,
            walltime: None,
            gpus: 0,
            immediate: false,
            directory: "/tmp".into(),
            script: "#!/bin/sh\n".to_owned(),
            output: "/tmp/output".into(),
            options: EngineOptions::default(),
        }
    }

    #[tokio::test]
    async fn what_may_have_been_taken_and_cannot_be_looked_for_is_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let engine = commands(directory.path(), "taken as 17.pbs");
        let Err(Refusal::Permanent(said)) = submit(&*engine, &request(), true).await else {
            panic!("it is asked again")
        };
        for part in
            ["taken as 17.pbs", "may have taken", "'run.rule'", "qstat", "qdel", "'id_pattern'"]
        {
            assert!(said.contains(part), "{part} in {said}");
        }
        // A gateway before this one had asked.
        let refusal = submit(&*engine, &request(), false).await.unwrap_err();
        assert!(matches!(&refusal, Refusal::Permanent(said) if said.contains("qdel")), "{refusal}");
        assert_eq!(fs::read_to_string(directory.path().join("calls")).unwrap(), "call\n");
    }

    #[tokio::test]
    async fn what_is_taken_has_an_id() {
        let directory = tempfile::tempdir().unwrap();
        let engine = commands(directory.path(), "job 17");
        let id = submit(&*engine, &request(), true).await;
        assert_eq!(id, Ok(EngineJobId("17".to_owned())));
    }
}
