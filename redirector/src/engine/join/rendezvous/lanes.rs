//! The two directions of a call, as one side has them. All of this may take as long as the file
//! system likes.

use std::{collections::VecDeque, fs, io};

use super::{
    call::{Call, Progress, Side},
    counter::{Counter, Tally},
    segment,
};

/// How much may be under way in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most bytes of a segment.
    pub segment: usize,
    /// Most bytes of all segments that were not taken yet.
    pub bytes: usize,
    /// Most segments that were not taken yet, however small.
    pub segments: usize,
}

/// Enough for 400 MB/s where a look takes 20 ms, and files that no server finds small.
pub(super) const LIMITS: Limits = Limits { segment: 512 << 10, bytes: 8 << 20, segments: 64 };

/// What this side says. Dropped, there is no more of it.
#[derive(Debug)]
pub(super) struct Outgoing {
    call: Call,
    side: Side,
    limits: Limits,
    sent: Counter,
    /// The lengths of what was not taken yet, as far as is known here.
    under_way: VecDeque<usize>,
}

impl Outgoing {
    /// The one of `side`, which has said nothing yet.
    pub(super) fn begin(call: &Call, side: Side, limits: Limits) -> io::Result<Self> {
        let sent = Counter::open(&call.counter(side, Progress::Sent))?;
        Ok(Self { call: call.clone(), side, limits, sent, under_way: VecDeque::new() })
    }

    /// Whether another segment can be sent. Looks at what was taken only if it has to.
    pub(super) fn has_room(&mut self) -> io::Result<bool> {
        if self.seems_full() {
            let taken = Tally::read(&self.call.counter(self.side.other(), Progress::Taken))?;
            if taken.is_final {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let left = self.sent.count().saturating_sub(taken.count) as usize;
            self.under_way.drain(..self.under_way.len().saturating_sub(left));
        }
        Ok(!self.seems_full())
    }

    fn seems_full(&self) -> bool {
        let Limits { segment, bytes, segments } = self.limits;
        self.under_way.len() >= segments || self.under_way.iter().sum::<usize>() + segment > bytes
    }

    /// Sends `bytes`, of which there are no more than a segment may have.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        segment::write(&self.call.segment(self.side, self.sent.count()), bytes)?;
        // Only now can the other side know of it.
        self.sent.raise()?;
        self.under_way.push_back(bytes.len());
        Ok(())
    }
}

/// What the other side says. Dropped, no more of it is taken.
#[derive(Debug)]
pub(super) struct Incoming {
    call: Call,
    /// Whose words these are.
    side: Side,
    taken: Counter,
    /// What is known of the other side.
    sent: Tally,
}

/// What is to be had at this moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Segment(Vec<u8>),
    Nothing,
    /// There will never be more.
    End,
}

impl Incoming {
    /// What `side` will hear of the other one.
    pub(super) fn begin(call: &Call, side: Side) -> io::Result<Self> {
        let taken = Counter::open(&call.counter(side, Progress::Taken))?;
        Ok(Self { call: call.clone(), side: side.other(), taken, sent: Tally::default() })
    }

    /// Takes the next segment, if it is there.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        if self.sent.count <= self.taken.count() {
            self.sent = Tally::read(&self.call.counter(self.side, Progress::Sent))?;
        }
        if self.sent.count <= self.taken.count() {
            return Ok(if self.sent.is_final { Next::End } else { Next::Nothing });
        }
        let file = self.call.segment(self.side, self.taken.count());
        let Some(bytes) = segment::read(&file)? else { return Ok(Next::Nothing) };
        // In this order there is never more in the directory than its writer believes.
        fs::remove_file(&file)?;
        self.taken.raise()?;
        Ok(Next::Segment(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::begin, *};

    #[test]
    fn a_segment_that_is_seen_in_part_is_waited_for() {
        let (_state, call) = begin();
        let mut outgoing = Outgoing::begin(&call, Side::Agent, LIMITS).unwrap();
        let mut incoming = Incoming::begin(&call, Side::Gateway).unwrap();
        assert_eq!(incoming.next().unwrap(), Next::Nothing);
        outgoing.send(b"all of it").unwrap();
        let file = call.segment(Side::Agent, 0);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(incoming.next().unwrap(), Next::Nothing);
        fs::remove_file(&file).unwrap();
        assert_eq!(incoming.next().unwrap(), Next::Nothing);
        fs::write(&file, whole).unwrap();
        assert_eq!(incoming.next().unwrap(), Next::Segment(b"all of it".to_vec()));
        assert_eq!(incoming.next().unwrap(), Next::Nothing);
        drop(outgoing);
        assert_eq!(incoming.next().unwrap(), Next::End);
    }

    #[test]
    fn a_segment_that_was_not_counted_is_not_there() {
        let (_state, call) = begin();
        let mut incoming = Incoming::begin(&call, Side::Gateway).unwrap();
        segment::write(&call.segment(Side::Agent, 0), b"its writer was killed").unwrap();
        assert_eq!(incoming.next().unwrap(), Next::Nothing);
    }

    #[test]
    fn room_is_made_by_what_was_taken() {
        let (_state, call) = begin();
        let limits = Limits { segment: 10, bytes: 25, segments: 3 };
        let mut outgoing = Outgoing::begin(&call, Side::Agent, limits).unwrap();
        let mut incoming = Incoming::begin(&call, Side::Gateway).unwrap();
        for bytes in [&[0; 10][..], &[0; 6]] {
            assert!(outgoing.has_room().unwrap());
            outgoing.send(bytes).unwrap();
        }
        assert!(!outgoing.has_room().unwrap(), "16 bytes, and a segment may have 10");
        incoming.next().unwrap();
        for byte in [1, 2] {
            assert!(outgoing.has_room().unwrap());
            outgoing.send(&[byte]).unwrap();
        }
        assert!(!outgoing.has_room().unwrap(), "three segments");
        drop(incoming);
        let error = outgoing.has_room().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "nobody will ever make room");
    }
}
