//! The lease, spoken by `reqwest` on a `tokio` of one thread.

use std::{
    convert::Infallible,
    error::Error,
    ffi::c_int,
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use redirector::protocol::{ClientMessage, GatewayMessage, LEASE_PATH};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::job::{self, Answers};

pub(crate) fn lease(socket: &Path, program: &str) -> Result<c_int, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(exchange(socket, program))
}

async fn exchange(socket: &Path, program: &str) -> Result<c_int, Box<dyn Error>> {
    let http = reqwest::Client::builder().unix_socket(socket).no_proxy().build()?;
    let (lines, body) = unbounded_channel();
    lines.send(line(&job::submission(program))?)?;
    let request = http
        .post(format!("http://redirector{LEASE_PATH}"))
        .header("Content-Type", "application/x-ndjson")
        .body(reqwest::Body::wrap(StreamBody::new(Lines(body))));
    let mut answers =
        Incoming { answer: request.send().await?.error_for_status()?, buffer: Vec::new() };
    answers.wait(Answers::is_grant).await?;
    let status = job::run(program)?;
    lines.send(line(&job::report(status))?)?;
    answers.wait(Answers::is_receipt).await?;
    Ok(status)
}

fn line(message: &ClientMessage) -> serde_json::Result<Bytes> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line.into())
}

/// A request body that goes on for as long as there may be more to say.
struct Lines(UnboundedReceiver<Bytes>);

impl Stream for Lines {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

struct Incoming {
    answer: reqwest::Response,
    buffer: Vec<u8>,
}

impl Incoming {
    async fn wait(
        &mut self,
        wanted: fn(&GatewayMessage) -> io::Result<bool>,
    ) -> Result<(), Box<dyn Error>> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let message: GatewayMessage = serde_json::from_slice(&self.buffer[..end])?;
                self.buffer.drain(..=end);
                if wanted(&message)? {
                    return Ok(());
                }
            }
            let more = self.answer.chunk().await?.ok_or("the gateway closed the connection")?;
            self.buffer.extend_from_slice(&more);
        }
    }
}
