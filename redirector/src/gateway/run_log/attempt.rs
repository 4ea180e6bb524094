//! What one attempt says, from its start to its end.

use std::{io, path::PathBuf};

use tokio::sync::watch;

use super::{Lines, send};
use crate::{
    agent::protocol::LogRecord,
    gateway::service::Service,
    growing::{Growing, Reader},
    lines,
    model::{JobId, NodeName, Outcome, Text, Timestamp},
    place::Stream,
    protocol::Said,
};

/// How far an attempt is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// It goes on, and so does what it writes.
    Runs,
    /// It goes on, and nobody wants more than there is.
    Enough,
    /// There is no more.
    Ended { at: Timestamp, outcome: Outcome },
}

impl Phase {
    fn is_last(&self) -> bool {
        !matches!(self, Self::Runs)
    }
}

/// See the module.
pub(super) struct AttemptLog {
    pub service: Service,
    pub job: JobId,
    pub attempt: u32,
    pub node: Option<NodeName>,
    pub started: Option<Timestamp>,
    pub is_detached: bool,
    pub lines: Lines,
}

/// One of its files.
#[derive(Clone, Copy)]
enum Source {
    Output(Stream),
    Records,
}

impl AttemptLog {
    pub(super) async fn tell(self, mut phases: watch::Receiver<Phase>) -> io::Result<()> {
        if let Some(started) = self.started {
            send(&self.lines, (started, &self), Said::Started).await?;
        }
        let output = async |stream| {
            if !self.is_detached {
                return Ok(());
            }
            self.follow(Source::Output(stream), phases.clone()).await
        };
        tokio::try_join!(
            output(Stream::Stdout),
            output(Stream::Stderr),
            self.follow(Source::Records, phases.clone()),
        )?;
        let ended = match &*phases.borrow_and_update() {
            Phase::Ended { at, outcome } => Some((*at, outcome.clone())),
            Phase::Runs | Phase::Enough => None,
        };
        match ended {
            Some((at, how)) => send(&self.lines, (at, &self), Said::Ended { how }).await,
            None => Ok(()),
        }
    }

    fn path(&self, source: Source) -> PathBuf {
        match source {
            Source::Output(stream) => self.service.state.output(self.job, self.attempt, stream),
            Source::Records => self.service.state.records(self.job, self.attempt),
        }
    }

    /// Tells the lines of one of its files, until that has no more to come.
    async fn follow(&self, source: Source, mut phases: watch::Receiver<Phase>) -> io::Result<()> {
        let mut lines = lines::Lines::default();
        if phases.borrow().is_last() {
            let mut file = Reader::new(self.path(source), 0);
            while let Some(piece) = file.next().await? {
                self.take(source, &mut lines, &piece).await?;
            }
            return self.finish(source, lines).await;
        }
        let mut file = Growing::new(&self.service.watches, self.path(source), 0)?;
        loop {
            let is_last = phases.borrow_and_update().is_last();
            while let Some(piece) = file.next().await? {
                self.take(source, &mut lines, &piece).await?;
            }
            if is_last {
                return self.finish(source, lines).await;
            }
            tokio::select! {
                () = file.changed() => {}
                changed = phases.changed() => changed.map_err(io::Error::other)?,
            }
        }
    }

    async fn take(&self, source: Source, lines: &mut lines::Lines, piece: &[u8]) -> io::Result<()> {
        let mut taken = Vec::new();
        lines.add(piece, |line| taken.push(said(source, line)));
        self.send_all(taken).await
    }

    async fn finish(&self, source: Source, mut lines: lines::Lines) -> io::Result<()> {
        let mut taken = Vec::new();
        lines.finish(|line| taken.push(said(source, line)));
        self.send_all(taken).await
    }

    async fn send_all(&self, taken: Vec<Option<(Timestamp, Said)>>) -> io::Result<()> {
        for (at, said) in taken.into_iter().flatten() {
            send(&self.lines, (at, self), said).await?;
        }
        Ok(())
    }
}

fn said(source: Source, line: &[u8]) -> Option<(Timestamp, Said)> {
    let text = || Text::from(line);
    match source {
        Source::Output(Stream::Stdout) => Some((Timestamp::now(), Said::Stdout { line: text() })),
        Source::Output(Stream::Stderr) => Some((Timestamp::now(), Said::Stderr { line: text() })),
        Source::Records => {
            // A record of which the disk had room for a part only is none.
            let LogRecord { at, level, message, fields, .. } = serde_json::from_slice(line).ok()?;
            Some((at, Said::Log { level, message, fields }))
        }
    }
}
