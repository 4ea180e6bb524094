//! Slurm by slurmrestd.
//!
//! Its interface changes with every release (numbers become objects, states become lists), so what
//! is read here is read in each of the forms.

mod answers;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use self::answers::{complaints, number, records, submission};
use super::{
    record::{Record, marked},
    refusal,
};
use crate::{
    config::{Pool, RestAddress},
    engine::batch::{
        Answer, Batch, EngineJobId, Mark, Refusal, Request, Status,
        tools::{Tools, words},
    },
    model::Text,
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a token is valid that is made here, in seconds, and how long it is used.
const TOKEN_LIFE: &str = "lifespan=3600";
const TOKEN_USE: Duration = Duration::from_mins(30);

/// What slurmrestd says when the controller closes the connection, as it does without a word when
/// it does not accept the token.
const NO_WORD: &str = "Zero Bytes were transmitted or received";

const ADVICE: &str = "put a token into SLURM_JWT of the pool's 'engine_env', or install 'scontrol', \
                      which makes one (Debian: slurm-client)";

/// slurmrestd. Tokens are made by `scontrol token`, unless `SLURM_JWT` has one.
pub struct Rest {
    client: Client,
    url: String,
    version: String,
    user: String,
    tools: Tools,
    given_token: Option<String>,
    /// One that was made here, and when.
    token: Mutex<Option<(String, Instant)>>,
}

impl Rest {
    /// That of a pool.
    ///
    /// # Errors
    /// If its address is none.
    pub fn new(pool: &Pool, address: &RestAddress) -> Result<Self, Refusal> {
        let url = format!("{}/slurm/{}", address.url.trim_end_matches('/'), address.version);
        let unusable = |cause: &dyn std::fmt::Display| {
            Refusal::Permanent(format!("pool {}: rest = \"{}\": {cause}", pool.name, address.url))
        };
        reqwest::Url::parse(&url).map_err(|cause| unusable(&cause))?;
        let client = Client::builder().timeout(LIMIT).no_proxy().build();
        let client = client.map_err(|cause| unusable(&cause))?;
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let given_token = match pool.engine_env.get(&Text::from("SLURM_JWT")) {
            Some(token) => token.as_ref().map(|token| token.to_string_lossy().into_owned()),
            None => std::env::var("SLURM_JWT").ok(),
        };
        Ok(Self {
            client,
            url,
            version: address.version.clone(),
            user: user.map_or_else(|| "root".to_owned(), |user| user.name),
            tools: Tools::new(&pool.engine_env, ADVICE),
            given_token,
            token: Mutex::new(None),
        })
    }

    /// A token, a new one if `stale` is the one that there is.
    async fn token(&self, stale: Option<&str>) -> Result<String, Refusal> {
        if let Some(token) = &self.given_token {
            return Ok(token.clone());
        }
        let mut kept = self.token.lock().await;
        if let Some((token, made)) = &*kept
            && Some(&**token) != stale
            && made.elapsed() < TOKEN_USE
        {
            return Ok(token.clone());
        }
        let said = self.tools.run("scontrol", words(["token", TOKEN_LIFE])).await?;
        let token = said.stdout.trim().strip_prefix("SLURM_JWT=").map(str::to_owned);
        let token = token.ok_or_else(|| {
            refusal(format!(
                "'scontrol token' makes no token for user {} ({}); {ADVICE}",
                self.user,
                said.complaint()
            ))
        })?;
        *kept = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    /// The answer of slurmrestd, or what it complains of. With another token if that may help; but
    /// a submission that may have been taken is not repeated.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let token = self.token(None).await?;
        let mut answer = self.ask_with(&token, method.clone(), path, body).await;
        let is_denied = match &answer {
            Ok(answer) => answer.is_none(),
            Err(refusal) => body.is_none() && refusal.to_string().contains(NO_WORD),
        };
        if is_denied && self.given_token.is_none() {
            let token = self.token(Some(&token)).await?;
            answer = self.ask_with(&token, method, path, body).await;
        }
        let denied = format!("is the token of user {} valid? {ADVICE}", self.user);
        match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Refusal::Permanent(format!("{} denies access: {denied}", self.url))),
            Err(Refusal::Unsure(said)) if said.contains(NO_WORD) => {
                Err(Refusal::Unsure(format!("{said}; {denied}")))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// `None` if the token is not accepted.
    async fn ask_with(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Refusal> {
        let mut request = self.client.request(method, format!("{}/{path}", self.url));
        request = request.header("X-SLURM-USER-NAME", &self.user);
        request = request.header("X-SLURM-USER-TOKEN", token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let failed = |cause: reqwest::Error| {
            let said = format!("slurmrestd at {}: {}", self.url, with_causes(&cause));
            // What was not sent was not taken.
            if cause.is_connect() { Refusal::Temporary(said) } else { Refusal::Unsure(said) }
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let text = response.text().await.map_err(failed)?;
        let answer: Value = serde_json::from_str(&text)
            .map_err(|_| self.no_json(status, text.trim(), body.is_some()))?;
        match complaints(&answer) {
            Some(complaint) => Err(refusal(format!("slurmrestd: {complaint}"))),
            None => Ok(Some(answer)),
        }
    }

    /// What an answer means that is none of slurmrestd's own: of something in front of it that does
    /// not reach it, or of a slurmrestd that has no such interface.
    fn no_json(&self, status: StatusCode, text: &str, is_submission: bool) -> Refusal {
        let said = format!("slurmrestd at {} answers {status}: {text}", self.url);
        if status.is_server_error() {
            return if is_submission { Refusal::Unsure(said) } else { Refusal::Temporary(said) };
        }
        let hint = if status == StatusCode::NOT_FOUND {
            format!(
                "it may not have the interface '{}': set 'rest_version' of the pool to one that it \
                 has, which 'scontrol show config' calls the data parser or openapi plugin",
                self.version
            )
        } else {
            format!("is the token of user {} valid? {ADVICE}", self.user)
        };
        Refusal::Permanent(format!("{said}; {hint}"))
    }

    async fn list(&self) -> Result<Vec<Record>, Refusal> {
        Ok(records(&self.ask(Method::GET, "jobs", None).await?))
    }

    async fn submit(&self, request: &Request) -> Result<EngineJobId, Refusal> {
        let answer =
            self.ask(Method::POST, "job/submit", Some(&submission(request, &self.version))).await?;
        let id = number(&answer["job_id"]).filter(|id| *id > 0);
        let id = id.ok_or_else(|| {
            Refusal::Unsure(format!(
                "slurmrestd at {} tells no job_id, and may have taken the job (is '{}', its \
                 'rest_version', one that it has?); it says: {answer}",
                self.url, self.version
            ))
        })?;
        Ok(EngineJobId(id.to_string()))
    }

    async fn cancel(&self, jobs: &[EngineJobId]) -> Result<(), Refusal> {
        for job in jobs {
            match self.ask(Method::DELETE, &format!("job/{job}"), None).await {
                Err(refusal) if !has_ended(&refusal) => return Err(refusal),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn reason(&self, job: &EngineJobId) -> String {
        match self.ask(Method::GET, &format!("job/{job}"), None).await {
            Ok(answer) => records(&answer)
                .first()
                .map_or_else(|| format!("Slurm does not know a job {job}"), Record::in_words),
            Err(refusal) => refusal.to_string(),
        }
    }
}

/// Whether the complaint is no more than that the job is not there any more.
fn has_ended(refusal: &Refusal) -> bool {
    let said = refusal.to_string();
    said.contains("Invalid job id specified") || said.contains("already completing or completed")
}

/// An error of reqwest leaves out why.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl Batch for Rest {
    fn start<'a>(&'a self, request: &'a Request) -> Answer<'a, Result<EngineJobId, Refusal>> {
        Box::pin(self.submit(request))
    }

    fn status<'a>(&'a self, jobs: &'a [EngineJobId]) -> Answer<'a, Vec<(EngineJobId, Status)>> {
        Box::pin(async move {
            let records = match self.list().await {
                Ok(records) => records,
                Err(refusal) => return Status::unknown(jobs, &refusal),
            };
            let known: BTreeMap<_, _> =
                records.iter().map(|record| (record.id(), record)).collect();
            let state = |id: &EngineJobId| {
                let status = known.get(id).map_or(Status::Forgotten, |record| record.status());
                (id.clone(), status)
            };
            jobs.iter().map(state).collect()
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
        Box::pin(async move { Ok(marked(&self.list().await?, gateway)) })
    }

    fn version(&self) -> Answer<'_, Result<String, Refusal>> {
        Box::pin(async move {
            let answer = self.ask(Method::GET, "ping", None).await?;
            let release = [&answer["meta"]["Slurm"], &answer["meta"]["slurm"]]
                .into_iter()
                .find_map(|slurm| slurm["release"].as_str());
            Ok(format!("slurm {} by slurmrestd", release.unwrap_or("of unknown version")))
        })
    }
}

#[cfg(test)]
mod tests;
