//! Both sides of a call, over real files.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use proptest::prelude::*;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{lanes::Limits, *};

/// Far more than any of this takes.
const LIMIT: Duration = Duration::from_secs(30);

/// Long enough for what must not happen to happen.
const MOMENT: Duration = Duration::from_millis(200);

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, work).await.expect("within the limit") });
}

fn node() -> NodeName {
    NodeName("long-7".to_owned())
}

/// A place of calls with one that nobody has heard.
pub(super) fn begin() -> (TempDir, Call) {
    let state = tempfile::tempdir().unwrap();
    let place = Place::of_state(state.path());
    place.create().unwrap();
    let call = place.call(&node(), "no network").unwrap();
    (state, call)
}

/// Both ends of a call.
struct Ends {
    state: TempDir,
    agent: (Stream, Parting),
    gateway: (Stream, Parting),
}

async fn connect(limits: Limits) -> Ends {
    let (state, call) = begin();
    let agent = carrier::begin(call.clone(), Side::Agent, limits).await.unwrap();
    let gateway = carrier::begin(call, Side::Gateway, limits).await.unwrap();
    Ends { state, agent, gateway }
}

/// All files and directories of the place.
fn left(state: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(Place::of_state(state.path()).path()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// How many segments `side` has in `call`, and their bytes.
fn under_way(call: &Call, side: &str) -> (usize, usize) {
    let mut under_way = (0, 0);
    for entry in fs::read_dir(call.directory()).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let is_segment = name.strip_prefix(side).is_some_and(|it| it[1..].parse::<u64>().is_ok());
        // It may be gone by now.
        if let (true, Ok(metadata)) = (is_segment, entry.metadata()) {
            under_way.0 += 1;
            under_way.1 += (metadata.len() as usize).saturating_sub(blake3::OUT_LEN);
        }
    }
    under_way
}

#[test]
fn nobody_else_can_read_a_call() {
    let (state, call) = begin();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(Place::of_state(state.path()).path()), 0o700);
    assert_eq!(mode(call.directory()), 0o700);
    segment::write(&call.segment(Side::Agent, 0), b"words").unwrap();
    for entry in fs::read_dir(call.directory()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn the_gateway_sees_who_calls_and_why() {
    let (state, call) = begin();
    let place = Place::of_state(state.path());
    fs::create_dir(place.path().join(".long-8.0123")).unwrap();
    let calls = place.calls().unwrap();
    assert_eq!(calls, [call]);
    assert_eq!((calls[0].node(), &*calls[0].reason().unwrap()), (&node(), "no network"));
    assert!(!calls[0].is_answered().unwrap());
}

#[test]
fn both_directions_end_each_by_itself_and_nothing_is_left() {
    block_on(async {
        let Ends { state, mut agent, mut gateway } = connect(LIMITS).await;
        agent.0.write_all(b"question").await.unwrap();
        agent.0.shutdown().await.unwrap();
        let mut text = String::new();
        gateway.0.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "question");
        gateway.0.write_all(b"answer").await.unwrap();
        gateway.0.shutdown().await.unwrap();
        text.clear();
        agent.0.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
        drop((agent.0, gateway.0));
        tokio::join!(agent.1.done(), gateway.1.done());
        assert_eq!(left(&state), [] as [PathBuf; 0]);
    });
}

#[test]
fn what_was_said_before_the_end_is_still_heard() {
    block_on(async {
        let Ends { state, agent, mut gateway } = connect(LIMITS).await;
        let (mut stream, parting) = agent;
        stream.write_all(b"a").await.unwrap();
        gateway.0.read_u8().await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        drop(stream);
        // As when its process ends then.
        parting.done().await;
        let mut text = String::new();
        gateway.0.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "last words");
        drop(gateway.0);
        gateway.1.done().await;
        assert_eq!(left(&state), [] as [PathBuf; 0]);
    });
}

