//! What an agent on another computer has at which path.
//!
//! | path | stream |
//! |---|---|
//! | `/v1/orders` | lines of [`Order`] in, lines of [`Report`] out; the latest one counts |
//! | `/v1/attempts/JOB.N/output/stdout?from=K` | what it has written and goes on to write, from byte `K` on ([`super::spool`]); so `stderr` |
//! | `/v1/attempts/JOB.N/attach` | what goes through an attempt's descriptors ([`crate::stdio`]) |
//! | `/v1/examine` | questions of `redirector doctor` and their answers: see [`super::examine`] |
//! | `/v1/stages/…`, `/v1/blobs/…` | files of jobs: see [`crate::stage::talk`] |
//!
//! [`Order`]: super::protocol::Order
//! [`Report`]: super::protocol::Report

use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::mpsc::UnboundedSender;

use super::{
    examine::{EXAMINE, Examiner},
    hub::Hub,
    protocol::AttemptId,
    server::Arrival,
    spool::Spool,
    stage::Stages,
    wire::Connection,
};
use crate::{
    engine::{
        ByteStream,
        multiplex::{Heard, Offer},
    },
    place::Stream,
    stage::talk::Subject,
};

/// Where the gateway gives its orders.
pub(crate) const ORDERS: &str = "/v1/orders";

/// Those that streams are for.
#[derive(Clone, Debug)]
pub(super) struct Services {
    pub orders: UnboundedSender<Arrival<ByteStream>>,
    pub hub: Hub,
    pub spool: Spool,
    pub stages: Stages,
    pub examiner: Examiner,
}

impl Services {
    /// Gives the stream `offer` of a link to whom it is for. What is wrong is told to the
    /// gateway.
    pub(super) fn take(&self, offer: Offer, heard: &Heard, grace: Duration) {
        let Some(path) = offer.path() else {
            return offer.refuse(StatusCode::METHOD_NOT_ALLOWED, "streams are opened by POST");
        };
        let taken = match path {
            ORDERS => offer.accept().map(|stream| {
                let connection = Connection::new(stream);
                let link = Some((heard.clone(), grace));
                // Fails only when the agent leaves.
                drop(self.orders.send(Arrival::Gateway { connection, link }));
            }),
            EXAMINE => offer.accept().map(|stream| {
                tokio::spawn(self.examiner.clone().serve(stream));
            }),
            _ if let Some(subject) = Subject::of(path) => offer.accept().map(|stream| {
                tokio::spawn(self.stages.clone().serve(subject, stream));
            }),
            _ if let Some(attempt) = attempt_at(path, "attach") => offer.accept().map(|stream| {
                let hub = self.hub.clone();
                tokio::spawn(async move { hub.attach(attempt, stream).await });
            }),
            _ if let Some((attempt, stream)) = output_at(path) => {
                let Some(from) = offset(offer.query()) else {
                    let reason = format!("{path} needs ?from=BYTES");
                    return offer.refuse(StatusCode::BAD_REQUEST, &reason);
                };
                offer.accept().map(|receiver| {
                    let spool = self.spool.clone();
                    tokio::spawn(async move { spool.send(attempt, stream, from, receiver).await });
                })
            }
            _ => {
                let reason = format!("the agent has nothing at {path}");
                return offer.refuse(StatusCode::NOT_FOUND, &reason);
            }
        };
        if let Err(error) = taken {
            tracing::debug!("a stream was given up before it was taken: {error}");
        }
    }
}

/// The attempt whose `thing` is at `path`.
fn attempt_at(path: &str, thing: &str) -> Option<AttemptId> {
    let (attempt, rest) = path.strip_prefix("/v1/attempts/")?.split_once('/')?;
    let (job, number) = attempt.split_once('.')?;
    let attempt = AttemptId { job: job.parse().ok()?, number: number.parse().ok()? };
    (rest == thing).then_some(attempt)
}

/// The attempt, and which of its two streams, whose output is at `path`.
fn output_at(path: &str) -> Option<(AttemptId, Stream)> {
    let at = |stream: Stream| {
        attempt_at(path, &format!("output/{}", stream.word())).map(|attempt| (attempt, stream))
    };
    at(Stream::Stdout).or_else(|| at(Stream::Stderr))
}

fn offset(query: Option<&str>) -> Option<u64> {
    query?.strip_prefix("from=")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;

    #[test]
    fn paths_of_attempts() {
        let attempt = AttemptId { job: JobId(17), number: 2 };
        assert_eq!(attempt_at("/v1/attempts/17.2/attach", "attach"), Some(attempt));
        for path in
            ["/v1/attempts/17/attach", "/v1/attempts/17.2/output", "/v1/orders", "/17.2/attach"]
        {
            assert_eq!(attempt_at(path, "attach"), None, "{path}");
        }
        let stderr = "/v1/attempts/17.2/output/stderr";
        assert_eq!(output_at(stderr), Some((attempt, Stream::Stderr)));
        assert_eq!(output_at("/v1/attempts/17.2/output/log"), None);
        assert_eq!(
            (offset(Some("from=70")), offset(Some("from=-1")), offset(None)),
            (Some(70), None, None)
        );
    }
}
