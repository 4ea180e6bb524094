//! What all jobs of a run say, line by line, each headed by node and job.
//!
//! A gateway tells all from the beginning. What was printed already when the one before left is
//! told again in the same order for each attempt, and left out here.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::Write as _,
    io::{self, IsTerminal},
    rc::Rc,
};

use tokio::{sync::mpsc, task::JoinSet};

use super::{Refusals, write_all};
use crate::{
    cli::{Outcome, persistently},
    client::api::{Client, Error},
    lines,
    model::JobId,
    place::StateDirectory,
    protocol::{LogLine, Said},
};

/// Lines that may wait to be printed.
const LINES: usize = 64;

/// How lines of one job are told from those of others on a terminal.
const COLOURS: [&str; 6] = ["\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m", "\x1b[31m"];
const FAINT: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Prints what is said in these runs.
pub(super) async fn print(runs: Vec<JobId>, state: StateDirectory, follow: bool) -> Outcome {
    let (sender, mut lines) = mpsc::channel(LINES);
    let mut readers = JoinSet::new();
    let state = Rc::new(state);
    for run in runs {
        readers.spawn_local(read(run, Rc::clone(&state), follow, sender.clone()));
    }
    drop(sender);
    let has_colours = io::stdout().is_terminal();
    while let Some(line) = lines.recv().await {
        write_all(io::stdout().lock(), b"", &to_text(&line, has_colours))?;
    }
    let refusals = Refusals::default();
    while let Some(ended) = readers.join_next().await {
        match ended? {
            Err(Error::Refused { problem, .. }) => refusals.add(problem.error),
            read => read?,
        }
    }
    Ok(refusals.status())
}

/// Of one job, one attempt, and one kind of thing that was said.
type Source = (JobId, u32, std::mem::Discriminant<Said>);

/// How much of each source has been printed.
#[derive(Default)]
struct Seen {
    printed: HashMap<Source, u64>,
    to_skip: HashMap<Source, u64>,
}

impl Seen {
    /// Another gateway tells everything from the beginning.
    fn start_again(&mut self) {
        self.to_skip.clone_from(&self.printed);
    }

    fn is_new(&mut self, line: &LogLine) -> bool {
        let source = (line.job, line.attempt, std::mem::discriminant(&line.said));
        if let Some(left) = self.to_skip.get_mut(&source)
            && *left > 0
        {
            *left -= 1;
            return false;
        }
        *self.printed.entry(source).or_default() += 1;
        true
    }
}

async fn read(
    run: JobId,
    state: Rc<StateDirectory>,
    follow: bool,
    lines: mpsc::Sender<LogLine>,
) -> Result<(), Error> {
    let seen = RefCell::new(Seen::default());
    let connect = || Client::reading(&state);
    persistently(connect, async |client| {
        seen.borrow_mut().start_again();
        let mut answer = client.run_log(run, follow).await?;
        let mut cutter = lines::Lines::with_longest(LONGEST);
        while let Some(piece) = answer.next().await? {
            let mut taken = Vec::new();
            cutter.add(piece.as_ref(), |line| taken.push(serde_json::from_slice(line)));
            // What does not parse is of a newer gateway, and nothing that is printed here.
            for line in taken.into_iter().flatten() {
                let is_new = seen.borrow_mut().is_new(&line);
                if is_new && lines.send(line).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
    .await
}

/// JSON makes six bytes of one at worst, and adds who says it.
const LONGEST: usize = 8 * lines::LONGEST;

/// The line as it is printed.
fn to_text(line: &LogLine, has_colours: bool) -> Vec<u8> {
    let name = match &line.node {
        Some(node) => format!("{node}.{}", line.job),
        None => line.job.to_string(),
    };
    let colour = COLOURS[(line.job.0 % COLOURS.len() as u64) as usize];
    let mut text = if has_colours { format!("{colour}{name}{PLAIN} ") } else { format!("{name} ") };
    let event = match &line.said {
        Said::Stdout { line } | Said::Stderr { line } => {
            let mut bytes = text.into_bytes();
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
            return bytes;
        }
        Said::Started if line.attempt > 1 => format!("[started, attempt {}]", line.attempt),
        Said::Started => "[started]".to_owned(),
        Said::Ended { how } => match how.reason() {
            Some(reason) => format!("[ended: {how}: {reason}]"),
            None => format!("[ended: {how}]"),
        },
        Said::Log { level, message, fields } => {
            let mut event = format!("[{level}] {message}");
            for (field, value) in fields {
                let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                // A string takes all that is written to it.
                let _always_ok = write!(event, " {field}={plain}");
            }
            event
        }
    };
    let (faint, plain) = if has_colours { (FAINT, PLAIN) } else { ("", "") };
    text.extend([faint, &event, plain]);
    text.push('\n');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NodeName, Outcome, Text, Timestamp};

    fn line(job: u64, said: Said) -> LogLine {
        let node = Some(NodeName("h1".to_owned()));
        LogLine { at: Timestamp(0), node, job: JobId(job), attempt: 1, said }
    }

    #[test]
    fn each_line_is_headed_by_node_and_job() {
        let text = |said| String::from_utf8(to_text(&line(17, said), false)).unwrap();
        let output = Said::Stdout { line: Text::from("alpha") };
        assert_eq!(text(output), "h1.17 alpha\n");
        assert_eq!(text(Said::Started), "h1.17 [started]\n");
        let how = Outcome::Exited { exit_code: 3 };
        assert_eq!(text(Said::Ended { how }), "h1.17 [ended: exited(3)]\n");
        let fields = serde_json::from_str(r#"{"left":3,"of":"beads"}"#).unwrap();
        let (level, message) = ("warn".to_owned(), "low".to_owned());
        let log = Said::Log { level, message, fields };
        assert_eq!(text(log), "h1.17 [warn] low left=3 of=beads\n");
    }

    #[test]
    fn lines_survive_json() {
        for said in [
            Said::Started,
            Said::Stderr { line: Text::from(&b"\xff not text"[..]) },
            Said::Ended { how: Outcome::Exited { exit_code: 3 } },
        ] {
            let line = line(3, said);
            let json = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<LogLine>(&json).unwrap(), line, "{json}");
        }
    }

    #[test]
    fn what_a_gateway_tells_again_is_printed_once() {
        let output = |text: &str| line(3, Said::Stdout { line: Text::from(text) });
        let mut seen = Seen::default();
        let started = line(3, Said::Started);
        assert!(seen.is_new(&started) && seen.is_new(&output("a")) && seen.is_new(&output("a")));
        seen.start_again();
        assert!(!seen.is_new(&output("a")) && !seen.is_new(&started) && !seen.is_new(&output("a")));
        assert!(seen.is_new(&output("b")));
        seen.start_again();
        for _ in 0..3 {
            assert!(!seen.is_new(&output("a")));
        }
        assert!(seen.is_new(&output("c")));
    }
}