#[test]
fn who_is_gone_is_noticed_and_cleared_up_after() {
    block_on(async {
        let Ends { state, mut agent, gateway } = connect(LIMITS).await;
        agent.0.write_all(b"half").await.unwrap();
        drop(gateway.0);
        assert_eq!(agent.0.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        drop(agent.0);
        tokio::join!(agent.1.done(), gateway.1.done());
        assert_eq!(left(&state), [] as [PathBuf; 0]);
    });
}

#[test]
fn a_program_that_ends_says_so() {
    let (_state, call) = begin();
    for side in [Side::Agent, Side::Gateway] {
        let its = call.clone();
        block_on(async {
            let (stream, _) = carrier::begin(its, side, LIMITS).await.unwrap();
            // As when it is dropped after all that could see it.
            std::mem::forget(stream);
        });
        assert!(call.is_closed_by(side).unwrap(), "{side:?}");
    }
}

#[test]
fn a_call_that_nobody_answers_is_taken_back() {
    block_on(async {
        let (state, call) = begin();
        let (mut stream, parting) = carrier::begin(call, Side::Agent, LIMITS).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        drop(stream);
        parting.done().await;
        assert_eq!(left(&state), [] as [PathBuf; 0]);
    });
}

#[test]
fn a_call_that_another_gateway_has_removed_fails_with_that() {
    block_on(async {
        let Ends { state, mut agent, mut gateway } = connect(LIMITS).await;
        agent.0.write_all(b"a").await.unwrap();
        gateway.0.read_u8().await.unwrap();
        let place = Place::of_state(state.path());
        assert!(place.calls().unwrap()[0].is_answered().unwrap());
        place.clear(|call| call.is_answered().unwrap()).unwrap();
        let error = agent.0.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(error.to_string().contains("has removed"), "{error}");
        let error = agent.0.write_all(b"b").await.unwrap_err();
        assert!(error.to_string().contains("has removed"), "{error}");
    });
}

/// A reader that does not read holds the writer up, and neither fills the disk nor stops what goes
/// the other way.
#[test]
fn back_pressure_holds() {
    block_on(async {
        let limits = Limits { segment: 1 << 10, bytes: 8 << 10, segments: 5 };
        let Ends { state, agent, gateway } = connect(limits).await;
        let call = Place::of_state(state.path()).calls().unwrap().remove(0);
        let (mut reader, mut writer) = tokio::io::split(agent.0);
        let flood = tokio::spawn(async move {
            let written: usize = 200;
            for _ in 0..written {
                writer.write_all(&[7; 1 << 10]).await.unwrap();
            }
            writer.shutdown().await.unwrap();
            written << 10
        });
        let (mut gateway, _parting) = gateway;
        let deadline = Instant::now() + MOMENT;
        while Instant::now() < deadline {
            let (segments, bytes) = under_way(&call, "agent");
            assert!(segments <= limits.segments && bytes <= limits.bytes, "{segments}, {bytes}");
            sleep(Duration::from_millis(1)).await;
        }
        assert!(!flood.is_finished());
        assert_eq!(under_way(&call, "agent").0, limits.segments, "as much as may be");
        gateway.write_all(b"!").await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'!');
        let mut all = Vec::new();
        gateway.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), flood.await.unwrap());
    });
}

/// Writes `chunks`, reads until the end, and says what came.
fn exchange(mut stream: Stream, chunks: Vec<Vec<u8>>) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let mut all = Vec::new();
        let write = async {
            for chunk in chunks {
                writer.write_all(&chunk).await.unwrap();
            }
            writer.shutdown().await.unwrap();
        };
        let ((), read) = tokio::join!(write, reader.read_to_end(&mut all));
        read.unwrap();
        all
    })
}

fn chunks() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn all_arrives_in_order_and_never_too_much_at_a_time(
        up in chunks(),
        down in chunks(),
        segment in 1_usize..400,
        segments in 1_usize..6,
    ) {
        block_on(async {
            let limits = Limits { segment, bytes: segment * segments, segments };
            let Ends { state, agent, gateway } = connect(limits).await;
            let call = Place::of_state(state.path()).calls().unwrap().remove(0);
            let agent_hears = exchange(agent.0, up.clone());
            let gateway_hears = exchange(gateway.0, down.clone());
            while !(agent_hears.is_finished() && gateway_hears.is_finished()) {
                for side in ["agent", "gateway"] {
                    let (count, bytes) = under_way(&call, side);
                    assert!(count <= limits.segments && bytes <= limits.bytes, "{side}");
                }
                sleep(Duration::from_millis(1)).await;
            }
            assert!(agent_hears.await.unwrap() == down.concat());
            assert!(gateway_hears.await.unwrap() == up.concat());
            tokio::join!(agent.1.done(), gateway.1.done());
            assert_eq!(left(&state), [] as [PathBuf; 0]);
        });
    }
}
