//! One side of all streams of an attempt.

use std::collections::BTreeMap;

use super::{
    WINDOW,
    decoder::Arrived,
    frame::{Control, VERSION},
    incoming::{Incoming, Next},
    outbox::Outbox,
    outgoing::Outgoing,
    signals::{Signal, Signals},
};

/// What passed bytes are acknowledged by, as a part of the window. Each acknowledgement wakes
/// every process on its way; less than all of the window is always left without one.
const STEPS: usize = 4;

/// The other side does not keep to the protocol; the connection is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not a frame.
    #[error("what came is no frame")]
    Frame,
    /// The other side speaks another version of this protocol.
    #[error("the other side speaks version {0} of the stdio protocol, and this one {VERSION}")]
    Version(u32),
    /// Bytes at an offset where they cannot be.
    #[error("a frame is about bytes that it cannot be about")]
    Offset,
    /// More than was asked for.
    #[error("more bytes came than there was room for")]
    Window,
    /// About a descriptor that there is not.
    #[error("a frame is about descriptor {0}, which there is not")]
    Stream(i32),
}

/// What a frame has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that anybody waits for.
    None,
    /// There is something new about this stream: bytes, its end, room for more bytes, or that
    /// nobody takes them.
    Stream(i32),
    /// A signal for the command.
    Signal(Signal),
    /// The other side knows nothing of the attempt.
    Gone,
    /// The other side has everything.
    Delivered,
}

/// A connection of a session. When there is a newer one it counts no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(u64);

/// See the module.
#[derive(Debug)]
pub struct Session {
    outgoing: BTreeMap<i32, Outgoing>,
    incoming: BTreeMap<i32, Incoming>,
    signals: Signals,
    window: usize,
    connections: u64,
    hello_sent: bool,
    /// This side has everything, and on the present connection has said so.
    is_done: bool,
    done_sent: bool,
    /// The other side has everything.
    is_delivered: bool,
    /// The stream whose turn it is to send.
    turn: usize,
}

impl Session {
    /// One that reads the descriptors `sends`, and writes to `receives`.
    pub fn new(
        sends: impl IntoIterator<Item = i32>,
        receives: impl IntoIterator<Item = i32>,
    ) -> Self {
        Self::with_window(sends, receives, WINDOW)
    }

    pub(super) fn with_window(
        sends: impl IntoIterator<Item = i32>,
        receives: impl IntoIterator<Item = i32>,
        window: usize,
    ) -> Self {
        Self {
            outgoing: sends.into_iter().map(|number| (number, Outgoing::default())).collect(),
            incoming: receives.into_iter().map(|number| (number, Incoming::default())).collect(),
            signals: Signals::default(),
            window,
            connections: 0,
            hello_sent: false,
            is_done: false,
            done_sent: false,
            is_delivered: false,
            turn: 0,
        }
    }

    /// How many bytes may be read from a descriptor now.
    pub fn room(&self, number: i32) -> usize {
        self.outgoing.get(&number).map_or(0, |stream| stream.room(self.window))
    }

    /// The first `filled` bytes of `buffer`, at most [`Self::room`], were read from a descriptor.
    /// They are not copied if they are many: another buffer is put in its place.
    pub fn push(&mut self, number: i32, buffer: &mut Vec<u8>, filled: usize) {
        if let Some(stream) = self.outgoing.get_mut(&number) {
            stream.push(buffer, filled);
        }
    }

    /// A descriptor that is read has ended.
    pub fn end(&mut self, number: i32) {
        if let Some(stream) = self.outgoing.get_mut(&number) {
            stream.end();
        }
    }

    /// Nobody takes more of what is read from a descriptor: how many bytes were taken.
    pub fn taken(&self, number: i32) -> Option<u64> {
        self.outgoing.get(&number)?.closed()
    }

    /// What is to be done with a descriptor that is written to.
    pub fn next(&self, number: i32) -> Next {
        self.incoming.get(&number).map_or(Next::Nothing, Incoming::next)
    }

    /// `count` bytes were written to a descriptor.
    pub fn passed_on(&mut self, number: i32, count: usize) {
        if let Some(stream) = self.incoming.get_mut(&number) {
            stream.passed_on(count);
        }
    }

    /// A descriptor that was written to is closed, because everything was written or because
    /// nobody reads it; `left` bytes are still in it, which nobody will read. Whether it was open.
    pub fn close(&mut self, number: i32, left: u64) -> bool {
        self.incoming.get_mut(&number).is_some_and(|stream| stream.close(left))
    }

