//! Where jobs on a host log: `POST /v1/log?token=…`, as on the gateway's own socket on its computer.
//!
//! ```text
//!   redirector log ── REDIRECTOR_LOG_SOCKET ──► [`serve`] ── Event::Logged ──► Supervisor
//!                                                              Report::Log ──► gateway
//! ```

use std::{fs, io, path::Path, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc::UnboundedSender, oneshot},
    time::sleep,
};

use super::shepherds::Event;
use crate::protocol::{LOG_PATH, LogEntry, Problem};

/// How long the agent waits that cannot accept a connection before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The largest record that is taken, in bytes.
const LARGEST: usize = 64 << 10;

/// Serves those who connect to a socket at `path` for as long as the agent lives.
pub(super) fn serve(path: &Path, events: UnboundedSender<Event>) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, events.clone()))),
                Err(error) => {
                    // Out of descriptors, most likely; what runs goes on meanwhile.
                    tracing::error!("cannot take what jobs log: {error}");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    });
    Ok(())
}

async fn connection(stream: UnixStream, events: UnboundedSender<Event>) {
    let answer = service_fn(async |request| {
        let answer = take(request, &events).await;
        let (status, body) = match answer {
            Ok(()) => (StatusCode::OK, "null".to_owned()),
            Err((status, error)) => {
                let problem = serde_json::to_string(&Problem { error });
                (status, problem.expect("a problem has string keys only"))
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        Ok::<_, hyper::Error>(response)
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!("a job that logged has gone: {error}");
    }
}

async fn take(
    request: Request<Incoming>,
    events: &UnboundedSender<Event>,
) -> Result<(), (StatusCode, String)> {
    if request.method() != Method::POST || request.uri().path() != LOG_PATH {
        let error = format!("there is only POST {LOG_PATH} here");
        return Err((StatusCode::NOT_FOUND, error));
    }
    let token = request.uri().query().and_then(|query| query.strip_prefix("token="));
    let token = token.unwrap_or_default().to_owned();
    let unread = |error: &dyn std::fmt::Display| {
        (StatusCode::BAD_REQUEST, format!("the record cannot be read: {error}"))
    };
    let body = Limited::new(request.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| unread(&error))?.to_bytes();
    let entry: LogEntry = serde_json::from_slice(&body).map_err(|error| unread(&error))?;
    let (reply, taken) = oneshot::channel();
    let record = entry.into_record();
    // Fails only when the agent leaves, which the answer then says.
    drop(events.send(Event::Logged { token, record, reply }));
    match taken.await {
        Ok(true) => Ok(()),
        Ok(false) => Err((
            StatusCode::FORBIDDEN,
            "this is not the token of a job that runs here; $REDIRECTOR_TOKEN has a job's own"
                .to_owned(),
        )),
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "the agent is leaving".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc::unbounded_channel,
    };

    use super::*;

    async fn ask(path: &Path, request: &str) -> String {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn post(token: &str, body: &str) -> String {
        format!(
            "POST /v1/log?token={token} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn records_with_the_token_of_a_job_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.sock");
        let (events, mut happened) = unbounded_channel();
        serve(&path, events).unwrap();
        let agent = tokio::spawn(async move {
            let mut taken = Vec::new();
            while let Some(event) = happened.recv().await {
                let Event::Logged { token, record, reply } = event else { panic!("{event:?}") };
                reply.send(token == "7.good").unwrap();
                taken.push((token, record.level, record.message));
                if taken.len() == 2 {
                    break;
                }
            }
            taken
        });
        let body = r#"{"level":"warn","message":"low on beads","fields":{"left":3}}"#;
        assert!(ask(&path, &post("7.good", body)).await.starts_with("HTTP/1.1 200"));
        assert!(ask(&path, &post("7.bad", body)).await.starts_with("HTTP/1.1 403"));
        let taken = agent.await.unwrap();
        assert_eq!(taken[0], ("7.good".into(), "warn".into(), "low on beads".into()));
    }

    #[tokio::test]
    async fn what_is_no_record_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.sock");
        let (events, _happened) = unbounded_channel();
        serve(&path, events).unwrap();
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(LARGEST));
        for body in ["", "{}", r#"{"level":"loud","message":"x"}"#, &long] {
            let answer = ask(&path, &post("7.good", body)).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
            assert!(answer.contains("cannot be read"), "{answer}");
        }
        let elsewhere = "GET / HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n";
        assert!(ask(&path, elsewhere).await.starts_with("HTTP/1.1 404"));
    }
}
