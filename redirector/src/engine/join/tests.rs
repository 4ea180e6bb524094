//! Gateways and agents on this computer, over real connections.

mod directory;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{invitation::Invitation, *};
use crate::{
    config::{Config, Rendezvous},
    engine::ByteStream,
    model::NodeName,
    place::StateDirectory,
};

/// Far more than any of this takes.
const LIMIT: Duration = Duration::from_secs(30);

/// Long enough for what must not happen to happen.
const MOMENT: Duration = Duration::from_millis(200);

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, work).await.unwrap() });
}

/// One to which agents come by TCP only.
fn gateway(state: &Path) -> Joining {
    gateway_with(state, Rendezvous::Never)
}

fn gateway_with(state: &Path, rendezvous: Rendezvous) -> Joining {
    let mut settings = Config::default();
    settings.gateway.rendezvous.value = rendezvous;
    Joining::start(&StateDirectory::at(state), "g1", &settings).unwrap()
}

fn node() -> NodeName {
    NodeName("long-7".to_owned())
}

async fn arrival(gateway: &Joining) -> ByteStream {
    gateway.arrival(&node()).await
}

/// Both ends are of one connection.
async fn assert_connected(here: &mut ByteStream, there: &mut Called) {
    let mut letter = [0];
    here.write_all(b"a").await.unwrap();
    there.stream.read_exact(&mut letter).await.unwrap();
    assert_eq!(letter, *b"a");
    there.stream.write_all(b"b").await.unwrap();
    here.read_exact(&mut letter).await.unwrap();
    assert_eq!(letter, *b"b");
}

async fn assert_nobody_comes(gateway: &Joining) {
    assert!(timeout(MOMENT, gateway.arrival(&node())).await.is_err());
}

fn change(file: &Path, change: impl FnOnce(&mut Invitation)) {
    let mut invitation = Invitation::read(file).unwrap();
    change(&mut invitation);
    fs::write(file, serde_json::to_vec(&invitation).unwrap()).unwrap();
}

/// Has the invitation `file` name the port at which `gateway` listens.
fn redirect(file: &Path, gateway: &Joining, directory: &TempDir) {
    let other = gateway.invite(&NodeName("other-1".to_owned())).unwrap();
    assert!(other.starts_with(directory.path()));
    let port = Invitation::read(&other).unwrap().port;
    change(file, |invitation| invitation.port = port);
}

#[test]
fn an_agent_joins_and_its_secret_serves_once() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway(state.path());
        let file = gateway.invite(&node()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let agent = Caller::begin(&file).unwrap();
        let late = Caller::begin(&file).unwrap();
        assert_eq!(agent.directory(), "g1.long-7");
        assert_eq!(agent.grace(), Duration::from_secs(270), "30 s less than the gateway waits");

        let mut there = agent.call().await.unwrap();
        assert_connected(&mut arrival(&gateway).await, &mut there).await;

        let refused = late.call().await.err().unwrap();
        assert!(matches!(refused, NoGateway::Unreachable(_)), "{refused}");
        assert!(matches!(Caller::begin(&file), Err(Error::Used { .. })));
        assert_nobody_comes(&gateway).await;
    });
}

#[test]
fn addresses_that_do_not_answer_hold_up_nothing() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway(state.path());
        let file = gateway.invite(&node()).unwrap();
        // Of a network that is nowhere (RFC 5737), and a name that is none (RFC 6761).
        let nowhere = ["192.0.2.1", "nowhere.invalid"].map(str::to_owned);
        change(&file, |invitation| invitation.addresses = nowhere.to_vec());
        let agent = Caller::begin(&file).unwrap();
        let refused = agent.call().await.err().unwrap().to_string();
        assert!(nowhere.iter().all(|address| refused.contains(address)), "{refused}");

        change(&file, |invitation| invitation.addresses.push("127.0.0.1".to_owned()));
        let begin = Instant::now();
        let mut there = agent.call().await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
        assert_connected(&mut arrival(&gateway).await, &mut there).await;
    });
}

#[test]
fn of_two_agents_at_once_one_is_let_in() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway(state.path());
        let file = gateway.invite(&node()).unwrap();
        let (one, other) = (Caller::begin(&file).unwrap(), Caller::begin(&file).unwrap());
        let (one, other) = tokio::join!(one.call(), other.call());
        assert_eq!([&one, &other].iter().filter(|called| called.is_ok()).count(), 1);
        arrival(&gateway).await;
        assert_nobody_comes(&gateway).await;
    });
}

#[test]
fn an_agent_comes_back_and_its_latest_connection_counts() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway(state.path());
        let agent = Caller::begin(&gateway.invite(&node()).unwrap()).unwrap();
        let mut first = agent.call().await.unwrap();
        let mut here = arrival(&gateway).await;
        assert!(timeout(MOMENT, gateway.has_arrived(&node())).await.is_err());

        let _second = agent.call().await.unwrap();
        gateway.has_arrived(&node()).await;
        assert_connected(&mut here, &mut first).await;
        // Waits behind what is there already.
        let mut third = agent.call().await.unwrap();
        assert_connected(&mut arrival(&gateway).await, &mut third).await;
    });
}