    /// Sends the command a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.signals.send(signal);
    }

    /// Whether all signals that were sent are known to be delivered.
    pub fn are_signals_delivered(&self) -> bool {
        self.signals.are_delivered()
    }

    /// Whether all that is to be written is written.
    pub fn has_written_all(&self) -> bool {
        self.incoming.values().all(Incoming::is_closed)
    }

    /// This side has everything that it wants to have.
    pub fn finish(&mut self) {
        self.is_done = true;
    }

    /// Whether the other side was told all, as far as this side can see to that.
    pub fn has_told_all(&self) -> bool {
        self.incoming.values().all(Incoming::is_closed_told) && self.done_sent == self.is_done
    }

    /// Whether the other side has everything that it wants to have.
    pub fn is_delivered(&self) -> bool {
        self.is_delivered
    }

    /// There is a new connection; those before count no more.
    pub fn connect(&mut self) -> ConnectionId {
        let is_first = self.connections == 0;
        self.connections += 1;
        (self.hello_sent, self.done_sent) = (false, false);
        self.outgoing.values_mut().for_each(|stream| stream.connect(is_first));
        self.incoming.values_mut().for_each(Incoming::connect);
        self.signals.connect();
        ConnectionId(self.connections)
    }

    /// The connection is over.
    pub fn disconnect(&mut self) {
        self.connections += 1;
    }

    /// Whether this is the present connection.
    pub fn is_current(&self, connection: ConnectionId) -> bool {
        connection.0 == self.connections
    }

    /// Adds what is to be sent over `connection` to `outbox`, as much as is worth it.
    pub fn fill(&mut self, connection: ConnectionId, outbox: &mut Outbox) {
        if !self.is_current(connection) {
            return;
        }
        if !self.hello_sent {
            self.hello_sent = true;
            outbox.control(Control::Hello { version: VERSION });
        }
        let step = self.step();
        for (number, stream) in &mut self.incoming {
            stream.fill(*number, outbox, step);
        }
        while self.signals.fill(outbox) {}
        let mut silent = 0;
        while silent < self.outgoing.len() && !outbox.is_full() {
            self.turn = (self.turn + 1) % self.outgoing.len();
            let spoke = self
                .outgoing
                .iter_mut()
                .nth(self.turn)
                .is_some_and(|(number, stream)| stream.fill(*number, outbox));
            silent = if spoke { 0 } else { silent + 1 };
        }
        if self.is_done && !self.done_sent {
            self.done_sent = true;
            outbox.control(Control::Done);
        }
        outbox.close_headers();
    }

    /// Whether [`Self::fill`] has something to add for the present connection.
    pub fn has_news(&self) -> bool {
        let step = self.step();
        !self.hello_sent
            || (self.is_done && !self.done_sent)
            || self.signals.has_news()
            || self.incoming.values().any(|stream| stream.has_news(step))
            || self.outgoing.values().any(Outgoing::has_news)
    }

    fn step(&self) -> u64 {
        (self.window / STEPS).max(1) as u64
    }

    /// Takes a frame that came over `connection`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receive(
        &mut self,
        connection: ConnectionId,
        arrived: Arrived<'_>,
    ) -> Result<Effect, Violation> {
        if !self.is_current(connection) {
            return Ok(Effect::None);
        }
        match arrived {
            Arrived::Data { number, offset, buffer, length } => {
                let window = self.window;
                self.incoming(number)?.receive(offset, buffer, length, window)?;
                Ok(Effect::Stream(number))
            }
            Arrived::Control(control) => self.control(control),
        }
    }

    fn control(&mut self, control: Control) -> Result<Effect, Violation> {
        match control {
            Control::Hello { version: VERSION } => Ok(Effect::None),
            Control::Hello { version } => Err(Violation::Version(version)),
            Control::Resume { number, offset } => {
                self.outgoing(number)?.resume(offset)?;
                Ok(Effect::None)
            }
            Control::Acknowledge { number, offset } => {
                self.outgoing(number)?.acknowledge(offset)?;
                Ok(Effect::Stream(number))
            }
            Control::Closed { number, offset } => {
                self.outgoing(number)?.close(offset)?;
                Ok(Effect::Stream(number))
            }
            Control::End { number, offset } => {
                self.incoming(number)?.end(offset)?;
                Ok(Effect::Stream(number))
            }
            Control::Signal { signal, sequence, to_group } => {
                let signal = self.signals.receive(sequence, Signal { signal, to_group });
                Ok(signal.map_or(Effect::None, Effect::Signal))
            }
            Control::SignalsSeen { sequence } => {
                self.signals.delivered(sequence);
                Ok(Effect::None)
            }
            Control::Gone => Ok(Effect::Gone),
            Control::Done => {
                self.is_delivered = true;
                Ok(Effect::Delivered)
            }
        }
    }

    fn outgoing(&mut self, number: i32) -> Result<&mut Outgoing, Violation> {
        self.outgoing.get_mut(&number).ok_or(Violation::Stream(number))
    }

    fn incoming(&mut self, number: i32) -> Result<&mut Incoming, Violation> {
        self.incoming.get_mut(&number).ok_or(Violation::Stream(number))
    }
}
