//! A stretch of a stream that is kept, in pieces that are never copied once they are large.

use std::{
    collections::VecDeque,
    mem,
    ops::{Deref, Range},
    sync::Arc,
};

use super::{LARGEST_PIECE, WINDOW};

/// Up to this, bytes are copied to the piece before them: a command that writes byte by byte must
/// not cost a piece for each of them, nor what a pipe of the usual size holds a whole buffer.
const SMALL: usize = 64 << 10;

/// A piece that small ones are added to is at most this large.
const GATHERED: usize = 64 << 10;

/// Buffers that are kept for further use: as many as a full window has, since a new one costs as
/// much as passing on what is in it.
const SPARES: usize = WINDOW / LARGEST_PIECE;

/// Bytes that are shared with the queue that they are from.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Chunk {
    /// All of `bytes`.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { buffer: Arc::new(bytes), range }
    }

    /// Leaves out the first `count` bytes.
    pub(super) fn advance(&mut self, count: usize) {
        self.range.start += count;
    }

    /// Adds `bytes` if nobody else has this chunk, and it is not large.
    fn append(&mut self, bytes: &[u8]) -> bool {
        let is_room = self.range.end + bytes.len() <= GATHERED;
        match Arc::get_mut(&mut self.buffer) {
            Some(buffer) if is_room && self.range.end == buffer.len() => {
                buffer.extend_from_slice(bytes);
                self.range.end = buffer.len();
                true
            }
            _ => false,
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Bytes of a stream from one offset to another.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Each with its first byte's offset.
    pieces: VecDeque<(u64, Chunk)>,
    start: u64,
    end: u64,
    spares: Vec<Vec<u8>>,
}

impl Queue {
    /// The offset of the first byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// The offset after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes are kept.
    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Adds the first `filled` bytes of `buffer`, in whose place there may be another one then.
    pub(super) fn push(&mut self, buffer: &mut Vec<u8>, filled: usize) {
        if filled <= SMALL {
            return self.push_copy(&buffer[..filled]);
        }
        let spare = self.spares.pop().unwrap_or_else(|| vec![0; LARGEST_PIECE]);
        let buffer = Arc::new(mem::replace(buffer, spare));
        self.add(Chunk { buffer, range: 0..filled });
    }

    /// Adds `bytes`.
    pub(super) fn push_copy(&mut self, bytes: &[u8]) {
        let last = self.pieces.back_mut();
        if last.is_some_and(|(_, last)| last.append(bytes)) {
            self.end += bytes.len() as u64;
        } else if !bytes.is_empty() {
            self.add(Chunk::new(bytes.to_vec()));
        }
    }

    fn add(&mut self, chunk: Chunk) {
        let offset = self.end;
        self.end += chunk.len() as u64;
        self.pieces.push_back((offset, chunk));
    }

    /// The bytes from `offset` to the end of the piece that they are in; none at the end.
    pub(super) fn piece(&self, offset: u64) -> Option<Chunk> {
        if offset >= self.end {
            return None;
        }
        let index = self.pieces.partition_point(|(start, _)| *start <= offset) - 1;
        let (start, chunk) = &self.pieces[index];
        let mut chunk = chunk.clone();
        chunk.advance((offset - start) as usize);
        Some(chunk)
    }

    /// Forgets what is before `offset`, which must be between start and end.
    pub(super) fn forget(&mut self, offset: u64) {
        self.start = offset;
        while let Some((at, chunk)) = self.pieces.front()
            && at + chunk.len() as u64 <= offset
        {
            let gone = self.pieces.pop_front();
            let unshared = gone.and_then(|(_, chunk)| Arc::try_unwrap(chunk.buffer).ok());
            let is_wanted =
                |buffer: &Vec<u8>| buffer.len() == LARGEST_PIECE && self.spares.len() < SPARES;
            self.spares.extend(unshared.filter(is_wanted));
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.forget(self.end);
        self.spares.clear();
    }
}
