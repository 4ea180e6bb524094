//! Signals on their way to the command, each delivered once.

use std::collections::VecDeque;

use super::{frame::Control, outbox::Outbox};

/// Signals that may be on their way at the same time. Further ones wait, and there a signal
/// counts once, as it does where the kernel keeps it pending.
const ON_THEIR_WAY: usize = 64;

/// A signal for the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Its number.
    pub signal: i32,
    /// It went to the whole process group.
    pub to_group: bool,
}

/// Both ends' state; a side sends signals or gets them.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Not known to be delivered; the first one's sequence is `delivered + 1`.
    waiting: VecDeque<Signal>,
    delivered: u64,
    /// How many of those that wait went over the present connection.
    sent: usize,
    /// How many of those that wait went over any connection.
    ever_sent: usize,
    /// The last one that came.
    seen: u64,
    /// What the other side was told of that.
    told: u64,
}

impl Signals {
    pub(super) fn send(&mut self, signal: Signal) {
        if !self.waiting.range(self.ever_sent..).any(|waiting| *waiting == signal) {
            self.waiting.push_back(signal);
        }
    }

    /// Whether all are known to be delivered.
    pub(super) fn are_delivered(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn connect(&mut self) {
        self.sent = 0;
        self.told = 0;
    }

    /// The signal, if it did not come before. One with a gap before it comes again.
    pub(super) fn receive(&mut self, sequence: u64, signal: Signal) -> Option<Signal> {
        let is_next = sequence == self.seen + 1;
        self.seen += u64::from(is_next);
        is_next.then_some(signal)
    }

    pub(super) fn delivered(&mut self, sequence: u64) {
        let news = sequence.saturating_sub(self.delivered) as usize;
        let news = news.min(self.waiting.len());
        self.waiting.drain(..news);
        self.delivered += news as u64;
        self.sent = self.sent.saturating_sub(news);
        self.ever_sent = self.ever_sent.saturating_sub(news);
    }

    /// Whether [`Self::fill`] has something to add.
    pub(super) fn has_news(&self) -> bool {
        self.told < self.seen || self.sent < self.waiting.len().min(ON_THEIR_WAY)
    }

    pub(super) fn fill(&mut self, outbox: &mut Outbox) -> bool {
        if self.told < self.seen {
            self.told = self.seen;
            outbox.control(Control::SignalsSeen { sequence: self.seen });
            return true;
        }
        if self.sent >= ON_THEIR_WAY {
            return false;
        }
        let Some(Signal { signal, to_group }) = self.waiting.get(self.sent).copied() else {
            return false;
        };
        self.sent += 1;
        self.ever_sent = self.ever_sent.max(self.sent);
        let sequence = self.delivered + self.sent as u64;
        outbox.control(Control::Signal { signal, sequence, to_group });
        true
    }
}
