//! A spool without an agent: the tests write the files, as commands do.

use std::{fs::File, io::Write, time::Duration};

use tokio::io::DuplexStream;

use super::*;
use crate::model::JobId;

const ATTEMPT: AttemptId = AttemptId { job: JobId(1007), number: 2 };

struct Bench {
    root: tempfile::TempDir,
    spool: Spool,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let spool = Spool::new(StateDirectory::at(root.path()));
        Self { root, spool }
    }

    /// The file of the attempt's standard output.
    fn assign(&self) -> File {
        let mut assignment = Assignment { attempt: ATTEMPT, ..Assignment::default() };
        self.spool.assign(&mut assignment);
        let path = assignment.stdout.as_path();
        assert!(path.starts_with(self.root.path()), "{}", path.display());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap()
    }

    fn fetch(&self, from: u64) -> DuplexStream {
        let (own, its) = tokio::io::duplex(7);
        let spool = self.spool.clone();
        tokio::spawn(async move {
            spool.send(ATTEMPT, Stream::Stdout, from, Box::new(its)).await;
        });
        own
    }

    fn files(&self) -> usize {
        let shelves = fs::read_dir(self.root.path().join("output")).into_iter().flatten();
        shelves.map(|shelf| fs::read_dir(shelf.unwrap().path()).unwrap().count()).sum()
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time")
}

async fn next(stream: &mut DuplexStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    in_time(stream.read_exact(&mut bytes)).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn output_is_sent_as_it_is_written_and_ends_with_its_attempt() {
    let bench = Bench::new();
    // Asked for before the order to start it has come.
    let mut early = bench.fetch(0);
    let mut file = bench.assign();
    file.write_all(b"one two").unwrap();
    assert_eq!(next(&mut early, 7).await, "one two");
    let mut late = bench.fetch(4);
    assert_eq!(next(&mut late, 3).await, "two");
    file.write_all(b" three").unwrap();
    assert_eq!(next(&mut early, 6).await, " three");
    file.write_all(b", the end").unwrap();
    bench.spool.ended(ATTEMPT);
    for stream in [&mut early, &mut late] {
        let mut rest = String::new();
        in_time(stream.read_to_string(&mut rest)).await.unwrap();
        assert!(rest.ends_with(", the end"), "{rest}");
    }
}

#[tokio::test]
async fn a_stream_that_was_never_written_to_just_ends() {
    let bench = Bench::new();
    drop(bench.assign());
    let path = bench.root.path().join("output/1/1007.2.stdout");
    fs::remove_file(path).unwrap();
    let mut stream = bench.fetch(0);
    bench.spool.ended(ATTEMPT);
    assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
}

#[tokio::test]
async fn files_are_kept_until_the_end_is_acknowledged() {
    let bench = Bench::new();
    drop(bench.assign());
    bench.spool.acknowledge(ATTEMPT);
    assert_eq!(bench.files(), 1, "it has not ended");
    bench.spool.ended(ATTEMPT);
    assert_eq!(bench.files(), 1, "nobody has it yet");
    bench.spool.acknowledge(ATTEMPT);
    in_time(async {
        while bench.files() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_nobody_wants_is_removed_when_it_has_ended() {
    let bench = Bench::new();
    drop(bench.assign());
    bench.spool.abandon(ATTEMPT);
    assert_eq!(bench.files(), 1, "its processes still write");
    bench.spool.ended(ATTEMPT);
    in_time(async {
        while bench.files() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_goes_is_not_waited_for() {
    let bench = Bench::new();
    let (own, its) = tokio::io::duplex(7);
    drop(own);
    in_time(bench.spool.send(ATTEMPT, Stream::Stdout, 0, Box::new(its))).await;
}

#[tokio::test]
async fn attempts_with_files_or_descriptors_of_their_own_are_left_alone() {
    let bench = Bench::new();
    let stdout = Text::from("/elsewhere/out");
    let mut own = Assignment { stdout: stdout.clone(), ..Assignment::default() };
    bench.spool.assign(&mut own);
    assert_eq!(own.stdout, stdout);
    let mut attached = Assignment { attached: Some(Vec::new()), ..Assignment::default() };
    bench.spool.assign(&mut attached);
    assert!(attached.stdout.as_bytes().is_empty());
    assert!(bench.spool.attempts().is_empty());
}

#[test]
fn what_an_agent_before_this_one_has_left_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let state = StateDirectory::at(root.path());
    fs::create_dir_all(state.output_shelf(JobId(3))).unwrap();
    fs::write(state.output(JobId(3), 1, Stream::Stderr), "old").unwrap();
    drop(Spool::new(state.clone()));
    assert!(!state.outputs().exists());
}
