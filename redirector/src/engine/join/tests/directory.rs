//! Agents that come through the rendezvous directory.

use std::mem;

use super::*;

/// Everything in the rendezvous directory.
fn left(state: &TempDir) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(state.path().join("rendezvous")).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// Has the invitation name a port at which nobody listens.
fn hide(file: &Path) {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    change(file, |invitation| invitation.port = unused);
}

async fn meet(agent: &Caller, gateway: &Joining) -> (Called, ByteStream) {
    let (called, here) = tokio::join!(agent.call(), arrival(gateway));
    (called.unwrap_or_else(|refused| panic!("{refused}")), here)
}

async fn part((there, here): (Called, ByteStream), state: &TempDir) {
    drop((there.stream, here));
    there.parting.expect("it came through files").done().await;
    while !left(state).is_empty() {
        // The gateway's side tells nobody that it has cleared up.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn an_agent_joins_without_any_port_and_its_secret_serves_once() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Always);
        let file = gateway.invite(&node()).unwrap();
        let invitation = Invitation::read(&file).unwrap();
        assert_eq!((invitation.port, invitation.addresses.len()), (0, 0));
        let agent = Caller::begin(&file).unwrap();
        let late = Caller::begin(&file).unwrap();
        let (mut there, mut here) = meet(&agent, &gateway).await;
        let way = there.way.to_string();
        let place = state.path().join("rendezvous").display().to_string();
        assert!(way.contains(&place) && way.contains("'always'"), "{way}");
        assert_connected(&mut here, &mut there).await;

        tokio::select! {
            refused = late.call() => assert!(refused.is_err(), "the secret has served"),
            _ = arrival(&gateway) => panic!("another agent was let in"),
        }
        part((there, here), &state).await;
    });
}

#[test]
fn an_agent_that_can_reach_no_address_comes_through_the_directory() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Auto);
        let file = gateway.invite(&node()).unwrap();
        hide(&file);
        let agent = Caller::begin(&file).unwrap();
        let (mut there, mut here) = meet(&agent, &gateway).await;
        let way = there.way.to_string();
        for part in ["no address of the gateway could be reached", "127.0.0.1 port", "refused"] {
            assert!(way.contains(part), "{way}");
        }
        assert_connected(&mut here, &mut there).await;
        part((there, here), &state).await;
    });
}

#[test]
fn an_agent_that_can_connect_leaves_the_directory_alone() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Auto);
        let agent = Caller::begin(&gateway.invite(&node()).unwrap()).unwrap();
        let (mut there, mut here) = meet(&agent, &gateway).await;
        assert!(matches!(there.way, Way::Address(_)), "{}", there.way);
        assert_connected(&mut here, &mut there).await;
        assert!(left(&state).is_empty());
    });
}

#[test]
fn without_rendezvous_there_is_no_directory() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Never);
        let file = gateway.invite(&node()).unwrap();
        hide(&file);
        let agent = Caller::begin(&file).unwrap();
        let refused = agent.call().await.err().unwrap();
        assert!(refused.to_string().contains("127.0.0.1 port"), "{refused}");
        assert!(!state.path().join("rendezvous").exists());
    });
}

#[test]
fn an_agent_finds_the_gateway_after_one_that_was_killed() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let first = gateway_with(state.path(), Rendezvous::Always);
        let agent = Caller::begin(&first.invite(&node()).unwrap()).unwrap();
        let (mut there, here) = meet(&agent, &first).await;
        // It says nothing any more, not even that it ends.
        mem::forget((here, first));

        let second = gateway_with(state.path(), Rendezvous::Always);
        second.invite(&node()).unwrap();
        let error = there.stream.read_u8().await.unwrap_err();
        assert!(error.to_string().contains("has removed"), "{error}");
        let (mut there, mut here) = meet(&agent, &second).await;
        assert_connected(&mut here, &mut there).await;
        part((there, here), &state).await;
    });
}

/// Or else all agents would end up in the directory when a gateway has been away.
#[test]
fn an_agent_that_waits_for_a_gateway_goes_to_the_address_of_the_next_one() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let first = gateway_with(state.path(), Rendezvous::Auto);
        let file = first.invite(&node()).unwrap();
        let agent = Caller::begin(&file).unwrap();
        drop(first);
        let call = tokio::spawn(async move { agent.call().await });
        while left(&state).iter().all(|name| name.as_encoded_bytes().starts_with(b".")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let second = gateway_with(state.path(), Rendezvous::Auto);
        assert_eq!(left(&state).len(), 1, "nobody has answered it, so that it counts");
        second.invite(&node()).unwrap();
        let mut here = arrival(&second).await;
        let mut there = call.await.unwrap().unwrap_or_else(|refused| panic!("{refused}"));
        assert!(matches!(there.way, Way::Address(_)), "{}", there.way);
        assert_connected(&mut here, &mut there).await;
    });
}

#[test]
fn who_does_not_know_the_secret_is_not_met() {
    block_on(async {
        let (state, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // With a secret of their own.
        let theirs = gateway_with(own.path(), Rendezvous::Always);
        let strange = theirs.invite(&node()).unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Always);
        let file = gateway.invite(&node()).unwrap();
        let secret = Invitation::read(&strange).unwrap().secret;
        change(&file, |invitation| invitation.secret = secret);
        let stranger = Caller::begin(&file).unwrap();
        tokio::select! {
            refused = stranger.call() => {
                let refused = refused.err().expect("a wrong secret").to_string();
                assert!(refused.contains("does not know the secret"), "{refused}");
            }
            _ = arrival(&gateway) => panic!("it was let in"),
        }
    });
}

#[test]
fn the_call_of_an_agent_that_nobody_expects_any_more_is_removed() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Always);
        let agent = Caller::begin(&gateway.invite(&node()).unwrap()).unwrap();
        let call = async {
            // Nobody waits for it, so that nobody looks.
            let unheard = agent.call().await.err().unwrap();
            assert!(unheard.to_string().contains("has removed"), "{unheard}");
            agent.call().await.err().unwrap()
        };
        let forget = async {
            while left(&state).iter().all(|name| name.as_encoded_bytes().starts_with(b".")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            gateway.forget(&node());
        };
        let (gone, ()) = tokio::join!(call, forget);
        assert!(matches!(gone, NoGateway::Withdrawn { .. }), "{gone}");
        assert!(left(&state).is_empty());
    });
}

#[test]
fn what_agents_left_in_the_directory_is_cleared_away() {
    block_on(async {
        let state = tempfile::tempdir().unwrap();
        let place = state.path().join("rendezvous");
        let kept = NodeName("long-8".to_owned());
        fs::create_dir(&place).unwrap();
        for name in ["long-7.0a", ".long-7.0b", "long-8.0c", ".long-8.0d"] {
            let call = place.join(name);
            fs::create_dir(&call).unwrap();
            fs::write(call.join("gateway.taken"), "").unwrap();
        }
        // An earlier gateway has heard this one.
        fs::create_dir(place.join("long-8.0e")).unwrap();
        fs::write(place.join("long-8.0e/gateway.taken"), "12").unwrap();
        let gateway = gateway_with(state.path(), Rendezvous::Always);
        gateway.keep_only(&BTreeSet::from([kept.clone()]));
        let mut names = left(&state);
        names.sort();
        assert_eq!(names, [".long-8.0d", "long-8.0c"]);
        gateway.forget(&kept);
        assert!(left(&state).is_empty());
        drop(gateway);
        drop(gateway_with(state.path(), Rendezvous::Never));
        assert!(!place.exists());
    });
}
