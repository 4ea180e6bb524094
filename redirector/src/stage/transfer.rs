//! Files over streams: read and written off the thread that serves everybody.
//!
//! ```text
//!   [`send`]     file ─ thread ─► pieces ─► stream       hashes what it reads
//!   [`receive`]  stream ─► pieces ─ thread ─► file       hashes what it writes
//! ```
//!
//! Between thread and stream there are few pieces: whichever is slower holds up the other.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::spawn_blocking,
};

use super::{Digest, talk};

/// Bytes of a piece.
const PIECE: usize = 256 << 10;

/// Pieces between thread and stream.
const AHEAD: usize = 4;

/// Writes `message` as a line.
///
/// # Errors
/// Those of the stream.
pub async fn say(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

/// The next line; `None` if it is empty.
///
/// # Errors
/// Those of the stream; `UnexpectedEof` if there is none, `InvalidData` for one that is not
/// understood.
pub async fn hear<T: DeserializeOwned>(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    stream.take(talk::LONGEST_LINE).read_until(b'\n', &mut line).await?;
    if line == b"\n" {
        return Ok(None);
    }
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Like [`hear`], where something has to come.
///
/// # Errors
/// As there, and `InvalidData` for an empty line.
pub async fn expect<T: DeserializeOwned>(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<T> {
    hear(stream).await?.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Hashes `file` from its beginning, as far as `size` bytes.
///
/// # Errors
/// Those of the file; `UnexpectedEof` if it has fewer.
pub fn hash(file: &mut File, size: u64) -> io::Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    file.seek(SeekFrom::Start(0))?;
    let (mut left, mut piece) = (size, vec![0; PIECE]);
    while left > 0 {
        let most = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
        let count = file.read(&mut piece[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&piece[..count]);
        left -= count as u64;
    }
    Ok(hasher)
}

/// Sends the bytes of `file` between `from` and `size`; the digest of all up to there.
///
/// # Errors
/// The outer one is the stream's, the inner one the file's: `UnexpectedEof` if it has fewer.
pub async fn send(
    mut file: File,
    from: u64,
    size: u64,
    stream: &mut (impl AsyncWrite + Unpin),
) -> io::Result<io::Result<Digest>> {
    let (pieces, mut queue) = mpsc::channel::<Vec<u8>>(AHEAD);
    let reader = spawn_blocking(move || {
        let mut hasher = hash(&mut file, from)?;
        let mut left = size.saturating_sub(from);
        while left > 0 {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            file.read_exact(&mut piece)?;
            hasher.update(&piece);
            left -= piece.len() as u64;
            if pieces.blocking_send(piece).is_err() {
                break;
            }
        }
        Ok(Digest::from(hasher.finalize()))
    });
    while let Some(piece) = queue.recv().await {
        stream.write_all(&piece).await?;
    }
    stream.flush().await?;
    Ok(reader.await?)
}

/// Appends the next bytes of `stream` to `file`, which has `from` of them, until it has `size`;
/// the digest of all of it.
///
/// # Errors
/// The outer one is the stream's, the inner one the file's.
pub async fn receive(
    mut file: File,
    from: u64,
    size: u64,
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<io::Result<Digest>> {
    let (pieces, mut queue) = mpsc::channel::<Vec<u8>>(AHEAD);
    let writer = spawn_blocking(move || {
        let mut hasher = hash(&mut file, from)?;
        while let Some(piece) = queue.blocking_recv() {
            file.write_all(&piece)?;
            hasher.update(&piece);
        }
        Ok(Digest::from(hasher.finalize()))
    });
    let mut left = size.saturating_sub(from);
    let mut failure = None;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        let count = match stream.read(&mut piece).await {
            Ok(0) => {
                failure = Some(io::ErrorKind::UnexpectedEof.into());
                break;
            }
            Ok(count) => count,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        piece.truncate(count);
        left -= count as u64;
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    drop(pieces);
    // What came in is kept: the rest may come over another stream.
    let written = writer.await?;
    match (failure, written) {
        (_, Err(error)) => Ok(Err(error)),
        (Some(error), Ok(_)) => Err(error),
        (None, Ok(digest)) => Ok(Ok(digest)),
    }
}
