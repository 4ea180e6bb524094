//! Answers what `redirector doctor` asks about this computer.
//!
//! ```text
//!   doctor ── /v1/examine ── a line of JSON: Question ──► [`Examiner::serve`]
//!          ◄──────────────── a line of JSON: Ok(…) or Err(why not) ──┘
//! ```
//!
//! One question after the other. Files that were made for a question are removed when the stream
//! ends, however that comes about: whoever asked may be gone.

mod brief;
mod computer;
mod files;

use std::{path::PathBuf, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    task::spawn_blocking,
};

pub(crate) use self::{
    brief::{Ran, setup, version},
    computer::{Computer, OpenFiles, Room},
    files::{Made, read},
};
use crate::{
    engine::ByteStream,
    model::Text,
    place::StateDirectory,
    stage::transfer::{hear, say},
};

/// Where questions are asked.
pub(crate) const EXAMINE: &str = "/v1/examine";

/// What can be asked; with each, what it is answered with if all goes well.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// What time it is: nanoseconds since 1970, a `u64`.
    Time,
    /// What this computer has: a [`Computer`].
    Computer {
        /// The room of its file system is asked for.
        directory: Text,
    },
    /// What is in a small file: a `String`; `None` if there is no such file.
    Read {
        /// The file.
        file: Text,
    },
    /// Make a file that is not there yet, for as long as this stream lasts: `()`.
    Make {
        /// The file.
        file: Text,
        /// What is in it.
        content: String,
    },
    /// How lines fare that prepare this computer for a command: [`Ran`].
    Setup {
        /// The lines, for `/bin/sh`.
        lines: String,
        /// Where they run; where they always can if there is no such directory.
        directory: Text,
        /// `NAME=VALUE` entries of their environment.
        environment: Vec<Text>,
    },
    /// What `PROGRAM --version` says: [`Ran`].
    Version {
        /// Its path.
        program: Text,
        /// `NAME=VALUE` entries of its environment.
        environment: Vec<Text>,
    },
}

/// Answers questions.
#[derive(Clone, Debug)]
pub(crate) struct Examiner {
    /// The agent's own directory.
    state: PathBuf,
}

impl Examiner {
    /// For the agent that has the directory `state`.
    pub(crate) fn new(state: &StateDirectory) -> Self {
        Self { state: state.path().to_owned() }
    }

    /// Serves a stream that a doctor has opened.
    pub(crate) async fn serve(self, stream: ByteStream) {
        let mut stream = BufReader::new(stream);
        let mut made = Vec::new();
        while let Ok(Some(question)) = hear(&mut stream).await {
            if self.answer(question, &mut made, &mut stream).await.is_err() {
                break;
            }
        }
        // Removing them may take as long as their file system likes.
        drop(spawn_blocking(move || drop(made)).await);
        // Fails if nobody is there any more.
        drop(stream.shutdown().await);
    }

    async fn answer(
        &self,
        question: Question,
        made: &mut Vec<Made>,
        stream: &mut BufReader<ByteStream>,
    ) -> std::io::Result<()> {
        match question {
            Question::Time => say(stream, &Ok::<_, String>(now())).await,
            Question::Computer { directory } => {
                let state = self.state.clone();
                let look = move || Ok(Computer::look(&state, directory.as_path()));
                say(stream, &apart(look).await).await
            }
            Question::Read { file } => {
                say(stream, &apart(move || read(file.as_path())).await).await
            }
            Question::Make { file, content } => {
                let make = move || Made::new(file.as_path(), &content);
                let answer = apart(make).await.map(|file| made.push(file));
                say(stream, &answer).await
            }
            Question::Setup { lines, directory, environment } => {
                let ran = setup(&lines, directory.as_path(), &environment).await;
                say(stream, &ran.map_err(|error| error.to_string())).await
            }
            Question::Version { program, environment } => {
                let ran = version(program.as_path(), &environment).await;
                say(stream, &ran.map_err(|error| error.to_string())).await
            }
        }
    }
}

/// Does what may take as long as a file system likes, off the thread that serves everybody.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// This computer's time, in nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::stage::transfer::expect;

    async fn ask<T: DeserializeOwned>(
        stream: &mut BufReader<DuplexStream>,
        question: Question,
    ) -> Result<T, String> {
        say(stream, &question).await.unwrap();
        expect(stream).await.unwrap()
    }

    #[test]
    fn files_are_there_as_long_as_whoever_asked_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("probe");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (own, its) = tokio::io::duplex(1024);
            let examiner = Examiner { state: directory.path().to_owned() };
            let served = tokio::spawn(examiner.serve(Box::new(its)));
            let mut own = BufReader::new(own);
            let name = || Text::from(file.clone());
            let make = || Question::Make { file: name(), content: "x".to_owned() };
            assert_eq!(ask::<()>(&mut own, make()).await, Ok(()));
            assert!(ask::<()>(&mut own, make()).await.is_err(), "it is there already");
            let found: Result<Option<String>, String> =
                ask(&mut own, Question::Read { file: name() }).await;
            assert_eq!(found, Ok(Some("x".to_owned())));
            let time: u64 = ask(&mut own, Question::Time).await.unwrap();
            assert!(time <= now());
            assert!(file.exists());
            drop(own);
            served.await.unwrap();
            assert!(!file.exists(), "nobody is there any more");
        });
    }
}
