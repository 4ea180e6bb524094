//! Runs jobs on hosts for as long as it takes, whichever gateways come and go.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::LocalSet,
};

use crate::{
    cli::{block_on, persistently},
    client::{
        api::Client,
        scatter::{self, Listener, Scatter, Signals, Verdict, Ways},
    },
    model::NodeName,
    place::StateDirectory,
    protocol::DetachedSubmission,
};

/// Submits, waits, and cancels at a signal; how the jobs ended, and the first signal if there was
/// one.
pub(in crate::cli) fn run(
    submissions: &[(DetachedSubmission, Vec<NodeName>)],
    ways: Ways,
    listener: &dyn Listener,
) -> anyhow::Result<(Vec<Verdict>, Option<i32>)> {
    let state = StateDirectory::locate()?;
    let work = Scatter::new(submissions, ways, listener);
    let done = async {
        let signals = signals()?;
        let connect = || Client::starting(&state);
        persistently(connect, async |client| scatter::run(client, &work, signals.clone()).await)
            .await?;
        let first = signals.borrow().first().copied();
        anyhow::Ok(first)
    };
    let signal = block_on(LocalSet::new().run_until(done))??;
    Ok((work.verdicts(), signal))
}

/// What a keyboard and a polite `kill` send, from now on.
fn signals() -> io::Result<Signals> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::task::spawn_local(async move {
        loop {
            let received = tokio::select! {
                Some(()) = interrupt.recv() => SignalKind::interrupt(),
                Some(()) = terminate.recv() => SignalKind::terminate(),
                else => return,
            };
            sender.send_modify(|signals| signals.push(received.as_raw_value()));
        }
    });
    Ok(receiver)
}
