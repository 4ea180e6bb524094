//! A byte stream of two descriptors: the standard input and output that sshd gave to a process
//! that has handed them over.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::uio::writev,
    unistd::write,
};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

use crate::stdio::pipe;

/// See the module.
#[derive(Debug)]
pub(super) struct Descriptors {
    input: AsyncFd<OwnedFd>,
    output: AsyncFd<OwnedFd>,
    /// A pipe that gives or takes less than it could is empty or full, so that there is no need to
    /// ask it again. A terminal gives a line at a time.
    are_pipes: bool,
}

impl Descriptors {
    /// Reads from `input` and writes to `output`, which are pipes, sockets or terminals.
    pub(super) fn new(input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        let mut are_pipes = true;
        for descriptor in [&input, &output] {
            let flags = OFlag::from_bits_retain(fcntl(descriptor.as_fd(), FcntlArg::F_GETFL)?);
            fcntl(descriptor.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            are_pipes &= pipe::enlarge(descriptor);
        }
        // SAFETY: an OwnedFd keeps the same descriptor open for as long as it lives.
        unsafe {
            Ok(Self {
                input: AsyncFd::register_with_interest(input, Interest::READABLE)?,
                output: AsyncFd::register_with_interest(output, Interest::WRITABLE)?,
                are_pipes,
            })
        }
    }
}

impl AsyncRead for Descriptors {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.input.poll_read_ready(context))?;
            // SAFETY: nothing but what `read` has written is taken for initialised below.
            let space = unsafe { buffer.unfilled_mut() };
            let result = ready.try_io(|input| repeat(|| read(input.get_ref(), space)));
            // Otherwise it was not ready after all.
            if let Ok(count) = result {
                let count = count?;
                // At the end it is ready for ever.
                if self.are_pipes && (1..buffer.remaining()).contains(&count) {
                    ready.clear_ready();
                }
                // SAFETY: the kernel has written that many bytes to the beginning.
                unsafe { buffer.assume_init(count) };
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Descriptors {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_output(context, bytes.len(), |output| write(output, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        self.poll_output(context, length, |output| writev(output, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The other side sees the end when both are closed.
        Poll::Ready(Ok(()))
    }
}

impl Descriptors {
    fn poll_output(
        &self,
        context: &mut Context<'_>,
        length: usize,
        mut write: impl FnMut(&OwnedFd) -> nix::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.output.poll_write_ready(context))?;
            if let Ok(written) = ready.try_io(|output| repeat(|| write(output.get_ref()))) {
                if self.are_pipes && written.as_ref().is_ok_and(|count| *count < length) {
                    ready.clear_ready();
                }
                return Poll::Ready(written);
            }
        }
    }
}

/// Reads into `space`, which costs as much to fill with zeros before as to read.
fn read(input: &OwnedFd, space: &mut [MaybeUninit<u8>]) -> nix::Result<usize> {
    // SAFETY: the kernel writes within `space` only.
    let count = unsafe { libc::read(input.as_raw_fd(), space.as_mut_ptr().cast(), space.len()) };
    Errno::result(count).map(isize::cast_unsigned)
}

/// Does it again when a signal has interrupted it.
fn repeat(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

    use super::*;

    #[test]
    fn bytes_go_through_pipes_that_are_full_at_times() {
        const BYTES: usize = 3 << 20;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (input, output) = nix::unistd::pipe().unwrap();
            let both = Descriptors::new(input, output).unwrap();
            let (mut reader, mut writer) = split(both);
            let sent: Vec<u8> = (0..BYTES).map(|index| (index / 7) as u8).collect();
            let mut received = vec![0; BYTES];
            let (written, read) =
                tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received));
            written.unwrap();
            read.unwrap();
            assert!(sent == received);
        });
    }

    #[test]
    fn a_file_is_no_stream() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let file = || OwnedFd::from(tempfile::tempfile().unwrap());
            let error = Descriptors::new(file(), file()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::EPERM as i32));
        });
    }
}
