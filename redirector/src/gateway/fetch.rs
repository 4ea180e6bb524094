//! The output of detached jobs on other computers, brought into this gateway's own log files.
//!
//! ```text
//!   the command ─► file on its node ─► agent ══ stream from offset ══► [`fetch`] ─► file here
//! ```
//!
//! How far it is, the length of the file here says, whatever was killed or cut meanwhile: each
//! byte arrives once.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use tokio::{io::AsyncReadExt, sync::mpsc::UnboundedSender};

use super::message::Message;
use crate::{
    agent::protocol::AttemptId,
    engine::{ByteStream, Channel},
    place::{StateDirectory, Stream},
};

/// Bytes that are taken at once.
const CHUNK: usize = 64 << 10;

/// Pause before a file that could not be written (a full disk) is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Pause before a stream that broke off is opened again.
const STREAM_AGAIN: Duration = Duration::from_secs(1);

/// Fetches what an attempt has written and goes on to write, and tells the core when that is all.
pub(super) fn fetch(
    attempt: AttemptId,
    channel: Channel,
    state: &StateDirectory,
    core: UnboundedSender<Message>,
) {
    let file = |stream| state.output(attempt.job, attempt.number, stream);
    let (stdout, stderr) = (file(Stream::Stdout), file(Stream::Stderr));
    tokio::spawn(async move {
        loop {
            let fetched = tokio::try_join!(
                follow(attempt, Stream::Stdout, &channel, &stdout),
                follow(attempt, Stream::Stderr, &channel, &stderr),
            );
            match fetched {
                // Fails only when the core is gone.
                Ok(_) => return drop(core.send(Message::OutputFetched { attempt })),
                // It is taken up again when the node's agent is connected again.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return,
                // If the connection is gone, that is seen next time.
                Err(error) => {
                    tracing::debug!(job = %attempt.job, "output not fetched: {error}");
                    tokio::time::sleep(STREAM_AGAIN).await;
                }
            }
        }
    });
}

/// Appends to `file` until there is no more to come.
async fn follow(
    attempt: AttemptId,
    stream: Stream,
    channel: &Channel,
    file: &Path,
) -> io::Result<()> {
    loop {
        let from = fs::metadata(file).map_or(0, |metadata| metadata.len());
        let AttemptId { job, number } = attempt;
        let path = format!("/v1/attempts/{job}.{number}/output/{}?from={from}", stream.word());
        let mut bytes = channel.open(path).await?;
        match append(&mut bytes, file, from).await? {
            Ok(Appended::All) => return Ok(()),
            Ok(Appended::InPart) => {}
            Err(error) => {
                tracing::error!(%job, "cannot write {}, trying again: {error}", file.display());
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}

/// The outer error is the connection's, the inner one the file's.
async fn append(
    bytes: &mut ByteStream,
    path: &Path,
    mut length: u64,
) -> io::Result<io::Result<Appended>> {
    let mut file: Option<File> = None;
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = bytes.read(&mut chunk).await?;
        if count == 0 {
            return Ok(Ok(Appended::All));
        }
        let opened = match &mut file {
            Some(file) => Ok(file),
            // Most jobs leave at least one of theirs empty; that a file is missing says the same.
            none => open(path).map(|new| none.insert(new)),
        };
        let written = opened.and_then(|file| {
            if file.metadata()?.len() != length {
                return Ok(false);
            }
            file.write_all(&chunk[..count]).map(|()| true)
        });
        match written {
            Ok(true) => length += count as u64,
            Ok(false) => return Ok(Ok(Appended::InPart)),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// How much of the output is here.
enum Appended {
    /// All of it.
    All,
    /// Somebody else added to the file: what was still under way on a connection that is lost is
    /// read to its end, maybe while the next connection is used already.
    InPart,
}

fn open(path: &Path) -> io::Result<File> {
    let attempt = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    attempt().or_else(|error| match path.parent() {
        Some(directory) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            attempt()
        }
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::{engine::Open, model::JobId};

    /// An agent whose streams break after some bytes, again and again.
    struct Brittle {
        output: Vec<u8>,
        breaks_after: usize,
    }

    impl Open for Brittle {
        fn open(
            &self,
            path: String,
        ) -> Pin<Box<dyn Future<Output = io::Result<ByteStream>> + Send>> {
            let from: usize = path.rsplit('=').next().unwrap().parse().unwrap();
            let end = self.output.len().min(from + self.breaks_after);
            let piece = self.output[from..end].to_vec();
            let is_all = end == self.output.len();
            Box::pin(async move {
                let (own, mut its) = tokio::io::duplex(7);
                tokio::spawn(async move {
                    its.write_all(&piece).await.unwrap();
                    if !is_all {
                        // As a connection does that is cut: no end, but an error.
                        std::future::pending::<()>().await;
                    }
                });
                let cut =
                    tokio::io::AsyncReadExt::take(own, (end - from) as u64 + u64::from(is_all));
                Ok(Box::new(Cut { inner: cut, is_all }) as ByteStream)
            })
        }
    }

    impl crate::engine::Duplex for Cut {}

    /// Fails where it would end, unless that is the real end.
    struct Cut {
        inner: tokio::io::Take<tokio::io::DuplexStream>,
        is_all: bool,
    }

    impl tokio::io::AsyncRead for Cut {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            if !self.is_all && self.inner.limit() == 0 {
                return std::task::Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            Pin::new(&mut self.inner).poll_read(context, buffer)
        }
    }

    impl tokio::io::AsyncWrite for Cut {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }

    /// What came over the last connection is read to its end while the next one is used already.
    #[tokio::test]
    async fn each_byte_arrives_once_when_two_fetch_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("7.1.stdout");
        let output: Vec<u8> = (0..1000u32).map(|number| (number % 251) as u8).collect();
        let channel = Channel::new(Brittle { output: output.clone(), breaks_after: 1000 });
        let attempt = AttemptId { job: JobId(7), number: 1 };
        let fetch = || follow(attempt, Stream::Stdout, &channel, &file);
        let (first, second) = tokio::join!(fetch(), fetch());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(fs::read(&file).unwrap(), output);
    }

    #[tokio::test]
    async fn each_byte_arrives_once_however_often_the_connection_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("shelf/7.1.stdout");
        let output: Vec<u8> = (0..1000u32).map(|number| (number % 251) as u8).collect();
        let channel = Channel::new(Brittle { output: output.clone(), breaks_after: 97 });
        let attempt = AttemptId { job: JobId(7), number: 1 };
        let mut cuts = 0;
        while follow(attempt, Stream::Stdout, &channel, &file).await.is_err() {
            cuts += 1;
        }
        assert_eq!(cuts, 10);
        assert_eq!(fs::read(&file).unwrap(), output);
    }
}
