//! The gateway's HTTP API, for everything that is not in the path of a command.

use std::{io, path::PathBuf};

use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::start_gateway::{self, ensure_gateway};
use crate::{
    config::Host,
    model::{Job, JobId, NodeName, State},
    place::{self, StateDirectory, Stream},
    protocol::{
        Cancellation, DetachedSubmission, Explained, LOG_PATH, LogEntry, NodeStatus, PAGE, Problem,
        Progress, Purge, Purged, Reloaded, Status, Stop, Submitted,
    },
    store::{EndedBetween, Filter},
};

/// A request that got no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error(
        "no gateway is running on {socket}; a redirected command or 'redirector serve' starts one"
    )]
    NotRunning {
        /// Where one would listen.
        socket: PathBuf,
    },
    /// There is no place for one.
    #[error(transparent)]
    Place(#[from] place::Error),
    /// One had to be started, and was not.
    #[error(transparent)]
    Start(#[from] start_gateway::Error),
    /// The gateway said no.
    #[error("{problem}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        problem: Problem,
    },
    /// The exchange broke off.
    #[error("the gateway on {socket} does not answer as it should: {cause}")]
    Http {
        /// Where it listens.
        socket: PathBuf,
        /// What went wrong.
        cause: reqwest::Error,
    },
}

impl Error {
    /// Whether the gateway may have left while it was asked, so that another one
    /// would answer.
    pub fn may_have_left(&self) -> bool {
        matches!(self, Self::NotRunning { .. } | Self::Http { .. })
            || matches!(self, Self::Refused { status: 503, .. })
            || matches!(self, Self::Start(start_gateway::Error::Vanished { .. }))
    }
}

/// A client of the gateway's API.
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
    /// No job was ever submitted here.
    is_unused: bool,
}

impl Client {
    /// For the gateway in `state`, if one is running there.
    pub fn new(state: &StateDirectory) -> Result<Self, Error> {
        Ok(Self { is_unused: !state.journal().exists(), ..Self::at(state.socket())? })
    }

