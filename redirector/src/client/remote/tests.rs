//! Commands whose descriptors are this process's, through a hub and over connections that break.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, IntoRawFd, OwnedFd, RawFd},
        unix::{net::UnixStream, process::ExitStatusExt},
    },
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    attachment::Connect,
    descriptors::{Kind, Own},
    pump::{Progress, Pump},
};
use crate::{
    agent::{
        hub::fixture::Attached,
        protocol::{AttachedDescriptor, Direction},
    },
    client::wire::Error,
    stdio::{Control, Signal},
};

/// Connects to a hub, by connections of which each breaks after a number of bytes in either
/// direction.
struct ToHub {
    streams: UnboundedSender<UnixStream>,
    breaks_after: Vec<u64>,
    connections: usize,
}

impl ToHub {
    fn new(command: &Attached, breaks_after: &[u64]) -> Self {
        let breaks_after = breaks_after.to_vec();
        Self { streams: command.streams(), breaks_after, connections: 0 }
    }
}

impl Connect for ToHub {
    fn connect(&mut self) -> Result<(UnixStream, Vec<u8>), Error> {
        let limit = self.breaks_after.get(self.connections % self.breaks_after.len().max(1));
        self.connections += 1;
        let (own, near) = UnixStream::pair()?;
        let Some(&limit) = limit else {
            self.streams.send(near).unwrap();
            return Ok((own, Vec::new()));
        };
        let (far, theirs) = UnixStream::pair()?;
        self.streams.send(theirs).unwrap();
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                drop(io::copy(&mut (&from).take(limit), &mut &to));
                for end in [from, to] {
                    drop(end.shutdown(Shutdown::Both));
                }
            });
        }
        Ok((own, Vec::new()))
    }
}

fn own(descriptor: impl Into<OwnedFd>, number: RawFd, kind: Kind) -> (Own, RawFd) {
    let direction = if number == 0 { Direction::Reads } else { Direction::Writes };
    // The pump knows this process's descriptors by number, and closes them itself.
    (Own { number: descriptor.into().into_raw_fd(), direction, kind }, number)
}

/// A pipe, whose end for the pump is to be known to the command as `number`.
fn pipe(number: RawFd) -> ((Own, RawFd), File) {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let (own_end, other) = if number == 0 { (read, write) } else { (write, read) };
    (own(own_end, number, Kind::Other), File::from(other))
}

/// Runs a command to its end, with these descriptors and connections that break so.
struct Run {
    command: Attached,
    pump: Pump,
}

impl Run {
    fn start(
        program: &str,
        arguments: &[&str],
        descriptors: Vec<(Own, RawFd)>,
        breaks_after: &[u64],
    ) -> Self {
        let attached = descriptors.iter().map(|(own, number)| (own.attached(), *number)).collect();
        let command = Attached::start(program, arguments, attached);
        let connect = ToHub::new(&command, breaks_after);
        let descriptors = descriptors.into_iter().map(|(own, _)| own).collect();
        let pump = Pump::start(descriptors, connect, || Duration::from_secs(10)).unwrap();
        Self { command, pump }
    }

    /// The command's status, when all that it wrote is where it belongs.
    fn finish(self) -> ExitStatus {
        let status = self.command.wait();
        self.pump.is_over();
        loop {
            match self.pump.progress() {
                Progress::Done => break,
                Progress::Going => {}
                Progress::Hopeless(reason) => panic!("{reason}"),
            }
            let mut news = [PollFd::new(self.pump.as_fd(), PollFlags::POLLIN)];
            poll(&mut news, PollTimeout::NONE).unwrap();
            self.pump.rest();
        }
        self.pump.finish(Duration::from_secs(10));
        self.command.join();
        status
    }
}

/// Bytes that repeat only after a prime number of them, in pieces of any size.
struct Pattern {
    at: u64,
    left: u64,
}

const PERIOD: u64 = 65_521;

