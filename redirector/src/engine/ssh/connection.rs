//! A running ssh.

use std::{
    io::{self, Cursor},
    os::{fd::OwnedFd, unix::net},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, killpg},
        socket::{setsockopt, sockopt},
    },
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, join},
    net::UnixStream,
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{
    bootstrap::Said,
    problem::{Doing, Problem, diagnose, said},
};
use crate::stdio::LARGEST_PIECE;

/// Bytes that are read from ssh at once.
const BUFFER: usize = 64 << 10;

/// Most bytes that start-up files may print.
const NOISE: usize = 64 << 10;

/// What is kept of each of the two things that ssh and the log-in shell print, in bytes.
const KEPT: usize = 4 << 10;

/// How long ssh may take to end when its standard output has.
const END: Duration = Duration::from_secs(2);

/// A line that was read from the host.
pub(super) enum Line {
    /// The bootstrap script's or the agent's.
    Said(Said),
    /// There are no more.
    Ended,
}

/// ssh before the agent has its connection.
pub(super) struct Session {
    process: Process,
    writer: UnixStream,
    reader: BufReader<UnixStream>,
    mark: String,
    printed: Vec<u8>,
    noise: usize,
}

impl Session {
    /// Runs `words`.
    pub(super) fn start(words: &[String], mark: String) -> Result<Self, Problem> {
        let (program, arguments) = words.split_first().ok_or(Problem::Address)?;
        let no_ssh = |cause| Problem::NoSsh { program: program.clone(), cause };
        let (writer, input) = socket_pair().map_err(no_ssh)?;
        let (reader, output) = socket_pair().map_err(no_ssh)?;
        let mut command = Command::new(program);
        crate::huge_pages::keep_from(command.as_std_mut());
        let mut child = command
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            // What is typed at the gateway's terminal is no business of ssh's.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(no_ssh)?;
        let Some(errors) = child.stderr.take() else {
            return Err(no_ssh(io::Error::other("it has no standard error")));
        };
        let process = Process::new(child, errors);
        let reader = BufReader::with_capacity(BUFFER, reader);
        Ok(Self { process, writer, reader, mark, printed: Vec::new(), noise: 0 })
    }

    /// The next line with the mark. Others are start-up files'.
    pub(super) async fn next_line(&mut self) -> Result<Line, Problem> {
        let mut line = Vec::new();
        loop {
            let room = (NOISE - self.noise) as u64;
            let read = (&mut self.reader).take(room).read_until(b'\n', &mut line).await;
            let count = read.unwrap_or(0);
            if let Some(said) = Said::parse(line.trim_ascii_end(), &self.mark) {
                return Ok(Line::Said(said));
            }
            self.noise += count;
            let kept = KEPT.saturating_sub(self.printed.len());
            self.printed.extend_from_slice(&line[..line.len().min(kept)]);
            if self.noise == NOISE {
                return Err(Problem::Noise(NOISE));
            }
            if count == 0 {
                return Ok(Line::Ended);
            }
            line.clear();
        }
    }

    pub(super) const fn writer(&mut self) -> &mut UnixStream {
        &mut self.writer
    }

    pub(super) fn too_slow(&self, doing: Doing, limit: Duration) -> Problem {
        let said = said(&[&self.process.complaint(), &self.printed()]);
        Problem::Slow { doing, limit, said }
    }

    /// Why ssh has ended.
    pub(super) async fn diagnose(mut self, address: &str) -> Problem {
        let status = self.process.ended().await;
        diagnose(address, status, &self.process.complaint(), &self.printed())
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed).into_owned()
    }

    /// The agent has it: what follows is between the two.
    pub(super) fn into_connection(self, copied_to: Option<String>) -> Connection {
        let Self { process, reader, writer, .. } = self;
        Connection { reader, writer, process, copied_to }
    }
}

/// This side's end, and what ssh gets. Only one direction is used: a pipe in all but what it costs.
///
/// ssh moves some 20 KiB at a time. A pipe that is full wakes its writer for each of them, a socket
/// only when it is three quarters empty, and it takes fewer allocations for as many bytes.
fn socket_pair() -> io::Result<(UnixStream, Stdio)> {
    let (own, other) = net::UnixStream::pair()?;
    for end in [&own, &other] {
        // Where that is not allowed, it stays as it is.
        let _room = setsockopt(end, sockopt::SndBuf, &LARGEST_PIECE);
    }
    own.set_nonblocking(true)?;
    Ok((UnixStream::from_std(own)?, Stdio::from(OwnedFd::from(other))))
}

/// A stream of bytes to the agent on a host. ssh ends when it is dropped.
pub struct Connection {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    process: Process,
    copied_to: Option<String>,
}

impl Connection {
    /// The directory on the host to which this program was just copied; `None`: it was there.
    pub fn copied_to(&self) -> Option<&str> {
        self.copied_to.as_deref()
    }

    /// The stream, and what tells why it has ended.
    pub fn split(self) -> (impl AsyncRead + AsyncWrite + Send + Unpin + use<>, Process) {
        // What comes now is read in large pieces, which need no buffer between.
        let ahead = Cursor::new(self.reader.buffer().to_vec());
        (join(ahead.chain(self.reader.into_inner()), self.writer), self.process)
    }
}

/// The process of an ssh, which is killed with all that it has started when this is dropped.
pub struct Process {
    child: Child,
    complaint: Arc<Mutex<Vec<u8>>>,
    listener: JoinHandle<()>,
}

impl Process {
    fn new(child: Child, errors: ChildStderr) -> Self {
        let complaint = Arc::new(Mutex::new(Vec::new()));
        let listener = tokio::spawn(listen(errors, Arc::clone(&complaint)));
        Self { child, complaint, listener }
    }

    /// The last that ssh wrote to its standard error.
    pub fn complaint(&self) -> String {
        let kept = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// How it has ended, if it does so in a moment. Then all that it complained of is known.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        let ended = async {
            let status = self.child.wait().await;
            // Helpers of ssh may keep its standard error open.
            drop(timeout(END, &mut self.listener).await);
            status.ok()
        };
        timeout(END * 2, ended).await.ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only one that has not been waited for has a number of its own.
        if let Some(group) = self.child.id() {
            // It may have ended just now.
            let _killed = killpg(Pid::from_raw(group as i32), Signal::SIGKILL);
        }
        self.listener.abort();
    }
}

/// Keeps the last of what is read from `errors`.
async fn listen(mut errors: ChildStderr, kept: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut chunk).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..count]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}
