//! `redirector progress`: shows how far a run is, beside the client that runs it.
//!
//! The pipeline writes to the same terminal, at any time and without a word. So the last rows are
//! kept out of what scrolls ([`region`]), as package managers do it, and drawn on by this process:
//!
//! ```text
//!   what the pipeline prints scrolls here           ┐ scroll region
//!   …                                               ┘
//!   snakemake ━━━━━━━━━━╸─────── 123/240  6 running ┐ this process
//!     align   ━━━━━━━━━━━━━━━━━━  60/60             ┘
//! ```
//!
//! Nothing is drawn, and the rows are given back, while somebody else has the terminal: another
//! process group, or a program that reads keys one by one, as editors and pagers do ([`screen`]).

mod eta;
mod region;
mod rows;
mod screen;
mod waiting;

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::sys::signal::{SigSet, Signal};
use tokio::{
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use self::screen::Screen;
use super::{Outcome, SUCCESS, report};
use crate::{
    client::{api::Client, watcher::ENDED},
    inherited,
    model::{JobId, Timestamp},
    place::StateDirectory,
    protocol::Progress,
    report::Report,
};

pub(super) use self::waiting::Bar;

/// Show how far a run is until standard input ends
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The run's number
    run: JobId,
    /// Draw while it runs
    #[arg(long)]
    live: bool,
    /// Report when it has ended
    #[arg(long)]
    report: bool,
}

/// How often the clock is drawn anew: people read seconds.
const CLOCK: Duration = Duration::from_secs(1);

/// After a stop from the keyboard, the shell needs a moment to take the terminal.
const STOP: Duration = Duration::from_secs(1);

/// How long the report may keep the end of a run waiting.
const REPORT: Duration = Duration::from_secs(5);

pub(super) fn main(arguments: &Arguments) -> Outcome {
    inherited::close();
    // This process ends with its client and by nothing else, lest the terminal stay as it is
    // drawn. With SIGTTOU blocked, it may write to the terminal even if that has passed to another
    // group and has 'tostop' set (POSIX, 11.1.4), which giving it back needs.
    let mut blocked = SigSet::all();
    for signal in [Signal::SIGWINCH, Signal::SIGTSTP, Signal::SIGCONT] {
        blocked.remove(signal);
    }
    blocked.thread_block()?;
    let client = Client::new(&StateDirectory::locate()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(arguments, client))?;
    Ok(SUCCESS)
}

async fn show(arguments: &Arguments, client: Client) -> anyhow::Result<()> {
    let client_side = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut word = String::new();
    if arguments.live {
        let changes = changes(Client::new(&StateDirectory::locate()?)?, arguments.run);
        let mut screen = Screen::new();
        tokio::select! {
            // Closed: told to end, or the client was killed.
            _ = told(&client_side, &mut word) => {}
            drawn = draw(&mut screen, changes) => drawn?,
        }
        screen.give_back();
    }
    // Drawing may end by itself, the run only by its client.
    told(&client_side, &mut word).await?;
    if arguments.report && word == ENDED {
        let run = arguments.run;
        match tokio::time::timeout(REPORT, report::records(&client, run)).await {
            Ok(Ok((run, jobs))) => {
                let report = Report::new(&run, &jobs, Timestamp::now());
                anstream::eprint!("{}", report::text(&report));
            }
            Ok(Err(error)) => eprintln!("redirector: no report of run {run}: {error}"),
            Err(_) => {
                eprintln!("redirector: the report takes long; 'redirector report {run}' has it");
            }
        }
    }
    Ok(())
}

/// Returns when the client has closed its side; what it said is added to `words`.
async fn told(client_side: &pipe::Receiver, words: &mut String) -> io::Result<()> {
    let mut buffer = [0; ENDED.len()];
    loop {
        client_side.readable().await?;
        match client_side.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => *words += &String::from_utf8_lossy(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// What becomes of the run, as long as there is a gateway to ask.
fn changes(client: Client, run: JobId) -> mpsc::Receiver<Progress> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut seen = None;
        loop {
            match client.progress(run, seen).await {
                Ok(progress) => {
                    seen = Some(progress.version);
                    let is_last = progress.finished;
                    if sender.send(progress).await.is_err() || is_last {
                        return;
                    }
                }
                Err(error) if error.may_have_left() => {
                    // The run's client starts another gateway.
                    tokio::time::sleep(CLOCK).await;
                    seen = None;
                }
                Err(_) => return,
            }
        }
    });
    receiver
}

async fn draw(screen: &mut Screen, mut changes: mpsc::Receiver<Progress>) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut resized = signal(SignalKind::window_change())?;
    let mut stopped = signal(SignalKind::from_raw(Signal::SIGTSTP as i32))?;
    let mut continued = signal(SignalKind::from_raw(Signal::SIGCONT as i32))?;
    let mut clock = tokio::time::interval(CLOCK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut progress = Progress::default();
    loop {
        tokio::select! {
            change = changes.recv() => match change {
                Some(change) => progress = change,
                None => return Ok(()),
            },
            _ = clock.tick() => {}
            _ = resized.recv() => {}
            _ = stopped.recv() => screen.rest_for(STOP),
            _ = continued.recv() => screen.rest_for(Duration::ZERO),
        }
        screen.draw(|size| rows::rows(&progress, begin.elapsed(), size));
    }
}
