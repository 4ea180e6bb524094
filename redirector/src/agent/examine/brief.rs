//! Runs what must not take long, and tells how it ended.
//!
//! Nothing of it is left behind: it is a process group of its own, which is killed when its first
//! process has ended or the time is up.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
    sync::oneshot,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::{agent::shepherd::setup, model::Text};

/// How long `PROGRAM --version` may take.
const VERSION: Duration = Duration::from_secs(2);

/// How long a setup may take: environments of conda on a slow file system take tens of seconds.
const SETUP: Duration = Duration::from_mins(1);

/// How long the outputs of what has ended are read at most.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is kept of each output, in bytes.
const KEPT: usize = 1024;

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ran {
    /// How, in words; `None`: it was killed because the time was up.
    pub status: Option<String>,
    /// Whether with exit status 0.
    pub is_success: bool,
    /// How long it took.
    pub milliseconds: u64,
    /// The beginning of its standard output.
    pub output: String,
    /// The end of its standard error.
    pub complaint: String,
}

/// Which end of an output is kept.
#[derive(Clone, Copy)]
enum Keep {
    First,
    Last,
}

/// Runs the `lines` of a host's setup as they run before each command.
///
/// # Errors
/// If the shell cannot be started.
pub(crate) async fn setup(lines: &str, directory: &Path, environment: &[Text]) -> io::Result<Ran> {
    let mut command = Command::new(setup::SHELL);
    let mut script = setup::as_function(lines.as_bytes());
    script.extend_from_slice(b"redirector_setup");
    command.arg("-c").arg(OsStr::from_bytes(&script));
    let directory = if directory.is_dir() { directory } else { Path::new("/") };
    run(command.current_dir(directory), environment, SETUP).await
}

/// Runs `PROGRAM --version`, where it finds no files to do anything with.
///
/// # Errors
/// If it cannot be started.
pub(crate) async fn version(program: &Path, environment: &[Text]) -> io::Result<Ran> {
    run(Command::new(program).arg("--version").current_dir("/"), environment, VERSION).await
}

async fn run(command: &mut Command, environment: &[Text], limit: Duration) -> io::Result<Ran> {
    command.env_clear().envs(environment.iter().filter_map(variable));
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn()?;
    let group = Group(Pid::from_raw(child.id().unwrap_or_default() as i32));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let (tell, told) = oneshot::channel();
    let waiting = async {
        let is_in_time = timeout(limit, group.first_ended()).await.is_ok();
        let took = start.elapsed();
        group.kill();
        // Fails if all has been read.
        let _told = tell.send(());
        (is_in_time, took)
    };
    let reading = async {
        let all = async {
            tokio::join!(
                gather(stdout, Keep::First, &mut output),
                gather(stderr, Keep::Last, &mut complaint),
            )
        };
        // What has left the group may keep the outputs open for ever.
        let for_ever = async {
            drop(told.await);
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            _ = all => {}
            () = for_ever => {}
        }
    };
    let ((is_in_time, took), ()) = tokio::join!(waiting, reading);
    let status = child.wait().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran {
        status: is_in_time.then(|| status.to_string()),
        is_success: is_in_time && status.success(),
        milliseconds: took.as_millis() as u64,
        output: text(&output),
        complaint: text(&complaint),
    })
}

/// The name and value of an entry that names a variable.
fn variable(entry: &Text) -> Option<(&OsStr, &OsStr)> {
    let bytes = entry.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
}

/// The processes of a command that is not waited for yet, so that its number is no other's.
#[derive(Clone, Copy)]
struct Group(Pid);

impl Group {
    /// Returns when its first process has ended, and leaves it to be waited for.
    async fn first_ended(self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        // It ends at the latest when it is killed. An error means that there is no such child.
        drop(spawn_blocking(move || waitid(Id::Pid(self.0), flags)).await);
    }

    fn kill(self) {
        // It may have ended just now.
        let _killed = killpg(self.0, Signal::SIGKILL);
    }
}

/// Reads all of `stream`, and keeps some of it.
async fn gather(stream: Option<impl AsyncRead + Unpin>, keep: Keep, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk).await {
        match keep {
            Keep::First => {
                let room = KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(&chunk[..count.min(room)]);
            }
            Keep::Last => {
                kept.extend_from_slice(&chunk[..count]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(work)
    }

    fn of_setup(lines: &str, environment: &[Text]) -> Ran {
        block_on(setup(lines, Path::new("/tmp"), environment)).unwrap()
    }

    #[test]
    fn a_setup_runs_as_it_does_before_a_command() {
        let ran = of_setup("pwd; echo $A; cat; return 0; false", &["A=b c".into(), "=d".into()]);
        assert_eq!((ran.output.as_str(), ran.is_success), ("/tmp\nb c\n", true), "{ran:?}");
        for (lines, status) in [("false", "exit status: 1"), ("exit 4", "exit status: 4")] {
            let ran = of_setup(&format!("echo no such module >&2; {lines}"), &[]);
            assert_eq!((ran.status.as_deref(), ran.is_success), (Some(status), false));
            assert_eq!(ran.complaint, "no such module\n");
        }
    }

    #[test]
    fn the_beginning_of_an_output_and_the_end_of_a_complaint_are_kept() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo $i; echo $i >&2; i=$((i + 1)); done";
        let ran = of_setup(script, &[]);
        assert!(ran.output.starts_with("0\n1\n") && ran.output.len() == KEPT, "{ran:?}");
        assert!(ran.complaint.ends_with("\n2999\n") && ran.complaint.len() == KEPT, "{ran:?}");
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_has_started() {
        let directory = tempfile::tempdir().unwrap();
        let (program, pid) = (directory.path().join("slow"), directory.path().join("pid"));
        let script = format!("#!/bin/sh\nsleep 600 & echo $! >{}; wait\n", pid.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let (ran, is_gone) = block_on(async {
            let path = [Text::from("PATH=/usr/bin:/bin")];
            let ran = version(&program, &path).await.unwrap();
            let pid = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
            (ran, timeout(Duration::from_secs(10), crate::agent::process_ended(pid)).await)
        });
        assert_eq!((ran.status, ran.is_success), (None, false));
        assert!(ran.milliseconds >= VERSION.as_millis() as u64, "{}", ran.milliseconds);
        assert_eq!(is_gone, Ok(true));
    }

    #[test]
    fn who_leaves_the_group_does_not_hold_it_up() {
        let start = Instant::now();
        let ran = of_setup("echo x; setsid sleep 5 &", &["PATH=/usr/bin:/bin".into()]);
        assert_eq!((ran.output.as_str(), ran.is_success), ("x\n", true));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
