//! Carries bytes between a [`Stream`] and the files of its call, until one side has closed it.

use std::{convert::Infallible, future::ready, io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{
    apart::{Apart, apart},
    call::{Call, Side},
    lanes::{Incoming, Limits, Next, Outgoing},
    pace::Pace,
    stream::{Fate, Stream},
};

/// How long the last words may take to become files.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long the gateway leaves to an agent what it has said last. That one looks several times in
/// it, if it lives.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is left to be done when a stream was dropped.
#[derive(Debug)]
pub struct Parting(JoinHandle<()>);

impl Parting {
    /// Returns when the other side can see all that was said, and that there is no more. Of the
    /// gateway's side nothing is left then.
    pub async fn done(self) {
        // Fails only when the program ends.
        drop(self.0.await);
    }
}

/// Begins to carry what `side` says and hears in `call`.
pub(super) async fn begin(call: Call, side: Side, limits: Limits) -> io::Result<(Stream, Parting)> {
    let its = call.clone();
    let begun =
        apart(move || Ok((Outgoing::begin(&its, side, limits)?, Incoming::begin(&its, side)?)));
    let (outgoing, incoming) = begun.await?;
    let (inner, outer) = duplex(limits.segment);
    let (presence, absence) = oneshot::channel();
    let fate = Fate::default();
    let stream = Stream::new(outer, Arc::clone(&fate), presence);
    let carried = async move {
        let (outgoing, incoming) = (Apart::new(outgoing), Apart::new(incoming));
        let lanes = (&outgoing, &incoming);
        if let Err(error) = carry(inner, lanes, limits.segment, absence, &fate, &call).await {
            tracing::debug!("{}: {error}", call.directory().display());
        }
        outgoing.end().await;
        incoming.end().await;
        match part(&call, side).await {
            // The other side was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", call.directory().display());
            }
            _ => {}
        }
    };
    Ok((stream, Parting(tokio::spawn(carried))))
}

/// Until the stream is dropped, or something fails, which is its `fate`.
async fn carry(
    inner: DuplexStream,
    (outgoing, incoming): (&Apart<Outgoing>, &Apart<Incoming>),
    segment: usize,
    mut absence: oneshot::Receiver<Infallible>,
    fate: &Fate,
    call: &Call,
) -> io::Result<()> {
    let pace = Pace::begin();
    let (reader, writer) = tokio::io::split(inner);
    let mut said = pin!(say(reader, outgoing, segment, &pace));
    let mut heard = pin!(hear(writer, incoming, &pace));
    let (mut is_said, mut is_heard) = (false, false);
    loop {
        let done = tokio::select! {
            said = &mut said, if !is_said => {
                is_said = true;
                said
            }
            heard = &mut heard, if !is_heard => {
                is_heard = true;
                heard
            }
            _ = &mut absence => {
                return if is_said { Ok(()) } else { timeout(LAST_WORDS, said).await? };
            }
        };
        if let Err(error) = done {
            let place = call.directory().display();
            let reason = match error.kind() {
                io::ErrorKind::NotFound => format!("the other side has removed {place}"),
                io::ErrorKind::BrokenPipe => format!("the other side has closed {place}"),
                _ => format!("{place}: {error}"),
            };
            // Set once: this is where it ends. The stream learns of it when its other end goes.
            drop(fate.set(reason));
            return Err(error);
        }
    }
}

/// Sends what comes from the stream, in pieces as large as may be.
async fn say(
    mut from: ReadHalf<DuplexStream>,
    lane: &Apart<Outgoing>,
    segment: usize,
    pace: &Pace,
) -> io::Result<()> {
    let mut space = vec![0; segment];
    loop {
        let mut filled = from.read(&mut space).await?;
        if filled == 0 {
            lane.end().await;
            return Ok(());
        }
        while !lane.act(Outgoing::has_room).await? {
            pace.rest().await;
        }
        // What has come meanwhile goes along.
        while filled < segment {
            let more = tokio::select! {
                biased;
                more = from.read(&mut space[filled..]) => more?,
                () = ready(()) => 0,
            };
            if more == 0 {
                break;
            }
            filled += more;
        }
        let sent = lane.act(move |lane| lane.send(&space[..filled]).map(|()| space));
        space = sent.await?;
        pace.quicken();
    }
}

/// Gives to the stream what the other side has said.
async fn hear(
    mut to: WriteHalf<DuplexStream>,
    lane: &Apart<Incoming>,
    pace: &Pace,
) -> io::Result<()> {
    loop {
        match lane.act(Incoming::next).await? {
            Next::Segment(bytes) => {
                pace.quicken();
                if to.write_all(&bytes).await.is_err() {
                    // The stream was dropped, which tells itself.
                    return Ok(());
                }
            }
            Next::Nothing => pace.rest().await,
            Next::End => return to.shutdown().await,
        }
    }
}

/// Sees to it that nothing is left of `call`, which `side` has closed. Of two sides that close it
/// at once, one sees that the other has.
async fn part(call: &Call, side: Side) -> io::Result<()> {
    let its = call.clone();
    match side {
        Side::Agent => {
            apart(move || {
                // Nobody will ever hear a call that was not answered.
                if !its.is_answered()? || its.is_closed_by(Side::Gateway)? {
                    its.remove()?;
                }
                Ok(())
            })
            .await
        }
        Side::Gateway => {
            let (pace, deadline) = (Pace::begin(), Instant::now() + FAREWELL);
            while Instant::now() < deadline {
                let its = call.clone();
                if apart(move || its.is_closed_by(Side::Agent)).await? {
                    break;
                }
                pace.rest().await;
            }
            apart(move || its.remove()).await
        }
    }
}
