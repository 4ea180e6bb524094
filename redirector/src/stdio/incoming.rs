//! A stream of which this side passes on the bytes.

use super::{
    frame::Control,
    outbox::Outbox,
    queue::{Chunk, Queue},
    session::Violation,
};

/// What is to be done with the descriptor that a stream is passed on to.
#[derive(Debug)]
pub enum Next {
    /// Write these bytes.
    Write(Chunk),
    /// Everything is written, and nothing will come.
    End,
    /// Wait.
    Nothing,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// From what was passed on to what was received.
    queue: Queue,
    end: Option<u64>,
    /// Nobody takes more of it: how much was taken.
    closed: Option<u64>,
    /// How much the other side was told to be passed on.
    acknowledged: u64,
    /// On the present connection, the other side was told where this side is.
    resume_sent: bool,
    /// On the present connection, the other side was told that it is closed.
    closed_sent: bool,
}

impl Incoming {
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(super) fn is_closed_told(&self) -> bool {
        self.closed.is_some() && self.closed_sent
    }

    pub(super) fn connect(&mut self) {
        (self.resume_sent, self.closed_sent) = (false, false);
        self.acknowledged = self.queue.start();
    }

    pub(super) fn receive(
        &mut self,
        offset: u64,
        buffer: &mut Vec<u8>,
        length: usize,
        window: usize,
    ) -> Result<(), Violation> {
        if self.closed.is_some() {
            return Ok(());
        }
        let received = self.queue.end();
        if offset > received {
            return Err(Violation::Offset);
        }
        // What was sent again although it had come.
        let known = usize::try_from(received - offset).unwrap_or(length).min(length);
        if known == length {
            return Ok(());
        }
        if self.end.is_some() {
            return Err(Violation::Offset);
        }
        if self.queue.len() + length - known > window {
            return Err(Violation::Window);
        }
        if known == 0 {
            self.queue.push(buffer, length);
        } else {
            self.queue.push_copy(&buffer[known..length]);
        }
        Ok(())
    }

    pub(super) fn end(&mut self, offset: u64) -> Result<(), Violation> {
        if self.closed.is_none() && offset != self.queue.end() {
            return Err(Violation::Offset);
        }
        self.end = Some(offset);
        Ok(())
    }

    pub(super) fn next(&self) -> Next {
        match self.queue.piece(self.queue.start()) {
            _ if self.closed.is_some() => Next::Nothing,
            Some(chunk) => Next::Write(chunk),
            None if self.end.is_some() => Next::End,
            None => Next::Nothing,
        }
    }

    pub(super) fn passed_on(&mut self, count: usize) {
        self.queue.forget(self.queue.start() + count as u64);
    }

    /// Nobody takes more; `left` bytes of what was passed on were not taken. Whether somebody
    /// took it until now.
    pub(super) fn close(&mut self, left: u64) -> bool {
        let taken = self.queue.start().saturating_sub(left);
        let was_open = self.closed.is_none();
        if was_open {
            self.closed = Some(taken);
            self.queue.clear();
        }
        was_open
    }

    /// Adds what the other side is to be told about `number`; whether there was something.
    pub(super) fn fill(&mut self, number: i32, outbox: &mut Outbox, step: u64) -> bool {
        if let Some(offset) = self.closed {
            let is_news = !self.closed_sent;
            if is_news {
                self.closed_sent = true;
                outbox.control(Control::Closed { number, offset });
            }
            return is_news;
        }
        let passed_on = self.queue.start();
        if !self.resume_sent {
            self.resume_sent = true;
            self.acknowledged = passed_on;
            outbox.control(Control::Acknowledge { number, offset: passed_on });
            outbox.control(Control::Resume { number, offset: self.queue.end() });
            return true;
        }
        let is_due = passed_on - self.acknowledged >= step;
        if is_due {
            self.acknowledged = passed_on;
            outbox.control(Control::Acknowledge { number, offset: passed_on });
        }
        is_due
    }

    /// Whether [`Self::fill`] has something to add.
    pub(super) fn has_news(&self, step: u64) -> bool {
        match self.closed {
            Some(_) => !self.closed_sent,
            None => !self.resume_sent || self.queue.start() - self.acknowledged >= step,
        }
    }
}