fn pattern(at: u64) -> u8 {
    ((at % PERIOD * 31) >> 3) as u8
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (buffer.len() as u64).min(self.left) as usize;
        for (byte, at) in buffer[..count].iter_mut().zip(self.at..) {
            *byte = pattern(at);
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// How many bytes of the pattern come, and nothing else.
fn check_pattern(mut from: impl Read) -> u64 {
    let mut buffer = vec![0; 100_000];
    let mut at = 0;
    loop {
        let count = from.read(&mut buffer).unwrap();
        if count == 0 {
            return at;
        }
        let wrong = buffer[..count].iter().zip(at..).find(|(byte, at)| **byte != pattern(*at));
        assert_eq!(wrong, None);
        at += count as u64;
    }
}

/// Sends bytes through `cat` and back.
fn through_cat(length: u64, breaks_after: &[u64]) {
    let ((stdin, mut feed), (stdout, result)) = (pipe(0), pipe(1));
    let run = Run::start("cat", &[], vec![stdin, stdout], breaks_after);
    let feeder = thread::spawn(move || io::copy(&mut Pattern { at: 0, left: length }, &mut feed));
    let checker = thread::spawn(move || check_pattern(result));
    assert!(run.finish().success());
    assert_eq!(feeder.join().unwrap().unwrap(), length);
    assert_eq!(checker.join().unwrap(), length);
}

#[test]
fn bytes_go_through_a_command_whatever_breaks() {
    through_cat(0, &[]);
    through_cat(60 << 20, &[]);
    // Within the first frame, within a header, after some frames; the last ones get ahead.
    through_cat(30 << 20, &[0, 5, 20, 100, 70_001, 1_000_003, 900_000, 3 << 20]);
}

#[test]
fn small_pieces_go_through_at_once() {
    let ((stdin, mut feed), (stdout, mut result)) = (pipe(0), pipe(1));
    let run = Run::start("cat", &[], vec![stdin, stdout], &[]);
    for word in ["one", "two", "three"] {
        feed.write_all(word.as_bytes()).unwrap();
        let mut answer = vec![0; word.len()];
        result.read_exact(&mut answer).unwrap();
        assert_eq!(answer, word.as_bytes());
    }
    drop(feed);
    assert!(run.finish().success());
}

#[test]
fn whoever_writes_is_told_that_nobody_reads() {
    // The command goes on after it has closed its standard input, until it is told to end.
    let ((stdin, feed), (stdout, mut result)) = (pipe(0), pipe(1));
    let script = "exec <&-; echo closed; exec sleep 1000";
    let run = Run::start("sh", &["-c", script], vec![stdin, stdout], &[]);
    let mut word = [0; 7];
    result.read_exact(&mut word).unwrap();
    let mut broken = [PollFd::new(feed.as_fd(), PollFlags::empty())];
    poll(&mut broken, PollTimeout::NONE).unwrap();
    assert_eq!((&feed).write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    run.pump.signal(Signal { signal: libc::SIGTERM, to_group: false });
    assert_eq!(run.finish().signal(), Some(libc::SIGTERM));
}

#[test]
fn a_command_is_told_that_nobody_reads_what_it_writes() {
    let (stdout, mut result) = pipe(1);
    let run = Run::start("yes", &[], vec![stdout], &[3 << 20]);
    let mut some = vec![0; 10 << 20];
    result.read_exact(&mut some).unwrap();
    assert!(some.chunks(2).all(|line| line == b"y\n"));
    drop(result);
    assert_eq!(run.finish().signal(), Some(libc::SIGPIPE));
}

#[test]
fn a_command_that_is_silent_is_told_with_its_first_word() {
    let ((stdin, mut feed), (stdout, result)) = (pipe(0), pipe(1));
    let script = "read x; echo $x; exec sleep 1000";
    let run = Run::start("sh", &["-c", script], vec![stdin, stdout], &[]);
    drop(result);
    // The pump sees that by itself, and its word is there before the next one that it sends.
    while !run.pump.has_told_all() {
        thread::yield_now();
    }
    feed.write_all(b"word\n").unwrap();
    assert_eq!(run.finish().signal(), Some(libc::SIGPIPE));
}

#[test]
fn a_file_stands_where_the_command_has_read_to() {
    let mut file = tempfile::tempfile().unwrap();
    io::copy(&mut Pattern { at: 0, left: 3 << 20 }, &mut file).unwrap();
    let stdin = |offset| {
        let mut file = file.try_clone().unwrap();
        file.seek(SeekFrom::Start(offset)).unwrap();
        own(file, 0, Kind::File(offset as i64))
    };
    for (arguments, taken) in [
        // Less than is in the pipe then, and more than that can hold.
        (["bs=10", "count=7"], 70),
        (["bs=65536", "count=30"], 30 * 65536),
        (["bs=4096", "count=100000"], (3 << 20) - 5),
        (["bs=10", "count=0"], 0),
    ] {
        let command =
            [arguments[0], arguments[1], "iflag=fullblock", "of=/dev/null", "status=none"];
        let run = Run::start("dd", &command, vec![stdin(5)], &[]);
        assert!(run.finish().success());
        assert_eq!((&file).stream_position().unwrap(), 5 + taken, "{arguments:?}");
    }
}

#[test]
fn output_that_nobody_takes_yet_holds_the_command_up() {
    let (stdout, result) = pipe(1);
    let length = 40 << 20;
    let arguments = ["-c", &format!("head -c {length} /dev/zero; echo end >&2")];
    let (stderr, mut word) = pipe(2);
    let run = Run::start("sh", &arguments, vec![stdout, stderr], &[1 << 20, 9 << 20]);
    let mut ended = [PollFd::new(word.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut ended, PollTimeout::from(200u8)).unwrap(), 0, "it has ended");
    let reader = thread::spawn(move || io::copy(&mut { result }, &mut io::sink()).unwrap());
    assert!(run.finish().success());
    assert_eq!(reader.join().unwrap(), length);
    let mut end = String::new();
    word.read_to_string(&mut end).unwrap();
    assert_eq!(end, "end\n");
}

#[test]
fn a_client_that_goes_at_once_is_heard_to_have_everything() {
    for _ in 0..20 {
        let stdin = AttachedDescriptor { number: 0, direction: Direction::Reads };
        let command = Attached::start("true", &[], vec![(stdin, 0)]);
        assert!(command.wait().success());
        let (own, theirs) = UnixStream::pair().unwrap();
        (&own).write_all(&Control::Done.encode()).unwrap();
        own.shutdown(Shutdown::Both).unwrap();
        // What the hub writes first fails.
        command.streams().send(theirs).unwrap();
        command.join();
    }
}

/// Run alone, in the fast profile.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    let length = 1u64 << 30;
    let feed = |mut to: File| {
        let block = vec![7; 1 << 20];
        thread::spawn(move || (0..length >> 20).for_each(|_| to.write_all(&block).unwrap()))
    };
    let take = |mut from: File| thread::spawn(move || io::copy(&mut from, &mut io::sink()));
    for _ in 0..5 {
        let ((stdin, source), (stdout, result)) = (pipe(0), pipe(1));
        let begun = Instant::now();
        let run = Run::start("cat", &[], vec![stdin, stdout], &[]);
        let (feeder, taker) = (feed(source), take(result));
        assert!(run.finish().success());
        feeder.join().unwrap();
        assert_eq!(taker.join().unwrap().unwrap(), length);
        let ours = begun.elapsed();

        let ((near, source), (far, result)) = (pipe(0), pipe(1));
        let begun = Instant::now();
        let (between_read, between_write) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let cat = |from: OwnedFd, to: OwnedFd| {
            let mut command = std::process::Command::new("cat");
            command.stdin(from).stdout(to).spawn().unwrap()
        };
        let owned = |own: Own| own.borrow().try_clone_to_owned().unwrap();
        let mut cats = [cat(owned(near.0), between_write), cat(between_read, owned(far.0))];
        for own in [near.0, far.0] {
            nix::unistd::close(own.number).unwrap();
        }
        let (feeder, taker) = (feed(source), take(result));
        feeder.join().unwrap();
        assert_eq!(taker.join().unwrap().unwrap(), length);
        for cat in &mut cats {
            assert!(cat.wait().unwrap().success());
        }
        println!("cat through a hub: {ours:?}, cat | cat: {:?}", begun.elapsed());
    }
}
