//! One task for each pipe of a command: moves bytes between it and the session.

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

use super::{Phase, Stdio, pipes};
use crate::stdio::{LARGEST_PIECE, Next, pipe};

/// How long the end of a stream waits for that of its command.
const TOGETHER: Duration = Duration::from_millis(1);

/// Passes on what the command writes into a pipe, until it has ended or nobody takes more: then
/// the command is told by SIGPIPE, as this end is closed.
pub(super) async fn feed(stdio: Arc<Stdio>, number: i32, source: AsyncFd<OwnedFd>) {
    let mut buffer = vec![0; LARGEST_PIECE];
    let mut is_large = false;
    loop {
        let (room, is_taken) = {
            let session = stdio.session();
            (session.room(number), session.taken(number).is_none())
        };
        if !is_taken || stdio.is_at(Phase::Forgotten) {
            return;
        }
        let mut ready = tokio::select! {
            () = stdio.news(number) => continue,
            () = stdio.reached(Phase::Forgotten) => return,
            // Once its processes are gone everything is there that will ever be.
            () = stdio.reached(Phase::Ended), if room > 0 => None,
            ready = source.readable(), if room > 0 => ready.ok(),
        };
        let wanted = room.min(buffer.len());
        match read(&source, &mut buffer[..wanted]) {
            Ok(0) => break,
            Ok(count) => {
                if count >= pipe::FULL && !is_large {
                    is_large = true;
                    pipe::enlarge(&source);
                }
                stdio.session().push(number, &mut buffer, count);
                stdio.to_send.notify_one();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match &mut ready {
                    Some(ready) => ready.clear_ready(),
                    // A process that hangs in the kernel has it open still.
                    None => break,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::error!(job = %stdio.attempt.job, "cannot read its output: {error}");
                break;
            }
        }
    }
    // Most streams end because their command does, and that is said in a moment. Said together, it
    // wakes everybody on the way once.
    drop(timeout(TOGETHER, stdio.reached(Phase::Ended)).await);
    stdio.session().end(number);
    stdio.to_send.notify_one();
}

/// Passes on what came for the command into a pipe, until all of it is there or nobody reads
/// it, and tells in the end how much was read.
pub(super) async fn drain(stdio: Arc<Stdio>, number: i32, sink: AsyncFd<OwnedFd>) {
    let mut is_large = false;
    let left = loop {
        let next = stdio.session().next(number);
        match next {
            Next::Write(chunk) => {
                let mut ready = tokio::select! {
                    () = stdio.reached(Phase::Ended) => break pipes::unread(&sink),
                    ready = sink.ready(Interest::WRITABLE | Interest::ERROR) => ready.ok(),
                };
                match write(&sink, &chunk) {
                    Ok(count) => {
                        if count < chunk.len() && !is_large {
                            is_large = true;
                            pipe::enlarge(&sink);
                        }
                        drop(chunk);
                        stdio.session().passed_on(number, count);
                        stdio.to_send.notify_one();
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        if let Some(ready) = &mut ready {
                            ready.clear_ready();
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Nobody reads it any more.
                    Err(_) => break pipes::unread(&sink),
                }
            }
            Next::End => break unread_in_the_end(&stdio, sink).await,
            Next::Nothing => tokio::select! {
                () = stdio.news(number) => {}
                () = stdio.reached(Phase::Ended) => break pipes::unread(&sink),
                _ = sink.ready(Interest::ERROR) => break pipes::unread(&sink),
            },
        }
    };
    stdio.session().close(number, left);
    stdio.to_send.notify_one();
}

/// Has the command find the end of its input, and looks when it has ended how much of it was
/// not read.
async fn unread_in_the_end(stdio: &Stdio, sink: AsyncFd<OwnedFd>) -> u64 {
    // A pipe without any end would be gone. That this end is one for reading matters to nobody:
    // nobody writes.
    let path = format!("/proc/self/fd/{}", sink.as_raw_fd());
    let reader = OpenOptions::new().read(true).open(path);
    drop(sink);
    stdio.reached(Phase::Ended).await;
    reader.map_or(0, |reader: File| pipes::unread(&reader))
}

fn read(source: &AsyncFd<OwnedFd>, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(source.get_ref(), bytes)?)
}

fn write(sink: &AsyncFd<OwnedFd>, bytes: &[u8]) -> io::Result<usize> {
    Ok(nix::unistd::write(sink.get_ref(), bytes)?)
}
