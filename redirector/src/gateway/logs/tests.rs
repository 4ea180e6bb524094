//! The handler with files of its own and a core that knows one job.

use std::{fs, io::Write, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use http_body_util::BodyExt;
use hyper::{Request, StatusCode};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::*;
use crate::{
    growing::Watches,
    model::{Attempt, NodeName, Outcome, Spec, Timestamp},
    place::StateDirectory,
    protocol::Problem,
};

const ID: JobId = JobId(1007);

fn job(state: JobState, detached: bool) -> Job {
    Job {
        id: ID,
        spawned_by: None,
        run: ID,
        spec: Spec { detached, name: "sort".to_owned(), ..Spec::default() },
        environment: Vec::new(),
        state,
        attempts: Vec::new(),
        outcome: (state == JobState::Finished).then_some(Outcome::Exited { exit_code: 0 }),
        submitted: Timestamp(0),
        started: None,
        ended: None,
        node: None,
        usage: None,
        client_pid: 0,
    }
}

struct Bench {
    root: tempfile::TempDir,
    state: StateDirectory,
    router: Router,
    /// Ends the job.
    end: Arc<Notify>,
    /// Ends the core, as when the gateway leaves.
    leave: Arc<Notify>,
}

impl Bench {
    /// A gateway that knows `job` and answers those who wait for its end when that is told.
    fn new(job: Job) -> Self {
        let root = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(root.path());
        let (core, mut inbox) = mpsc::unbounded_channel();
        let (end, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (ended, left) = (Arc::clone(&end), Arc::clone(&leave));
        tokio::spawn(async move {
            let mut waiters = Vec::new();
            loop {
                tokio::select! {
                    () = ended.notified() => {
                        for waiter in std::mem::take(&mut waiters) {
                            let waiter: crate::gateway::message::Reply<Result<Job, Failure>> = waiter;
                            drop(waiter.send(Ok(Job { state: JobState::Finished, ..job.clone() })));
                        }
                    }
                    () = left.notified() => return,
                    Some(message) = inbox.recv() => match message {
                        Message::Show { when_finished: true, reply, .. } if job.state != JobState::Finished => {
                            waiters.push(reply);
                        }
                        Message::Show { job: asked, reply, .. } => {
                            let known = asked == job.id;
                            let failure = || Failure::no_such_job(asked);
                            drop(reply.send(known.then(|| job.clone()).ok_or_else(failure)));
                        }
                        _ => panic!("only records are asked for"),
                    },
                }
            }
        });
        let service = Service { core, state: state.clone(), watches: Watches::default() };
        let router = Router::new().route("/v1/jobs/{id}/output", get(output)).with_state(service);
        Self { root, state, router, end, leave }
    }

    fn write(&self, attempt: u32, stream: Stream, text: &str) {
        let path = self.state.output(ID, attempt, stream);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn ask(&self, id: JobId, query: &str) -> Response {
        let request = Request::get(format!("/v1/jobs/{id}/output?{query}"));
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn text(&self, query: &str) -> String {
        let response = self.ask(ID, query).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        rest(response).await.unwrap()
    }

    async fn problem(&self, id: JobId, query: &str) -> String {
        let response = self.ask(id, query).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{query}");
        let problem: Problem = serde_json::from_str(&rest(response).await.unwrap()).unwrap();
        problem.error
    }
}

/// All that is still to come, or that it was broken off.
async fn rest(response: Response) -> Result<String, axum::Error> {
    let bytes = in_time(response.into_body().collect()).await?.to_bytes();
    Ok(String::from_utf8(bytes.into()).unwrap())
}

/// The next piece.
async fn piece(response: &mut Response) -> String {
    let frame = in_time(response.body_mut().frame()).await.expect("not the end").unwrap();
    String::from_utf8(frame.into_data().unwrap().into()).unwrap()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an answer")
}

#[tokio::test]
async fn what_was_written_is_sent_from_the_offset_on() {
    let bench = Bench::new(job(JobState::Finished, true));
    bench.write(1, Stream::Stdout, "one\ntwo\n");
    bench.write(1, Stream::Stderr, "warning\n");
    assert_eq!(bench.text("stream=stdout").await, "one\ntwo\n");
    assert_eq!(bench.text("stream=stderr&follow=true").await, "warning\n");
    assert_eq!(bench.text("stream=stdout&offset=4").await, "two\n");
    assert_eq!(bench.text("stream=stdout&offset=400").await, "");
}

#[tokio::test]
async fn more_than_a_piece_comes_whole() {
    let bench = Bench::new(job(JobState::Finished, true));
    let lines: Vec<_> = (0..100_000).map(|line| line.to_string()).collect();
    let long = lines.join("\n");
    bench.write(1, Stream::Stdout, &long);
    assert!(long.len() > 8 * (64 << 10), "more than is read ahead");
    assert_eq!(bench.text("stream=stdout").await, long);
}

#[tokio::test]
async fn a_follower_gets_each_piece_and_the_end() {
    let bench = Bench::new(job(JobState::Running, true));
    bench.write(1, Stream::Stdout, "one\n");
    let mut followed = bench.ask(ID, "stream=stdout&follow=true").await;
    assert_eq!(piece(&mut followed).await, "one\n");
    bench.write(1, Stream::Stdout, "two\n");
    assert_eq!(piece(&mut followed).await, "two\n");
    bench.end.notify_one();
    assert_eq!(rest(followed).await.unwrap(), "");
}

#[tokio::test]
async fn the_output_of_a_job_that_waits_begins_when_it_starts() {
    let bench = Bench::new(job(JobState::Queued, true));
    assert_eq!(bench.text("stream=stdout").await, "");
    let mut followed = bench.ask(ID, "stream=stdout&follow=true&offset=2").await;
    bench.write(1, Stream::Stdout, "12345\n");
    assert_eq!(piece(&mut followed).await, "345\n");
    bench.end.notify_one();
    assert_eq!(rest(followed).await.unwrap(), "");
}

#[tokio::test]
async fn the_next_attempt_ends_the_one_before() {
    let bench = Bench::new(job(JobState::Running, true));
    bench.write(1, Stream::Stdout, "first\n");
    let mut followed = bench.ask(ID, "stream=stdout&follow=true&attempt=1").await;
    assert_eq!(piece(&mut followed).await, "first\n");
    bench.write(2, Stream::Stdout, "second\n");
    assert_eq!(rest(followed).await.unwrap(), "");
}

#[tokio::test]
async fn the_attempt_to_come_can_be_followed() {
    let ended = Attempt {
        number: 1,
        node: NodeName("here".to_owned()),
        started: Timestamp(0),
        ended: Timestamp(1),
        outcome: Outcome::Exited { exit_code: 1 },
        usage: None,
    };
    let bench = Bench::new(Job { attempts: vec![ended], ..job(JobState::Queued, true) });
    bench.write(1, Stream::Stdout, "first\n");
    assert_eq!(bench.text("stream=stdout&follow=true&attempt=1").await, "first\n");
    let mut followed = bench.ask(ID, "stream=stdout&follow=true&attempt=2").await;
    bench.write(2, Stream::Stdout, "second\n");
    assert_eq!(piece(&mut followed).await, "second\n");
    bench.end.notify_one();
    assert_eq!(rest(followed).await.unwrap(), "");
    assert!(bench.problem(ID, "stream=stdout&attempt=2").await.contains("no attempt 2"));
}

#[tokio::test]
async fn a_gateway_that_leaves_breaks_off() {
    let bench = Bench::new(job(JobState::Running, true));
    bench.write(1, Stream::Stdout, "one\n");
    let mut followed = bench.ask(ID, "stream=stdout&follow=true").await;
    assert_eq!(piece(&mut followed).await, "one\n");
    bench.leave.notify_one();
    rest(followed).await.expect_err("the job is not over");
}

#[tokio::test]
async fn what_there_is_not_is_said() {
    let bench = Bench::new(job(JobState::Running, true));
    assert!(bench.problem(ID, "stream=stdout&attempt=2").await.contains("its last one is 1"));
    assert!(bench.problem(ID, "stream=stdout&attempt=0").await.contains("no attempt 0"));
    assert!(bench.problem(JobId(8), "stream=stdout").await.contains("there is no job 8"));
    assert_eq!(bench.ask(ID, "stream=stdin").await.status(), StatusCode::BAD_REQUEST);
    let leased = Bench::new(job(JobState::Running, false));
    assert!(leased.problem(ID, "stream=stdout").await.contains("redirector submit"));
    assert!(fs::read_dir(leased.root.path()).unwrap().next().is_none(), "nothing was made");
}