    /// For whoever takes records of jobs at `socket`.
    pub fn at(socket: PathBuf) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .unix_socket(socket.clone())
            .no_proxy()
            .build()
            .map_err(|cause| Error::Http { socket: socket.clone(), cause })?;
        Ok(Self { http, socket, is_unused: false })
    }

    /// For the gateway in `state`; starts one if there is a journal to be read.
    pub fn reading(state: &StateDirectory) -> Result<Self, Error> {
        let directory = std::fs::metadata(state.path());
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if !directory.as_ref().is_err_and(is_missing) {
            state.create()?;
            if state.journal().exists() {
                ensure_gateway(state)?;
            }
        }
        Self::new(state)
    }

    /// For the gateway in `state`; starts one if none is running.
    pub fn starting(state: &StateDirectory) -> Result<Self, Error> {
        state.create()?;
        ensure_gateway(state)?;
        Self::new(state)
    }

    /// Asks, and takes the answer's head if it is a good one.
    async fn send<Q: Serialize, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        query: &Q,
        body: Option<&B>,
    ) -> Result<reqwest::Response, Error> {
        let mut request =
            self.http.request(method, format!("http://redirector{path}")).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|cause| self.failure(cause))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let problem = answer.json().await.map_err(|cause| self.failure(cause))?;
        Err(Error::Refused { status: status.as_u16(), problem })
    }

    fn failure(&self, cause: reqwest::Error) -> Error {
        if cause.is_connect() {
            Error::NotRunning { socket: self.socket.clone() }
        } else {
            Error::Http { socket: self.socket.clone(), cause }
        }
    }

    async fn call<Q: Serialize, B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &Q,
        body: Option<&B>,
    ) -> Result<A, Error> {
        let answer = self.send(method, path, query, body).await?;
        answer.json().await.map_err(|cause| self.failure(cause))
    }

    async fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<A, Error> {
        self.call(Method::POST, path, &(), Some(body)).await
    }

    async fn get<Q: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<A, Error> {
        self.call::<_, (), _>(Method::GET, path, query, None).await
    }

    /// How the gateway is.
    pub async fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status", &()).await
    }

    /// The jobs that `filter` lets through, newest first, page by page.
    pub async fn jobs(&self, filter: &Filter) -> Result<Vec<Job>, Error> {
        if self.is_unused {
            return Ok(Vec::new());
        }
        let wanted = filter.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut page = filter.clone();
        let mut jobs: Vec<Job> = Vec::new();
        loop {
            page.limit = Some(PAGE.min(u32::try_from(wanted - jobs.len()).unwrap_or(PAGE)));
            let found: Vec<Job> = self.get("/v1/jobs", &page).await?;
            let last_page = found.len() < page.limit.unwrap_or(PAGE) as usize;
            jobs.extend(found);
            if last_page || jobs.len() >= wanted {
                return Ok(jobs);
            }
            page.before = jobs.last().map(|job| job.id);
        }
    }

    /// The jobs with numbers from `first` to `last` that have ended, newest first.
    pub async fn finished_between(&self, first: JobId, last: JobId) -> Result<Vec<Job>, Error> {
        let mut page = Filter {
            all: true,
            state: Some(State::Finished),
            before: Some(JobId(last.0.saturating_add(1))),
            limit: Some(PAGE),
            ..Filter::default()
        };
        let mut jobs = Vec::new();
        loop {
            let found: Vec<Job> = self.get("/v1/jobs", &page).await?;
            page.before = found.last().map(|job| job.id);
            let is_last_page = found.len() < PAGE as usize || page.before <= Some(first);
            jobs.extend(found.into_iter().filter(|job| job.id >= first));
            if is_last_page {
                return Ok(jobs);
            }
        }
    }

    /// Which jobs from `first` to `last` have ended, and whether well: without their records, which
    /// take longer to read than many a job runs.
    pub async fn ended_between(&self, first: JobId, last: JobId) -> Result<EndedBetween, Error> {
        self.get("/v1/jobs/ended", &[("first", first), ("last", last)]).await
    }

    /// A job's record; with `wait`, once it is finished.
    pub async fn job(&self, id: JobId, wait: bool) -> Result<Job, Error> {
        self.get(&format!("/v1/jobs/{id}"), &[("wait", wait)]).await
    }

    /// Cancels a job and all that came out of it; the numbers of those that were live.
    pub async fn cancel(&self, id: JobId, reason: &str) -> Result<Vec<JobId>, Error> {
        let body = Cancellation { reason: reason.to_owned() };
        self.post(&format!("/v1/jobs/{id}/cancel"), &body).await
    }

    /// Submits jobs for which nobody waits. Sent again, it is the same jobs.
    pub async fn submit(&self, submission: &DetachedSubmission) -> Result<Submitted, Error> {
        self.post("/v1/jobs", submission).await
    }

    /// Does `action` to a job; the numbers of the jobs for which that made a difference.
    pub async fn act(&self, id: JobId, action: Action) -> Result<Vec<JobId>, Error> {
        let path = format!("/v1/jobs/{id}/{}", action.word());
        self.post(&path, &serde_json::Map::new()).await
    }

    /// Why a job waits, or why it ended as it did.
    pub async fn explain(&self, id: JobId) -> Result<Explained, Error> {
        self.get(&format!("/v1/jobs/{id}/explain"), &()).await
    }

    /// The nodes, and where what is known of them comes from.
    pub async fn nodes(&self) -> Result<Vec<NodeStatus>, Error> {
        self.get("/v1/nodes", &()).await
    }

    /// Adds a host, or replaces its settings.
    pub async fn add_node(&self, host: &Host) -> Result<(), Error> {
        self.post("/v1/nodes", host).await
    }

    /// Keeps jobs away from a node.
    pub async fn drain_node(&self, node: &NodeName) -> Result<(), Error> {
        self.post(&format!("/v1/nodes/{node}/drain"), &serde_json::Map::new()).await
    }

    /// Lets jobs back to a node.
    pub async fn resume_node(&self, node: &NodeName) -> Result<(), Error> {
        self.post(&format!("/v1/nodes/{node}/resume"), &serde_json::Map::new()).await
    }

    /// Removes a host; with `force` also while jobs run there.
    pub async fn remove_node(&self, node: &NodeName, force: bool) -> Result<(), Error> {
        let path = format!("/v1/nodes/{node}");
        self.call::<_, (), _>(Method::DELETE, &path, &[("force", force)], None).await
    }

    /// Has the gateway read the hosts of its configuration again.
    pub async fn reload_nodes(&self) -> Result<Reloaded, Error> {
        self.post("/v1/nodes/reload", &serde_json::Map::new()).await
    }

    /// Forgets ended jobs, and removes their output.
    pub async fn purge(&self, purge: &Purge) -> Result<Purged, Error> {
        self.post("/v1/purge", purge).await
    }

    /// Output of a detached job.
    pub async fn output(&self, id: JobId, wanted: &Wanted) -> Result<Output<'_>, Error> {
        let path = format!("/v1/jobs/{id}/output");
        let answer = self.send::<_, ()>(Method::GET, &path, wanted, None).await?;
        Ok(Output { client: self, answer })
    }

    /// What all jobs of `run` say, as lines of JSON; with `follow` until it has ended.
    pub async fn run_log(&self, run: JobId, follow: bool) -> Result<Output<'_>, Error> {
        let path = format!("/v1/runs/{run}/log");
        let answer = self.send::<_, ()>(Method::GET, &path, &[("follow", follow)], None).await?;
        Ok(Output { client: self, answer })
    }

    /// Logs something for the job whose token this is.
    pub async fn log(&self, token: &str, entry: &LogEntry) -> Result<(), Error> {
        self.call(Method::POST, LOG_PATH, &[("token", token)], Some(entry)).await
    }

    /// How far the jobs of `run` are: at once, or when that is not what it was at version `seen`.
    pub async fn progress(&self, run: JobId, seen: Option<u64>) -> Result<Progress, Error> {
        let query: Vec<_> = seen.map(|seen| ("seen", seen)).into_iter().collect();
        self.get(&format!("/v1/runs/{run}/progress"), &query).await
    }

    /// Ends the gateway.
    pub async fn stop(&self, force: bool) -> Result<(), Error> {
        self.post("/v1/stop", &Stop { force }).await
    }
}

/// What can be done to a job that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep it from starting.
    Hold,
    /// Undo that.
    Release,
    /// Run it once more, although its retries are used up.
    Retry,
}

impl Action {
    const fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Retry => "retry",
        }
    }
}

/// Which part of a job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Which of the two.
    pub stream: Stream,
    /// Which attempt, from 1; none: the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Until the attempt is over, not only what there is.
    pub follow: bool,
    /// Without the first that many bytes.
    pub offset: u64,
}

/// Output of a job as it arrives.
pub struct Output<'client> {
    client: &'client Client,
    answer: reqwest::Response,
}

impl Output<'_> {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Error> {
        self.answer.chunk().await.map_err(|cause| self.client.failure(cause))
    }
}
