//! What goes over a connection: a header of 17 bytes, and after some the bytes of a stream.
//!
//! ```text
//!  0      1               5                              13              17
//!  ┌──────┬───────────────┬──────────────────────────────┬───────────────┬── … ──┐
//!  │ kind │ number        │ offset or sequence           │ length        │ bytes │
//!  └──────┴───────────────┴──────────────────────────────┴───────────────┴── … ──┘
//! ```
//!
//! Numbers are little-endian.

/// Bytes of a header.
pub(super) const HEADER: usize = 17;

/// Both sides must speak the same version.
pub(super) const VERSION: u32 = 1;

/// A frame without bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The first frame of each side.
    Hello {
        /// Of this protocol.
        version: u32,
    },
    /// What the receiver of a stream has: the sender goes on from there. After each `Hello`.
    Resume {
        /// The stream.
        number: i32,
        /// Bytes that it has received.
        offset: u64,
    },
    /// The receiver has passed on bytes: the sender forgets them.
    Acknowledge {
        /// The stream.
        number: i32,
        /// How many bytes, since the stream's beginning.
        offset: u64,
    },
    /// Nothing comes after these bytes.
    End {
        /// The stream.
        number: i32,
        /// How many there were.
        offset: u64,
    },
    /// The receiver takes no more of a stream: nobody reads it any more. Repeated after each
    /// `Hello`.
    Closed {
        /// The stream.
        number: i32,
        /// How many bytes of it were taken in the end.
        offset: u64,
    },
    /// A signal for the command.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Counts them from 1: none is delivered twice.
        sequence: u64,
        /// It went to the whole process group.
        to_group: bool,
    },
    /// Signals up to this one were delivered.
    SignalsSeen {
        /// The last one.
        sequence: u64,
    },
    /// The agent knows nothing of this attempt.
    Gone,
    /// The client has everything, and will not come again.
    Done,
}

/// A header as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    Control(Control),
    Data { number: i32, offset: u64, length: u32 },
}

mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const RESUME: u8 = 2;
    pub(super) const DATA: u8 = 3;
    pub(super) const ACKNOWLEDGE: u8 = 4;
    pub(super) const END: u8 = 5;
    pub(super) const CLOSED: u8 = 6;
    pub(super) const SIGNAL: u8 = 7;
    pub(super) const SIGNAL_TO_GROUP: u8 = 8;
    pub(super) const SIGNALS_SEEN: u8 = 9;
    pub(super) const GONE: u8 = 10;
    pub(super) const DONE: u8 = 11;
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let (kind, number, offset, length) = match self {
            Self::Data { number, offset, length } => (kind::DATA, number, offset, length),
            Self::Control(control) => {
                let (kind, number, offset) = control.fields();
                (kind, number, offset, 0)
            }
        };
        let mut bytes = [0; HEADER];
        bytes[0] = kind;
        bytes[1..5].copy_from_slice(&number.to_le_bytes());
        bytes[5..13].copy_from_slice(&offset.to_le_bytes());
        bytes[13..].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// `None` for a kind that there is not, or a length where there is none.
    pub(super) fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (offset, length) = rest.split_first_chunk()?;
        let (number, offset) = (i32::from_le_bytes(*number), u64::from_le_bytes(*offset));
        let length = u32::from_le_bytes(*length.first_chunk()?);
        let control = match *kind {
            kind::DATA => return Some(Self::Data { number, offset, length }),
            kind::HELLO => Control::Hello { version: number.cast_unsigned() },
            kind::RESUME => Control::Resume { number, offset },
            kind::ACKNOWLEDGE => Control::Acknowledge { number, offset },
            kind::END => Control::End { number, offset },
            kind::CLOSED => Control::Closed { number, offset },
            kind @ (kind::SIGNAL | kind::SIGNAL_TO_GROUP) => {
                let to_group = kind == kind::SIGNAL_TO_GROUP;
                Control::Signal { signal: number, sequence: offset, to_group }
            }
            kind::SIGNALS_SEEN => Control::SignalsSeen { sequence: offset },
            kind::GONE => Control::Gone,
            kind::DONE => Control::Done,
            _ => return None,
        };
        (length == 0).then_some(Self::Control(control))
    }
}

impl Control {
    /// The frame's bytes.
    pub fn encode(self) -> [u8; 17] {
        Header::Control(self).encode()
    }

    fn fields(self) -> (u8, i32, u64) {
        match self {
            Self::Hello { version } => (kind::HELLO, version.cast_signed(), 0),
            Self::Resume { number, offset } => (kind::RESUME, number, offset),
            Self::Acknowledge { number, offset } => (kind::ACKNOWLEDGE, number, offset),
            Self::End { number, offset } => (kind::END, number, offset),
            Self::Closed { number, offset } => (kind::CLOSED, number, offset),
            Self::Signal { signal, sequence, to_group: false } => (kind::SIGNAL, signal, sequence),
            Self::Signal { signal, sequence, to_group: true } => {
                (kind::SIGNAL_TO_GROUP, signal, sequence)
            }
            Self::SignalsSeen { sequence } => (kind::SIGNALS_SEEN, 0, sequence),
            Self::Gone => (kind::GONE, 0, 0),
            Self::Done => (kind::DONE, 0, 0),
        }
    }
}
