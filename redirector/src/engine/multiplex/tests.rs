//! Both sides over a pair of in-memory streams.

use std::{future::pending, io};

use hyper::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{sleep, timeout},
};

use super::*;
use crate::engine::{ByteStream, Channel, halves};

const LIMIT: Duration = Duration::from_secs(20);

/// What is waited for to see that it does not happen.
const A_WHILE: Duration = Duration::from_millis(50);

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, work).await.expect("within the limit") });
}

/// The gateway's side, and the streams that it opens below `/take`; all others are refused.
async fn link() -> (Channel, UnboundedReceiver<ByteStream>) {
    let (here, there) = duplex(64 << 10);
    let (streams, taken) = unbounded_channel();
    tokio::spawn(async move {
        let take = |offer: Offer| match offer.path() {
            Some("/take") => drop(streams.send(offer.accept().unwrap())),
            _ => offer.refuse(StatusCode::NOT_FOUND, "nothing is here"),
        };
        serve(there, KeepAlive::default(), Heard::now(), pending::<()>(), take).await
    });
    let (channel, driver) = connect(here, KeepAlive::default()).await.unwrap();
    tokio::spawn(driver);
    (channel, taken)
}

#[test]
fn both_directions_carry_bytes_and_end_each_by_itself() {
    block_on(async {
        let (channel, mut taken) = link().await;
        let mut here = channel.open("/take").await.unwrap();
        here.write_all(b"question").await.unwrap();
        here.shutdown().await.unwrap();
        let mut there = taken.recv().await.unwrap();
        let mut text = String::new();
        there.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "question");
        there.write_all(b"answer").await.unwrap();
        drop(there.shutdown().await);
        text.clear();
        here.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn a_stream_that_nobody_reads_stops_its_writer_and_no_other_stream() {
    block_on(async {
        let (channel, mut taken) = link().await;
        let mut unread = Vec::new();
        let chunk = vec![7; 1 << 20];
        // More of them than any window of several streams together would have room for.
        for _ in 0..8 {
            let mut stuck = channel.open("/take").await.unwrap();
            let written = async {
                loop {
                    stuck.write_all(&chunk).await.unwrap();
                }
            };
            timeout(A_WHILE, written).await.expect_err("windows are bounded");
            unread.push((stuck, taken.recv().await.unwrap()));
        }
        let mut orders = channel.open("/take").await.unwrap();
        let mut agent = taken.recv().await.unwrap();
        for _ in 0..100 {
            orders.write_all(b"order").await.unwrap();
            let mut order = [0; 5];
            agent.read_exact(&mut order).await.unwrap();
            agent.write_all(b"report").await.unwrap();
            let mut report = [0; 6];
            orders.read_exact(&mut report).await.unwrap();
        }
        let (mut stuck, mut reader) = unread.pop().unwrap();
        drop(unread);
        let (written, read) = tokio::join!(
            async {
                stuck.write_all(&chunk).await.unwrap();
                stuck.shutdown().await
            },
            async { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await }
        );
        written.unwrap();
        assert!(read.unwrap() > 1 << 20, "it goes on when it is read");
    });
}

#[test]
fn pieces_that_are_written_together_arrive_in_their_order() {
    block_on(async {
        let (channel, mut taken) = link().await;
        let mut here = channel.open("/take").await.unwrap();
        let pieces = [vec![1; 5], vec![2; 3 << 20], Vec::new(), vec![3; 1 << 20]];
        let mut there = taken.recv().await.unwrap();
        let ((), received) = tokio::join!(
            async {
                let mut slices = pieces.each_ref().map(|piece| io::IoSlice::new(piece));
                let mut rest = &mut slices[..];
                while rest.iter().any(|slice| !slice.is_empty()) {
                    let count = here.write_vectored(rest).await.unwrap();
                    io::IoSlice::advance_slices(&mut rest, count);
                }
                here.shutdown().await.unwrap();
            },
            async {
                let mut bytes = Vec::new();
                there.read_to_end(&mut bytes).await.unwrap();
                bytes
            }
        );
        assert!(received == pieces.concat());
    });
}

#[test]
fn a_refusal_is_told_to_the_reader() {
    block_on(async {
        let (channel, _taken) = link().await;
        let mut stream = channel.open("/elsewhere").await.unwrap();
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(error.to_string(), "nothing is here");
    });
}

#[test]
fn a_dropped_stream_is_an_error_for_the_other_side() {
    block_on(async {
        let (channel, mut taken) = link().await;
        let mut here = channel.open("/take").await.unwrap();
        here.write_all(b"x").await.unwrap();
        drop(taken.recv().await.unwrap());
        assert!(here.read_u8().await.is_err());
        let error = async {
            loop {
                if let Err(error) = here.write_all(&[0; 1 << 12]).await {
                    return error;
                }
            }
        };
        assert_eq!(error.await.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn small_writes_that_nobody_reads_do_not_end_the_link() {
    block_on(async {
        let (channel, mut taken) = link().await;
        let mut here = channel.open("/take").await.unwrap();
        for _ in 0..100_000 {
            here.write_all(b"x").await.unwrap();
            tokio::task::yield_now().await;
        }
        here.shutdown().await.unwrap();
        let mut bytes = Vec::new();
        taken.recv().await.unwrap().read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes.len(), 100_000);
    });
}

/// A link that can go dead without a word.
async fn through_a_cut(
    here: DuplexStream,
    there: DuplexStream,
    cut: impl Future,
) -> (DuplexStream, DuplexStream) {
    let (mut here, mut there) = (here, there);
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
        _ = cut => {}
    }
    (here, there)
}

#[test]
fn both_sides_notice_that_the_link_is_dead_and_not_that_nobody_says_anything() {
    let keep_alive =
        KeepAlive { interval: Duration::from_millis(50), limit: Duration::from_millis(400) };
    block_on(async {
        let (here, near) = duplex(1 << 16);
        let (there, far) = duplex(1 << 16);
        let server = tokio::spawn(async move {
            serve(there, keep_alive, Heard::now(), pending::<()>(), drop).await
        });
        let (cut, is_cut) = tokio::sync::oneshot::channel::<()>();
        let wire = tokio::spawn(through_a_cut(near, far, is_cut));
        let (channel, driver) = connect(here, keep_alive).await.unwrap();
        let client = tokio::spawn(driver);
        // Longer than the limit: pings keep it alive.
        sleep(keep_alive.limit * 2).await;
        assert!(!client.is_finished() && !server.is_finished());
        cut.send(()).unwrap();
        assert!(matches!(client.await.unwrap(), Ended::Silent(_)));
        assert!(matches!(server.await.unwrap(), Ended::Silent(_)));
        drop((channel, wire.await.unwrap()));
    });
}

#[test]
fn a_side_that_leaves_has_its_last_words_heard() {
    block_on(async {
        let (here, there) = duplex(1 << 10);
        let (leave, leaving) = tokio::sync::oneshot::channel::<()>();
        let (streams, mut taken) = unbounded_channel();
        let server = tokio::spawn(async move {
            let take = |offer: Offer| drop(streams.send(offer.accept().unwrap()));
            serve(there, KeepAlive::default(), Heard::now(), leaving, take).await
        });
        let (channel, driver) = connect(here, KeepAlive::default()).await.unwrap();
        let client = tokio::spawn(driver);
        let mut orders = channel.open("/take").await.unwrap();
        let mut agent = taken.recv().await.unwrap();
        let last = vec![7; 100_000];
        agent.write_all(&last).await.unwrap();
        agent.shutdown().await.unwrap();
        drop(agent);
        leave.send(()).unwrap();
        let mut words = vec![0; last.len()];
        orders.read_exact(&mut words).await.unwrap();
        assert_eq!(words, last);
        drop((orders, channel));
        assert!(matches!(server.await.unwrap(), Ended::Closed));
        assert!(matches!(client.await.unwrap(), Ended::Closed));
    });
}

#[test]
fn halves_move_pieces_as_they_are_and_both_ends() {
    block_on(async {
        let (channel, mut taken) = link().await;
        let (mut taker, mut giver) = halves(channel.open("/take").await.unwrap());
        let sent: Vec<u8> = (0..3 << 20).map(|index: u32| (index / 7) as u8).collect();
        let give = async {
            giver.give(sent.clone().into()).await.unwrap();
            giver.end().await.unwrap();
        };
        let echo = async {
            let (mut its_taker, mut its_giver) = halves(taken.recv().await.unwrap());
            let mut space = vec![0; 1000];
            let count = its_taker.read(&mut space).await.unwrap();
            space.truncate(count);
            its_giver.give(space.into()).await.unwrap();
            loop {
                let piece = its_taker.take().await.unwrap();
                if piece.is_empty() {
                    break its_giver.end().await.unwrap();
                }
                its_giver.give(piece).await.unwrap();
            }
        };
        let take = async {
            let mut received = Vec::new();
            loop {
                let piece = taker.take().await.unwrap();
                if piece.is_empty() {
                    break received;
                }
                received.extend_from_slice(&piece);
            }
        };
        let ((), (), received) = tokio::join!(give, echo, take);
        assert!(received == sent);
    });
}
