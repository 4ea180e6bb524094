//! The handler with files of its own and a core that knows one run.

use std::{fs, io::Write, time::Duration};

use axum::{Router, routing::get};
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use tower::ServiceExt;

use super::*;
use crate::{
    growing::Watches,
    model::{Attempt, Spec},
    place::{StateDirectory, Stream},
};

const RUN: JobId = JobId(7);
const CHILD: JobId = JobId(8);

fn job(id: JobId, state: JobState) -> Job {
    let is_over = state == JobState::Finished;
    let outcome = is_over.then_some(Outcome::Exited { exit_code: 3 });
    let node = NodeName("h1".to_owned());
    Job {
        id,
        spawned_by: (id != RUN).then_some(RUN),
        run: RUN,
        spec: Spec { detached: true, ..Spec::default() },
        environment: Vec::new(),
        state,
        attempts: outcome
            .iter()
            .map(|outcome| Attempt {
                number: 1,
                node: node.clone(),
                started: Timestamp(1),
                ended: Timestamp(2),
                outcome: outcome.clone(),
                usage: None,
            })
            .collect(),
        outcome,
        submitted: Timestamp(0),
        started: Some(Timestamp(1)),
        ended: is_over.then_some(Timestamp(2)),
        node: Some(node),
        usage: None,
        client_pid: 0,
    }
}

struct Bench {
    _root: tempfile::TempDir,
    state: StateDirectory,
    router: Router,
    happenings: broadcast::Sender<Happening>,
}

impl Bench {
    fn new(jobs: Vec<Job>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(root.path());
        let (core, mut inbox) = mpsc::unbounded_channel();
        let happenings = broadcast::Sender::new(16);
        let follow = happenings.clone();
        tokio::spawn(async move {
            while let Some(message) = inbox.recv().await {
                match message {
                    Message::Happenings { reply } => drop(reply.send(follow.subscribe())),
                    Message::Show { job, reply, .. } => {
                        let found = jobs.iter().find(|it| it.id == job).cloned();
                        drop(reply.send(found.ok_or_else(|| Failure::no_such_job(job))));
                    }
                    Message::List { filter, reply } => {
                        assert_eq!(filter.run, Some(RUN));
                        drop(reply.send(Ok(jobs.iter().rev().cloned().collect())));
                    }
                    _ => panic!("only records are asked for"),
                }
            }
        });
        let service = Service { core, state: state.clone(), watches: Watches::default() };
        let router = Router::new().route("/v1/runs/{id}/log", get(log)).with_state(service);
        Self { _root: root, state, router, happenings }
    }

    fn write(path: std::path::PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn happens(&self, job: JobId, what: What) {
        let node = Some(NodeName("h2".to_owned()));
        let (run, attempt, is_detached, at) = (RUN, 1, true, Timestamp(5));
        let happening = Happening { run, job, attempt, node, is_detached, at, what };
        self.happenings.send(happening).unwrap();
    }

    async fn ask(&self, id: JobId, query: &str) -> Response {
        let request = Request::get(format!("/v1/runs/{id}/log?{query}"));
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an answer")
}

/// The next line, which comes in a frame of its own.
async fn next(response: &mut Response) -> LogLine {
    let frame = in_time(response.body_mut().frame()).await.expect("not the end").unwrap();
    serde_json::from_slice(&frame.into_data().unwrap()).unwrap()
}

async fn all(mut response: Response) -> Vec<LogLine> {
    let mut lines = Vec::new();
    while let Some(frame) = in_time(response.body_mut().frame()).await {
        lines.push(serde_json::from_slice(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    lines
}

fn ended() -> Said {
    Said::Ended { how: Outcome::Exited { exit_code: 3 } }
}

#[tokio::test]
async fn a_run_that_has_ended_is_told_from_its_beginning_to_its_end() {
    let bench = Bench::new(vec![job(RUN, JobState::Finished)]);
    Bench::write(bench.state.output(RUN, 1, Stream::Stdout), "one\ntwo");
    let record = r#"{"at":3,"level":"warn","job":7,"message":"low","fields":{"left":3}}"#;
    Bench::write(bench.state.records(RUN, 1), &format!("{record}\nhalf a rec"));
    for query in ["", "follow=true"] {
        let lines = all(bench.ask(RUN, query).await).await;
        let said: Vec<_> = lines.iter().map(|line| &line.said).collect();
        assert_eq!((said[0], said[said.len() - 1]), (&Said::Started, &ended()), "{query}");
        let output = |text: &str| Said::Stdout { line: crate::model::Text::from(text) };
        assert!(said.contains(&&output("one")) && said.contains(&&output("two")));
        let log = lines.iter().find(|line| matches!(line.said, Said::Log { .. })).unwrap();
        assert_eq!((log.at, log.job, log.attempt), (Timestamp(3), RUN, 1));
        assert_eq!(lines.len(), 5, "{lines:?}");
    }
}

#[tokio::test]
async fn jobs_that_start_later_join_and_the_end_of_the_run_is_the_end() {
    let bench = Bench::new(vec![job(RUN, JobState::Running)]);
    let mut log = bench.ask(RUN, "follow=true").await;
    assert_eq!(next(&mut log).await.said, Said::Started);
    bench.happens(CHILD, What::Started);
    let joined = next(&mut log).await;
    assert_eq!((joined.job, joined.said), (CHILD, Said::Started));
    assert_eq!(joined.node, Some(NodeName("h2".to_owned())));
    Bench::write(bench.state.output(CHILD, 1, Stream::Stderr), "a li");
    Bench::write(bench.state.output(CHILD, 1, Stream::Stderr), "ne\n");
    let line = crate::model::Text::from("a line");
    assert_eq!(next(&mut log).await.said, Said::Stderr { line });
    let how = Outcome::Exited { exit_code: 3 };
    for job in [CHILD, RUN] {
        bench.happens(job, What::Ended { outcome: how.clone(), is_tried_again: false });
    }
    let rest = all(log).await;
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(rest.iter().all(|line| line.said == ended()));
}

#[tokio::test]
async fn a_job_alone_and_none() {
    let bench = Bench::new(vec![job(RUN, JobState::Running), job(CHILD, JobState::Finished)]);
    let alone = all(bench.ask(CHILD, "").await).await;
    assert!(alone.len() == 2 && alone.iter().all(|line| line.job == CHILD), "{alone:?}");
    let running = all(bench.ask(RUN, "").await).await;
    assert_eq!(running.len(), 3, "nobody waits for what is to come: {running:?}");
    assert_eq!(bench.ask(JobId(99), "").await.status(), StatusCode::NOT_FOUND);
}