#[test]
fn the_next_gateway_knows_the_agents_of_the_one_before() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let first = gateway(state.path());
        let file = first.invite(&node()).unwrap();
        let agent = Caller::begin(&file).unwrap();
        let late = Caller::begin(&file).unwrap();
        let before = agent.call().await.unwrap();
        drop((arrival(&first).await, before, first));
        let alone = agent.call().await.err().unwrap();
        assert!(matches!(alone, NoGateway::Unreachable(_)), "{alone}");

        let second = gateway(state.path());
        second.keep_only(&BTreeSet::from([node()]));
        assert_eq!(second.invite(&node()).unwrap(), file);
        let mut there = agent.call().await.unwrap();
        assert_connected(&mut arrival(&second).await, &mut there).await;
        assert!(late.call().await.is_err(), "the secret has served");
    });
}

#[test]
fn an_agent_that_has_not_come_yet_may_come_to_the_next_gateway() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let first = gateway(state.path());
        let agent = Caller::begin(&first.invite(&node()).unwrap()).unwrap();
        drop(first);
        let second = gateway(state.path());
        second.invite(&node()).unwrap();
        let mut there = agent.call().await.unwrap();
        assert_connected(&mut arrival(&second).await, &mut there).await;
    });
}

#[test]
fn who_listens_at_the_gateways_port_is_not_taken_for_the_gateway() {
    block_on(async {
        let (state, strange) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let gateway_here = gateway(state.path());
        let file = gateway_here.invite(&node()).unwrap();
        let agent = Caller::begin(&file).unwrap();
        let impostor = gateway(strange.path());
        impostor.invite(&node()).unwrap();
        redirect(&file, &impostor, &strange);
        let refused = agent.call().await.err().unwrap();
        assert!(refused.to_string().contains("does not know the secret"), "{refused}");
        assert_nobody_comes(&impostor).await;
    });
}

#[test]
fn who_does_not_know_the_secret_is_not_let_in() {
    block_on(async {
        let (state, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = gateway(own.path());
        let file = theirs.invite(&node()).unwrap();
        // With a secret of their own; it cannot even prove to them who the gateway is.
        let stranger = Caller::begin(&file).unwrap();
        let gateway = gateway(state.path());
        redirect(&file, &gateway, &state);
        stranger.call().await.err().unwrap();
        gateway.invite(&node()).unwrap();
        stranger.call().await.err().unwrap();
        // Whatever it hears, it goes on.
        let port = Invitation::read(&file).unwrap().port;
        let mut stream = TcpStream::connect(("localhost", port)).await.unwrap();
        let name = node().0;
        let hello = [b"redirector join 1\n", &[7; 64][..], &[name.len() as u8], name.as_bytes()];
        stream.write_all(&hello.concat()).await.unwrap();
        let mut answer = [0; 64];
        stream.read_exact(&mut answer).await.unwrap();
        stream.write_all(&answer[32..]).await.unwrap();
        assert_eq!(
            stream.read(&mut answer).await.unwrap(),
            0,
            "the gateway's proof is not its own"
        );
        assert_nobody_comes(&gateway).await;
    });
}

#[test]
fn something_else_that_connects_is_sent_away() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway(state.path());
        let port = Invitation::read(&gateway.invite(&node()).unwrap()).unwrap().port;
        let mut stream = TcpStream::connect(("localhost", port)).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // A connection that is closed before all was read is reset.
        drop(stream.read_to_end(&mut answer).await);
        assert!(answer.is_empty(), "{answer:?}");
    });
}

#[test]
fn an_agent_sees_that_nobody_expects_it_any_more() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway(state.path());
        let file = gateway.invite(&node()).unwrap();
        let agent = Caller::begin(&file).unwrap();
        drop(agent.call().await.unwrap());
        gateway.forget(&node());
        let gone = agent.call().await.err().unwrap();
        assert!(matches!(gone, NoGateway::Withdrawn { .. }), "{gone}");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0);
    });
}

#[test]
fn what_earlier_gateways_left_is_cleared_away() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let file = gateway(state.path()).invite(&node()).unwrap();
        let kept = NodeName("long-8".to_owned());
        let second = gateway(state.path());
        let kept_file = second.invite(&kept).unwrap();
        second.keep_only(&BTreeSet::from([kept]));
        assert!(!file.exists() && kept_file.exists());
        let escape = second.invite(&NodeName("../long".to_owned())).unwrap_err();
        assert_eq!(escape.kind(), io::ErrorKind::InvalidInput);
    });
}
