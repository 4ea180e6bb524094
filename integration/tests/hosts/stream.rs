//! A long stream of bytes through a job on a host, every one of which is checked.

use std::{
    io::{Read, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use integration::Random;

const CHUNK: usize = 64 << 10;

/// The bytes that go in, and that have to come out.
struct Bytes(Random);

impl Bytes {
    fn new() -> Self {
        Self(Random::new(1))
    }

    fn next_chunk(&mut self) -> Vec<u8> {
        let numbers = (0..CHUNK / 8).flat_map(|_| self.0.below(u64::MAX).to_ne_bytes());
        numbers.collect()
    }
}

/// Passes a stream of pieces of 64 KiB through `command`, which is to write what it reads. `fault`
/// is called when `chunks` of them have come back; the stream goes on while it happens, and for as
/// many pieces afterwards.
///
/// # Panics
///
/// Unless exactly the same bytes come back, and the command succeeds.
#[track_caller]
pub(crate) fn pass_through(command: &mut Command, chunks: usize, fault: impl FnOnce() + Send) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the command can be started");
    let input = child.stdin.take().expect("piped above");
    let output = child.stdout.take().expect("piped above");
    let fault_is_over = AtomicBool::new(false);
    let (written, read) = thread::scope(|scope| {
        let writer = scope.spawn(|| write(input, chunks, &fault_is_over));
        let half_is_read = || {
            let fault_is_over = &fault_is_over;
            scope.spawn(move || {
                // Also when it panics: the writer would go on for ever.
                let _over = SetWhenDropped(fault_is_over);
                fault();
            });
        };
        let read = read_and_compare(output, chunks, half_is_read);
        (writer.join().expect("the command reads all of it"), read)
    });
    assert_eq!(read, written * CHUNK, "bytes that came back of {written} pieces");
    let status = child.wait().expect("our child");
    assert!(status.success(), "{status}");
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many pieces it were.
fn write(mut input: ChildStdin, chunks: usize, fault_is_over: &AtomicBool) -> usize {
    let mut bytes = Bytes::new();
    let (mut written, mut end) = (0, None);
    while end.is_none_or(|end| written < end) {
        input.write_all(&bytes.next_chunk()).expect("the command reads");
        written += 1;
        if end.is_none() && fault_is_over.load(Ordering::Relaxed) {
            end = Some(written + chunks);
        }
    }
    written
}

/// How many bytes it were.
#[track_caller]
fn read_and_compare(mut output: ChildStdout, chunks: usize, at_half: impl FnOnce()) -> usize {
    let (mut expected, mut at_half) = (Bytes::new(), Some(at_half));
    let (mut chunk, mut filled, mut total) = (vec![0; CHUNK], 0, 0);
    loop {
        let count = output.read(&mut chunk[filled..]).expect("a pipe can be read");
        (filled, total) = (filled + count, total + count);
        if filled == CHUNK || count == 0 {
            let right = expected.next_chunk();
            let same = chunk[..filled].iter().zip(&right).take_while(|(one, two)| one == two);
            assert_eq!(same.count(), filled, "the first wrong byte before byte {total}");
            filled = 0;
        }
        if count == 0 {
            return total;
        }
        if total >= chunks * CHUNK
            && let Some(at_half) = at_half.take()
        {
            at_half();
        }
    }
}
