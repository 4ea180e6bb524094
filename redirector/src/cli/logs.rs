//! `redirector logs`
//!
//! Each stream of each job is read by a task of its own, which finds another gateway when one
//! leaves and goes on where it was; what arrives is written by one place:
//!
//! ```text
//! job 7 stdout ─┐
//! job 7 stderr ─┼─► pieces ─► Writer ─► standard output, standard error
//! job 8 stdout ─┘
//! ```

mod lines;

use std::{
    cell::Cell,
    collections::VecDeque,
    io::{self, Write},
    rc::Rc,
};

use tokio::{
    sync::mpsc,
    task::{JoinSet, LocalSet},
};

use super::{
    Outcome, block_on,
    each::Refusals,
    ids::{self, IdRange},
    persistently,
};
use crate::{
    agent,
    client::api::{Client, Error, Wanted},
    model::{JobId, State},
    place::{StateDirectory, Stream},
};

/// Print what jobs have written, and with -f what they go on to write
///
/// Only jobs of 'redirector submit' keep their output. Standard output and standard error of
/// the jobs go to those of this command; of several jobs, each piece is headed by its job.
///
/// Of a whole run, and with --lines, all goes to standard output, line by line in the order in
/// which it arrives, each headed by node and job; also when jobs start and end, and what they log.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The jobs' numbers, such as 7 or 7-12
    #[arg(required = true, value_name = "ID")]
    ids: Vec<IdRange>,
    /// Go on until the jobs have ended
    #[arg(short, long)]
    follow: bool,
    /// Line by line, with when jobs start and end, and what they log
    #[arg(long, conflicts_with_all = ["stdout", "stderr", "attempt"])]
    lines: bool,
    /// Only standard output
    #[arg(long, conflicts_with = "stderr")]
    stdout: bool,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
    /// Of this attempt, from 1 [default: the last one]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
}

/// Streams that are followed at the same time; each takes a connection.
const FOLLOWED: usize = 200;

/// Pieces that may wait to be written.
const PIECES: usize = 16;

/// One stream of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Source {
    job: JobId,
    stream: Stream,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let state = StateDirectory::locate()?;
    let ids = ids::all(&arguments.ids)?;
    let chooses = arguments.stdout || arguments.stderr || arguments.attempt.is_some();
    if arguments.lines || (!chooses && is_whole_run(&state, &ids)?) {
        let print = lines::print(ids, state, arguments.follow);
        return block_on(LocalSet::new().run_until(print))?;
    }
    let streams: &[Stream] = match (arguments.stdout, arguments.stderr) {
        (true, _) => &[Stream::Stdout],
        (_, true) => &[Stream::Stderr],
        _ => &[Stream::Stdout, Stream::Stderr],
    };
    let sources: VecDeque<_> = ids
        .iter()
        .flat_map(|&job| streams.iter().map(move |&stream| Source { job, stream }))
        .collect();
    let mut writer = Writer { has_headers: ids.len() > 1, last: None };
    let at_once = if arguments.follow { FOLLOWED } else { 1 };
    let settings = Settings { state, attempt: arguments.attempt, follow: arguments.follow };
    let print = print(sources, at_once, Rc::new(settings), &mut writer);
    block_on(LocalSet::new().run_until(print))?
}

