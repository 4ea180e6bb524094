//! Frames on their way into a connection.

use std::{collections::VecDeque, io::IoSlice};

use super::{
    frame::{Control, Header},
    queue::Chunk,
};

/// Bytes that are worth being written at once.
const ENOUGH: usize = 512 << 10;

/// Bytes that are to be written, in pieces that are written together.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Headers that are in no chunk yet.
    headers: Vec<u8>,
    length: usize,
}

impl Outbox {
    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether there is enough for now.
    pub(super) fn is_full(&self) -> bool {
        self.length >= ENOUGH
    }

    pub(super) fn control(&mut self, control: Control) {
        self.header(Header::Control(control));
    }

    pub(super) fn data(&mut self, number: i32, offset: u64, chunk: Chunk) {
        self.header(Header::Data { number, offset, length: chunk.len() as u32 });
        self.close_headers();
        self.length += chunk.len();
        self.chunks.push_back(chunk);
    }

    fn header(&mut self, header: Header) {
        let bytes = header.encode();
        self.headers.extend_from_slice(&bytes);
        self.length += bytes.len();
    }

    pub(super) fn close_headers(&mut self) {
        if !self.headers.is_empty() {
            self.chunks.push_back(Chunk::new(std::mem::take(&mut self.headers)));
        }
    }

    /// What is to be written next, in order.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        self.chunks.iter().map(|chunk| IoSlice::new(chunk)).collect()
    }

    /// What is to be written next, which counts as written.
    pub fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.pop_front()?;
        self.length -= chunk.len();
        Some(chunk)
    }

    /// All of it.
    pub fn to_vec(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect()
    }

    /// The first `count` bytes are written.
    pub fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(first) = self.chunks.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.chunks.pop_front();
        }
    }
}
