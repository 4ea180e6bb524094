//! The programs of an engine: run without a terminal, in English, and never for long.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{AccessFlags, Pid, access},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::Refusal;
use crate::{model::Text, preload};

/// How long a program may take. Slurm's own give up after 9 to 10 s when its controller is down.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Of the variables that a job of Slurm has, those that say where Slurm is. The others belong to
/// an allocation that this gateway may happen to run in, and would be taken for options.
const KEPT_OF_SLURM: [&str; 4] = ["SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT"];

/// How to run the programs of one engine.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    variables: BTreeMap<Text, Option<Text>>,
    /// What to do when a program is missing.
    advice: &'static str,
}

/// What a program said.
#[derive(Debug)]
pub(super) struct Said {
    program: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// Its complaint, or whatever else it said.
    pub(super) fn complaint(&self) -> String {
        let text = [&self.stderr, &self.stdout].into_iter().find(|text| !text.trim().is_empty());
        text.map_or_else(
            || format!("'{}' said nothing ({})", self.program, self.status),
            |text| text.trim().to_owned(),
        )
    }
}

/// A program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It cannot be started.
    #[error("cannot run '{program}': {cause}; {advice}")]
    NotRun { program: String, cause: io::Error, advice: &'static str },
    /// It did not end in time.
    #[error("'{program}' did not answer within {} s{said}", LIMIT.as_secs())]
    Slow { program: String, said: String },
    /// It said that it would try again later, which others know better when to do.
    #[error("{0}")]
    Retries(String),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        let said = trouble.to_string();
        match trouble {
            Trouble::NotRun { cause, .. } => match cause.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Self::Permanent(said),
                _ => Self::Temporary(said),
            },
            Trouble::Slow { .. } => Self::Unsure(said),
            Trouble::Retries(_) => Self::Temporary(said),
        }
    }
}

impl Tools {
    pub(super) fn new(variables: &BTreeMap<Text, Option<Text>>, advice: &'static str) -> Self {
        Self { variables: variables.clone(), advice }
    }

    /// Runs a program with nothing on its standard input.
    pub(super) async fn run<Word: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = Word>,
    ) -> Result<Said, Trouble> {
        self.run_with(program, arguments, "", &[]).await
    }

    /// Runs a program with `input`; it is ended as soon as it says one of `retries`.
    pub(super) async fn run_with<Word: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = Word>,
        input: &str,
        retries: &[&str],
    ) -> Result<Said, Trouble> {
        let mut command = self.command(program, arguments);
        command.kill_on_drop(true);
        command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|cause| Trouble::NotRun {
            program: program.to_owned(),
            cause,
            advice: self.advice,
        })?;
        let group = Group(child.id());
        let mut stderr = String::new();
        let ended = timeout(LIMIT, collect(child, input, retries, &mut stderr)).await;
        match ended {
            Ok(Ok(Collected::Said(status, stdout))) => {
                group.has_ended();
                Ok(Said { program: program.to_owned(), status, stdout, stderr })
            }
            Ok(Ok(Collected::Retries)) => Err(Trouble::Retries(stderr.trim().to_owned())),
            Ok(Err(cause)) => {
                Err(Trouble::NotRun { program: program.to_owned(), cause, advice: self.advice })
            }
            Err(_) => {
                let said = stderr.trim();
                let said =
                    if said.is_empty() { String::new() } else { format!("; it says: {said}") };
                Err(Trouble::Slow { program: program.to_owned(), said })
            }
        }
    }

    /// Whether there is such a program, in the PATH that it would be looked for in.
    pub(super) fn has(&self, program: &str) -> bool {
        if program.contains('/') {
            return can_be_run(Path::new(program));
        }
        let path = match self.variables.get(&Text::from("PATH")) {
            Some(path) => path.as_ref().map(|path| path.as_path().into()),
            None => env::var_os("PATH"),
        };
        // Where execvp(3) looks without PATH.
        let path: OsString = path.unwrap_or_else(|| "/bin:/usr/bin".into());
        !program.is_empty() && env::split_paths(&path).any(|place| can_be_run(&place.join(program)))
    }

    /// A program with these variables, in a process group of its own: some are scripts that start
    /// others, and all of it is to be ended at once.
    pub(super) fn command<Word: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = Word>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).process_group(0);
        self.surround(&mut command);
        command
    }

    fn surround(&self, command: &mut Command) {
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            let is_ours = text.starts_with("REDIRECTOR_");
            let is_of_an_allocation =
                text.starts_with("SLURM_") && !KEPT_OF_SLURM.contains(&text.as_ref());
            if is_ours || is_of_an_allocation {
                command.env_remove(&name);
            }
        }
        if let Some(list) = env::var_os("LD_PRELOAD")
            && let Some(rest) = preload::without_shim(list.as_encoded_bytes())
        {
            command.env("LD_PRELOAD", Text(rest).as_path());
        }
        // In the C locale, so that what they say is what is looked for.
        command.env("LC_ALL", "C").env_remove("LANGUAGE");
        for (name, value) in &self.variables {
            let name = name.as_path();
            match value {
                Some(value) => command.env(name, value.as_path()),
                None => command.env_remove(name),
            };
        }
    }
}

fn can_be_run(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// The process group of a program, which ends with this.
struct Group(Option<u32>);

impl Group {
    /// It has ended by itself, and its number may be another's.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may be gone; then there is nothing to do.
            killpg(Pid::from_raw(leader as i32), Signal::SIGKILL).ok();
        }
    }
}

