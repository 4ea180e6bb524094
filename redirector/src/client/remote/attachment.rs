//! The connection to the agent, which comes back until everything is done.
//!
//! One thread connects and reads; while there is a connection, another one writes.

use std::{
    cell::LazyCell,
    io::{self, Read, Write},
    net::Shutdown,
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, send};

use super::{
    shared::{Shared, State},
    sink,
};
use crate::{
    client::wire::Error,
    stdio::{ConnectionId, Decoder, Effect, Next, Outbox},
};

/// Pauses between attempts to connect double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What makes connections.
pub(super) trait Connect: Send + 'static {
    /// Connects, and gives what came together with the answer, too.
    ///
    /// # Errors
    /// Why there is no connection, and whether there will be one.
    fn connect(&mut self) -> Result<(UnixStream, Vec<u8>), Error>;
}

/// Keeps a connection up until the pump is stopped. For `patience` after the command has ended,
/// without a connection, more may come.
pub(super) fn run(
    shared: &Arc<Shared>,
    connect: &mut impl Connect,
    patience: impl FnOnce() -> Duration,
) {
    let patience = LazyCell::new(patience);
    let mut pause = FIRST_PAUSE;
    loop {
        match connect.connect() {
            Ok((stream, ahead)) => match serve(shared, &stream, &ahead) {
                Ok(Ended::Gone) => refuse(shared, "its agent knows nothing of it".to_owned()),
                Ok(Ended::Served) => pause = FIRST_PAUSE,
                // Anybody may have ended it; the next one tells.
                Ok(Ended::AtOnce) | Err(_) => {}
            },
            Err(error) if error.is_final() => refuse(shared, error.to_string()),
            Err(error) => {
                let is_hopeless = {
                    let mut state = shared.state();
                    let lost = *state.lost.get_or_insert_with(Instant::now);
                    state.is_over && lost.elapsed() > *patience
                };
                if is_hopeless {
                    refuse(shared, error.to_string());
                }
            }
        }
        let state = shared.state();
        let waits = |state: &mut State| !state.is_stopped;
        let waited = shared.changed.wait_timeout_while(state, pause, waits);
        if waited.is_ok_and(|(state, _)| state.is_stopped) {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn refuse(shared: &Shared, reason: String) {
    let mut state = shared.state();
    state.refused = Some(reason);
    drop(state);
    shared.main.wake();
}

/// How a connection ended.
enum Ended {
    /// Something came over it.
    Served,
    /// Nothing did.
    AtOnce,
    /// The agent does not know the attempt.
    Gone,
}

fn serve(shared: &Arc<Shared>, stream: &UnixStream, ahead: &[u8]) -> io::Result<Ended> {
    let id = {
        let mut state = shared.state();
        if state.is_stopped {
            return Ok(Ended::AtOnce);
        }
        let id = state.session.connect();
        state.connection = Some((id, stream.try_clone()?));
        id
    };
    let (writer, theirs) = (stream.try_clone()?, Arc::clone(shared));
    let speaker = thread::Builder::new().spawn(move || {
        super::block_broken_pipes();
        drop(speak(&theirs, id, &writer));
        // Fails when the other side has closed it.
        drop(writer.shutdown(Shutdown::Both));
    })?;
    let ended = listen(shared, id, stream, ahead);
    drop(stream.shutdown(Shutdown::Both));
    shared.state().connection = None;
    // The one that writes finds that its connection is over.
    shared.state().session.disconnect();
    shared.changed.notify_all();
    drop(speaker.join());
    ended
}

fn listen(
    shared: &Shared,
    id: ConnectionId,
    mut stream: &UnixStream,
    mut ahead: &[u8],
) -> io::Result<Ended> {
    let mut decoder = Decoder::default();
    let mut ended = Ended::AtOnce;
    loop {
        let count = if ahead.is_empty() {
            stream.read(decoder.space())?
        } else {
            ahead.read(decoder.space())?
        };
        if count == 0 {
            return Ok(ended);
        }
        decoder.advance(count);
        let (mut is_closed, mut has_news) = (false, false);
        while let Some(arrived) = decoder.next().map_err(io::Error::other)? {
            let mut state = shared.state();
            let effect = state.session.receive(id, arrived).map_err(io::Error::other)?;
            if effect == Effect::Gone {
                return Ok(Ended::Gone);
            }
            if let Effect::Stream(number) = effect {
                is_closed |= state.session.taken(number).is_some();
                has_news |= state.session.has_news();
            } else {
                has_news = true;
            }
            let is_first = matches!(ended, Ended::AtOnce);
            ended = Ended::Served;
            if is_first {
                (state.has_agent, state.lost, state.refused) = (true, None, None);
            }
            drop(state);
            if is_first {
                shared.wake_all();
            } else if let Effect::Stream(number) = effect
                && !end_without_its_thread(shared, number)
            {
                shared.wake(number);
            }
        }
        if has_news {
            shared.changed.notify_all();
        }
        if is_closed {
            // The main thread may wait to hear how much the command has taken.
            shared.main.wake();
        }
    }
}

/// Ends a descriptor to which everything is written, which is quicker than having its thread do it.
/// Whether that is all.
fn end_without_its_thread(shared: &Shared, number: i32) -> bool {
    let Some(own) = shared.sink(number) else { return false };
    let state = shared.state();
    let has_ended = matches!(state.session.next(number), Next::End);
    if has_ended {
        sink::conclude(shared, own, state);
    }
    has_ended
}

/// Says what is to be said without the thread that does it otherwise, as far as the connection
/// takes it: this process is about to end.
pub(super) fn say_at_once(state: &mut State) {
    let State { session, connection: Some((id, stream)), is_writing: false, .. } = state else {
        return;
    };
    let mut outbox = Outbox::default();
    session.fill(*id, &mut outbox);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    // What is short fits or does not. Where it does not, the agent finds out by itself.
    let _sent = send(stream.as_raw_fd(), &outbox.to_vec(), flags);
}

fn speak(shared: &Shared, id: ConnectionId, mut stream: &UnixStream) -> io::Result<()> {
    let mut outbox = Outbox::default();
    loop {
        let mut state = shared.state();
        loop {
            if state.is_stopped || !state.session.is_current(id) {
                return Ok(());
            }
            state.session.fill(id, &mut outbox);
            let was_writing = std::mem::replace(&mut state.is_writing, !outbox.is_empty());
            if state.is_writing {
                break;
            }
            if was_writing {
                shared.changed.notify_all();
            }
            let waited = shared.changed.wait(state);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        drop(state);
        while !outbox.is_empty() {
            match stream.write_vectored(&outbox.slices()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => outbox.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
