//! The gateway's HTTP API, for everything that is not in the path of a command.

use std::{io, path::PathBuf};

use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use super::start_gateway::{self, ensure_gateway};
use crate::{
    model::{Job, JobId},
    place::{self, StateDirectory},
    protocol::{Cancellation, PAGE, Problem, Progress, Status, Stop},
    store::Filter,
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
        let socket = state.socket();
        let http = reqwest::Client::builder()
            .unix_socket(socket.clone())
            .no_proxy()
            .build()
            .map_err(|cause| Error::Http { socket: socket.clone(), cause })?;
        Ok(Self { http, socket, is_unused: !state.journal().exists() })
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

    async fn call<Q: Serialize, B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &Q,
        body: Option<&B>,
    ) -> Result<A, Error> {
        let failed = |cause: reqwest::Error| {
            if cause.is_connect() {
                Error::NotRunning { socket: self.socket.clone() }
            } else {
                Error::Http { socket: self.socket.clone(), cause }
            }
        };
        let mut request =
            self.http.request(method, format!("http://redirector{path}")).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        if status == StatusCode::OK {
            return answer.json().await.map_err(failed);
        }
        let problem = answer.json().await.map_err(failed)?;
        Err(Error::Refused { status: status.as_u16(), problem })
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

    /// A job's record; with `wait`, once it is finished.
    pub async fn job(&self, id: JobId, wait: bool) -> Result<Job, Error> {
        self.get(&format!("/v1/jobs/{id}"), &[("wait", wait)]).await
    }

    /// Cancels a job and all that came out of it; the numbers of those that were live.
    pub async fn cancel(&self, id: JobId, reason: &str) -> Result<Vec<JobId>, Error> {
        let body = Cancellation { reason: reason.to_owned() };
        self.call(Method::POST, &format!("/v1/jobs/{id}/cancel"), &(), Some(&body)).await
    }

    /// How far the jobs of `run` are: at once, or when that is not what it was at version `seen`.
    pub async fn progress(&self, run: JobId, seen: Option<u64>) -> Result<Progress, Error> {
        let query: Vec<_> = seen.map(|seen| ("seen", seen)).into_iter().collect();
        self.get(&format!("/v1/runs/{run}/progress"), &query).await
    }

    /// Ends the gateway.
    pub async fn stop(&self, force: bool) -> Result<(), Error> {
        self.call(Method::POST, "/v1/stop", &(), Some(&Stop { force })).await
    }
}
