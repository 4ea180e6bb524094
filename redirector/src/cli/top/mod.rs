//! `redirector top`: the gateway at a glance, drawn anew each second.
//!
//! ```text
//!   keys, signals, each second ──► ask the gateway ──► [view]: lines ──► [screen]: terminal
//! ```
//!
//! A person watches it; no job waits for it, and it may ask by the clock.

mod screen;
mod view;

use std::{
    io::{self, IsTerminal, Read},
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use self::{screen::Screen, view::Picture};
use super::{Outcome, SUCCESS, output, talk};
use crate::{
    client::api::{Client, Error},
    model::{State, Timestamp},
    place::StateDirectory,
    store::Filter,
};

/// Watch the node, what runs, what waits and what has ended; q leaves
///
/// Where standard output is not a terminal, it is printed once.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print it once
    #[arg(long)]
    once: bool,
}

/// How often the picture is taken anew.
const EACH: Duration = Duration::from_secs(1);

/// Jobs that are shown at most of those that run, and of those that ended.
const SHOWN: u32 = 200;

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let state = StateDirectory::locate()?;
    let client = Client::new(&state)?;
    if arguments.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let picture = talk(async |client| picture(&client).await, client)?;
        output::text(&(view::lines(&picture, Timestamp::now(), usize::MAX).join("\n") + "\n"))?;
        return Ok(SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(watch(&client))?;
    Ok(SUCCESS)
}

async fn picture(client: &Client) -> Result<Picture, Error> {
    let of =
        |state| Filter { all: true, state: Some(state), limit: Some(SHOWN), ..Filter::default() };
    Ok(Picture {
        status: client.status().await?,
        nodes: client.nodes().await?,
        running: client.jobs(&of(State::Running)).await?,
        queued: client.jobs(&of(State::Queued)).await?,
        ended: client.jobs(&of(State::Finished)).await?,
    })
}

async fn watch(client: &Client) -> anyhow::Result<()> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut stopped = signal(SignalKind::from_raw(libc::SIGTSTP))?;
    let (mut interrupted, mut terminated, mut hung_up) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    let mut clock = tokio::time::interval(EACH);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let screen = Screen::enter()?;
    let mut keys = keys();
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = told(&mut resized) => {}
            () = told(&mut stopped) => screen.stop()?,
            () = told(&mut interrupted) => return Ok(()),
            () = told(&mut terminated) => return Ok(()),
            () = told(&mut hung_up) => return Ok(()),
            key = keys.recv() => match key {
                Some(b'q' | b'Q') | None => return Ok(()),
                Some(_) => {}
            },
        }
        let lines = match picture(client).await {
            Ok(picture) => view::lines(&picture, Timestamp::now(), Screen::rows()),
            Err(error) => vec![error.to_string(), String::new(), "q leaves".to_owned()],
        };
        screen.show(&lines)?;
    }
}

async fn told(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// What is pressed. A thread, because a terminal cannot be read without waiting unless that is
/// set for everybody who has it open.
fn keys() -> mpsc::UnboundedReceiver<u8> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for key in io::stdin().lock().bytes().map_while(Result::ok) {
            if sender.send(key).is_err() {
                return;
            }
        }
    });
    receiver
}
