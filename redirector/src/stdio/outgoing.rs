//! A stream of which this side reads the bytes.

use super::{LARGEST_PIECE, frame::Control, outbox::Outbox, queue::Queue, session::Violation};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// From what the other side has passed on to what was read.
    queue: Queue,
    /// The source has ended.
    has_ended: bool,
    /// The other side takes no more: how much it took.
    closed: Option<u64>,
    /// How much went over the present connection, or was there before; `None` until the other
    /// side has said where it is.
    sent: Option<u64>,
    /// The end went over the present connection.
    end_sent: bool,
}

impl Outgoing {
    pub(super) fn room(&self, window: usize) -> usize {
        if self.has_ended || self.closed.is_some() { 0 } else { window - self.queue.len() }
    }

    pub(super) fn push(&mut self, buffer: &mut Vec<u8>, filled: usize) {
        // What was being read while the other side closed the stream.
        if self.closed.is_none() {
            self.queue.push(buffer, filled);
        }
    }

    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    pub(super) fn closed(&self) -> Option<u64> {
        self.closed
    }

    /// Nothing went over the present connection. The first one of all needs no word from the
    /// other side: it cannot have anything.
    pub(super) fn connect(&mut self, is_first: bool) {
        self.sent = is_first.then_some(0);
        self.end_sent = false;
    }

    pub(super) fn resume(&mut self, offset: u64) -> Result<(), Violation> {
        if self.closed.is_none() {
            self.acknowledgeable(offset)?;
            // An older word of it may be on its way together with this one.
            self.sent = self.sent.or(Some(offset.max(self.queue.start())));
        }
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, offset: u64) -> Result<(), Violation> {
        if self.closed.is_none() {
            self.acknowledgeable(offset)?;
            self.queue.forget(offset.max(self.queue.start()));
            self.sent = self.sent.map(|sent| sent.max(offset));
        }
        Ok(())
    }

    fn acknowledgeable(&self, offset: u64) -> Result<(), Violation> {
        if offset > self.queue.end() { Err(Violation::Offset) } else { Ok(()) }
    }

    pub(super) fn close(&mut self, taken: u64) -> Result<(), Violation> {
        self.acknowledgeable(taken)?;
        self.closed.get_or_insert(taken);
        self.queue.clear();
        Ok(())
    }

    /// Whether [`Self::fill`] has something to add.
    pub(super) fn has_news(&self) -> bool {
        let (None, Some(sent)) = (self.closed, self.sent) else { return false };
        sent < self.queue.end() || (self.has_ended && !self.end_sent)
    }

    /// Adds the next frame of `number` to `outbox`; whether there was one.
    pub(super) fn fill(&mut self, number: i32, outbox: &mut Outbox) -> bool {
        let (None, Some(sent)) = (self.closed, self.sent) else { return false };
        if let Some(chunk) = self.queue.piece(sent) {
            debug_assert!(chunk.len() <= LARGEST_PIECE);
            self.sent = Some(sent + chunk.len() as u64);
            outbox.data(number, sent, chunk);
            return true;
        }
        if self.has_ended && !self.end_sent {
            self.end_sent = true;
            outbox.control(Control::End { number, offset: self.queue.end() });
            return true;
        }
        false
    }
}