/// Whether what is asked for is a whole pipeline, which has no output of its own.
fn is_whole_run(state: &StateDirectory, ids: &[JobId]) -> anyhow::Result<bool> {
    let &[id] = ids else { return Ok(false) };
    let connect = || Client::reading(state);
    match block_on(persistently(connect, async |client| client.job(id, false).await))? {
        Ok(job) => Ok(job.spec.kind.is_whole_pipeline()),
        // Said by what follows.
        Err(Error::Refused { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

struct Settings {
    state: StateDirectory,
    attempt: Option<u32>,
    follow: bool,
}

/// Prints all `sources`, some of them at the same time.
async fn print(
    mut sources: VecDeque<Source>,
    at_once: usize,
    settings: Rc<Settings>,
    writer: &mut Writer,
) -> Outcome {
    let refusals = Refusals::default();
    let (sender, mut pieces) = mpsc::channel(PIECES);
    let mut readers = JoinSet::new();
    loop {
        while readers.len() < at_once
            && let Some(source) = sources.pop_front()
        {
            readers.spawn_local(read_source(source, Rc::clone(&settings), sender.clone()));
        }
        tokio::select! {
            // What a reader has sent is written before its end counts.
            biased;
            Some((source, piece)) = pieces.recv() => writer.write(source, &piece)?,
            ended = readers.join_next() => match ended {
                None => return Ok(refusals.status()),
                Some(Ok(Err(Error::Refused { problem, .. }))) => refusals.add(problem.error),
                Some(ended) => ended??,
            },
        }
    }
}

type Pieces = mpsc::Sender<(Source, Vec<u8>)>;

/// Reads one stream to its end, through as many gateways as it takes.
async fn read_source(source: Source, settings: Rc<Settings>, pieces: Pieces) -> Result<(), Error> {
    let position = Position { attempt: Cell::new(settings.attempt), offset: Cell::new(0) };
    let connect = || Client::reading(&settings.state);
    persistently(connect, async |client| {
        position.read_from(&client, source, &settings, &pieces).await
    })
    .await
}

/// How far a stream was read.
struct Position {
    attempt: Cell<Option<u32>>,
    offset: Cell<u64>,
}

impl Position {
    async fn read_from(
        &self,
        client: &Client,
        source: Source,
        settings: &Settings,
        pieces: &Pieces,
    ) -> Result<(), Error> {
        if self.attempt.get().is_none() {
            self.attempt.set(Some(client.job(source.job, false).await?.last_attempt()));
        }
        loop {
            let wanted = Wanted {
                stream: source.stream,
                attempt: self.attempt.get(),
                follow: settings.follow,
                offset: self.offset.get(),
            };
            let mut output = client.output(source.job, &wanted).await?;
            while let Some(piece) = output.next().await? {
                let piece = piece.as_ref();
                if pieces.send((source, piece.to_vec())).await.is_err() {
                    return Ok(());
                }
                self.offset.set(self.offset.get() + piece.len() as u64);
            }
            if !settings.follow || settings.attempt.is_some() {
                return Ok(());
            }
            // The attempt is over: does the job go on with another one?
            let job = client.job(source.job, false).await?;
            let next = self.attempt.get().map(|attempt| attempt + 1);
            if job.state == State::Finished && Some(job.last_attempt()) < next {
                return Ok(());
            }
            self.attempt.set(next);
            self.offset.set(0);
        }
    }
}

/// Writes pieces to the standard stream that each belongs to.
struct Writer {
    has_headers: bool,
    last: Option<Source>,
}

impl Writer {
    fn write(&mut self, source: Source, piece: &[u8]) -> io::Result<()> {
        let header = self.header(source);
        match source.stream {
            Stream::Stdout => write_all(io::stdout().lock(), header.as_bytes(), piece),
            Stream::Stderr => write_all(io::stderr().lock(), header.as_bytes(), piece),
        }
    }

    /// What stands before a piece that does not go on where the last one ended, as `tail` has it.
    fn header(&mut self, source: Source) -> String {
        let last = self.last.replace(source);
        if !self.has_headers || last == Some(source) {
            return String::new();
        }
        let gap = if last.is_some() { "\n" } else { "" };
        format!("{gap}==> job {} {} <==\n", source.job, source.stream.word())
    }
}

fn write_all(mut target: impl Write, header: &[u8], piece: &[u8]) -> io::Result<()> {
    let mut write = || {
        target.write_all(header)?;
        target.write_all(piece)?;
        target.flush()
    };
    write().or_else(|error| {
        if error.kind() != io::ErrorKind::BrokenPipe {
            return Err(error);
        }
        // The reader has left: this ends as any tool does.
        agent::end_on_broken_pipes();
        write()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stands_where_another_source_begins() {
        let source = |job, stream| Source { job: JobId(job), stream };
        let mut writer = Writer { has_headers: true, last: None };
        assert_eq!(writer.header(source(7, Stream::Stdout)), "==> job 7 stdout <==\n");
        assert_eq!(writer.header(source(7, Stream::Stdout)), "");
        assert_eq!(writer.header(source(7, Stream::Stderr)), "\n==> job 7 stderr <==\n");
        assert_eq!(writer.header(source(8, Stream::Stdout)), "\n==> job 8 stdout <==\n");
        let mut plain = Writer { has_headers: false, last: None };
        assert_eq!(plain.header(source(7, Stream::Stdout)), "");
    }
}
