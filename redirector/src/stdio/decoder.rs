//! Finds the frames in what a connection gives.

use super::{
    LARGEST_PIECE,
    frame::{Control, HEADER, Header},
    session::Violation,
};

/// Bytes that are read at once while no large frame is expected.
const AHEAD: usize = 16 << 10;

/// A frame that has come.
#[derive(Debug)]
pub enum Arrived<'a> {
    /// One without bytes of a stream.
    Control(Control),
    /// Bytes of a stream.
    Data {
        /// The stream.
        number: i32,
        /// The first byte's place in it.
        offset: u64,
        /// Has them at its beginning. Another one may be put in its place.
        buffer: &'a mut Vec<u8>,
        /// How many there are.
        length: usize,
    },
}

/// Takes bytes in any pieces. Most bytes of a large frame are read to where they stay.
#[derive(Debug)]
pub struct Decoder {
    ahead: Box<[u8]>,
    taken: usize,
    filled: usize,
    data: Option<Data>,
    payload: Vec<u8>,
}

/// A frame of which bytes are to come.
#[derive(Debug)]
struct Data {
    number: i32,
    offset: u64,
    length: usize,
    filled: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        let ahead = vec![0; AHEAD].into_boxed_slice();
        Self { ahead, taken: 0, filled: 0, data: None, payload: vec![0; LARGEST_PIECE] }
    }
}

impl Decoder {
    /// Where the next bytes are to be put; there is room once [`Self::next`] has nothing more.
    pub fn space(&mut self) -> &mut [u8] {
        if let Some(data) = &self.data {
            return &mut self.payload[data.filled..data.length];
        }
        self.ahead.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        &mut self.ahead[self.filled..]
    }

    /// `count` bytes were put into [`Self::space`].
    pub fn advance(&mut self, count: usize) {
        match &mut self.data {
            Some(data) => data.filled += count,
            None => self.filled += count,
        }
    }

    /// The next frame; `None` if more bytes are needed.
    ///
    /// # Errors
    /// What is wrong with what came.
    #[expect(clippy::should_implement_trait, reason = "its item borrows from it")]
    pub fn next(&mut self) -> Result<Option<Arrived<'_>>, Violation> {
        if self.data.is_none() {
            let Some(header) = self.ahead[self.taken..self.filled].first_chunk::<HEADER>() else {
                return Ok(None);
            };
            self.taken += HEADER;
            match Header::decode(*header).ok_or(Violation::Frame)? {
                Header::Control(control) => return Ok(Some(Arrived::Control(control))),
                Header::Data { number, offset, length } => {
                    let length = length as usize;
                    if length == 0 || length > LARGEST_PIECE {
                        return Err(Violation::Frame);
                    }
                    let there = (self.filled - self.taken).min(length);
                    let bytes = &self.ahead[self.taken..self.taken + there];
                    self.payload[..there].copy_from_slice(bytes);
                    self.taken += there;
                    self.data = Some(Data { number, offset, length, filled: there });
                }
            }
        }
        match self.data.take() {
            Some(Data { number, offset, length, filled }) if filled == length => {
                Ok(Some(Arrived::Data { number, offset, buffer: &mut self.payload, length }))
            }
            unfinished => {
                self.data = unfinished;
                Ok(None)
            }
        }
    }
}