enum Collected {
    Said(ExitStatus, String),
    Retries,
}

async fn collect(
    mut child: Child,
    input: &str,
    retries: &[&str],
    complaint: &mut String,
) -> io::Result<Collected> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // Who does not read it says why, and that is what is shown.
            stdin.write_all(input.as_bytes()).await.ok();
        }
    };
    let read = async {
        let mut bytes = Vec::new();
        if let Some(mut stdout) = stdout {
            stdout.read_to_end(&mut bytes).await?;
        }
        Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let listen = async {
        let Some(stderr) = stderr else { return Ok(false) };
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while stderr.read_until(b'\n', &mut line).await? > 0 {
            let text = String::from_utf8_lossy(&line);
            complaint.push_str(&text);
            if retries.iter().any(|retry| text.contains(retry)) {
                return Ok(true);
            }
            line.clear();
        }
        Ok::<_, io::Error>(false)
    };
    let talk = async { tokio::join!(write, read) };
    tokio::pin!(talk, listen);
    let stdout = tokio::select! {
        ((), stdout) = &mut talk => {
            if listen.await? {
                return Ok(Collected::Retries);
            }
            stdout?
        }
        retries = &mut listen => {
            if retries? {
                return Ok(Collected::Retries);
            }
            talk.await.1?
        }
    };
    Ok(Collected::Said(child.wait().await?, stdout))
}

/// Words as a program takes them.
pub(super) fn words<const COUNT: usize>(words: [&str; COUNT]) -> Vec<OsString> {
    words.map(OsString::from).into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// Puts a script in the place of an engine's program. Another program writes it: a file that this
    /// one has open cannot be run while a thread starts something.
    pub(in crate::engine::batch) fn pretend(directory: &Path, program: &str, script: &str) {
        let file = directory.join(program);
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$2\" && chmod 700 \"$2\"";
        let mut shell = std::process::Command::new("sh");
        let status = shell.args(["-c", write, "sh", script]).arg(&file).status().unwrap();
        assert!(status.success() && fs::exists(&file).unwrap(), "{program}");
    }

    /// The variables by which programs in `directory` go before those of this computer.
    pub(in crate::engine::batch) fn before_others(
        directory: &Path,
    ) -> BTreeMap<Text, Option<Text>> {
        let path = format!("{}:/usr/bin:/bin", directory.display());
        BTreeMap::from([("PATH".into(), Some(path.as_str().into()))])
    }

    fn tools(variables: &[(&str, Option<&str>)]) -> Tools {
        let variables =
            variables.iter().map(|(name, value)| ((*name).into(), value.map(Text::from)));
        Tools::new(&variables.collect(), "install it")
    }

    async fn shell(tools: &Tools, script: &str, input: &str) -> Result<Said, Trouble> {
        tools.run_with("sh", ["-c", script], input, &["and retrying"]).await
    }

    #[tokio::test]
    async fn a_program_has_its_input_and_its_variables() {
        let tools = tools(&[("A", Some("b")), ("HOME", None)]);
        let said = shell(&tools, "echo $A ${HOME-none} $LC_ALL; cat; echo no >&2; exit 3", "in");
        let said = said.await.unwrap();
        assert_eq!((&*said.stdout, &*said.stderr), ("b none C\nin", "no\n"));
        assert_eq!(said.status.code(), Some(3));
        assert_eq!(said.complaint(), "no");
        let silent = shell(&tools, "exit 3", "").await.unwrap();
        assert_eq!(silent.complaint(), "'sh' said nothing (exit status: 3)");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let trouble = tools(&[]).run("no-such-program", [""; 0]).await.unwrap_err();
        let refusal = Refusal::from(trouble);
        let Refusal::Permanent(said) = refusal else { panic!("{refusal:?}") };
        assert!(said.starts_with("cannot run 'no-such-program'"), "{said}");
        assert!(said.ends_with("install it"), "{said}");
    }

    #[test]
    fn programs_are_looked_for_in_the_path_of_the_pool() {
        let directory = tempfile::tempdir().unwrap();
        pretend(directory.path(), "mine", "true");
        let path = directory.path().to_str().unwrap();
        let own = tools(&[("PATH", Some(path))]);
        assert!(own.has("mine") && !own.has("sh") && own.has("/bin/sh"));
        assert!(!own.has("") && !own.has(&format!("{path}/other")) && !own.has(path));
        assert!(tools(&[]).has("sh") && !tools(&[]).has("mine"));
        assert!(tools(&[("PATH", None)]).has("sh"));
    }

    #[tokio::test]
    async fn what_it_cannot_read_or_ends_without_reading_does_no_harm() {
        let said = shell(&tools(&[]), "exec <&-; echo done", &"x".repeat(1 << 20)).await.unwrap();
        assert_eq!(said.stdout, "done\n");
    }

    #[tokio::test]
    async fn a_program_that_would_wait_and_try_again_is_ended() {
        // For ever, as far as this test is concerned; its output is closed by its end.
        let script = "echo full, sleeping and retrying >&2; sleep 1000";
        let trouble = shell(&tools(&[]), script, "").await.unwrap_err();
        let refusal = Refusal::from(trouble);
        assert_eq!(refusal, Refusal::Temporary("full, sleeping and retrying".to_owned()));
    }
}
