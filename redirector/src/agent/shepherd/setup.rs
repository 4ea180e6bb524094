//! Lines for the shell that prepare the node for a command (`module load …`, conda).
//!
//! The command is run by the shell that has run them, in its place:
//!
//! ```text
//!   /bin/sh -c '…' PROGRAM ARGUMENT…
//!       the lines, as a function: they do not see the command's arguments
//!          stdin: /dev/null       the command's is not theirs to read
//!          output: a file here    nothing comes between what the command writes
//!       a word that says that they went well
//!       exec PROGRAM ARGUMENT…
//! ```
//!
//! The word tells a setup that failed from a command that did.

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{FromRawFd, OwnedFd, RawFd},
        unix::fs::FileExt,
    },
};

use crate::{
    agent::{above, protocol::Assignment},
    model::{Outcome, Text, file_name},
    random,
};

/// The shell.
pub(in crate::agent) const SHELL: &str = "/bin/sh";

/// Bytes of what the lines have written that a person is shown.
const SHOWN: usize = 1024;

/// The setup of one attempt.
pub(super) struct Setup {
    /// Gets what the lines write, and the word.
    report: File,
    /// The descriptor that the shell knows it by.
    number: RawFd,
    word: String,
}

impl Setup {
    /// For an attempt whose command has the descriptors `used`.
    ///
    /// # Errors
    /// If there can be no file for what it writes, or the command has every descriptor that a
    /// shell can name by one digit.
    pub(super) fn new(used: &[RawFd]) -> io::Result<Self> {
        let number = (3..10).rev().find(|number| !used.contains(number)).ok_or_else(|| {
            io::Error::other("the command has all descriptors that a shell can name")
        })?;
        let last = used.iter().copied().fold(number, RawFd::max);
        // SAFETY: the name is a C string; a result that is not negative is a new descriptor.
        let report = unsafe {
            match libc::memfd_create(c"setup".as_ptr(), libc::MFD_CLOEXEC) {
                -1 => return Err(io::Error::last_os_error()),
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        let report = File::from(above(report, last)?);
        Ok(Self { report, number, word: random::hex(&random::bytes::<16>()) })
    }

    /// The descriptor that the shell needs beside the command's.
    pub(super) fn descriptor(&self) -> (RawFd, &File) {
        (self.number, &self.report)
    }

    /// The shell's arguments.
    pub(super) fn arguments(&self, assignment: &Assignment) -> Vec<Text> {
        let lines = assignment.setup.as_ref().map_or(&b""[..], Text::as_bytes);
        let (number, word) = (self.number, &self.word);
        let name = assignment.argv.first();
        let is_renamed = name.is_some_and(|name| {
            file_name(name.as_bytes()) != file_name(assignment.program.as_bytes())
        });
        let mut script = as_function(lines);
        script.extend_from_slice(
            format!(
                "redirector_setup </dev/null >&{number} 2>&{number} || exit\n\
                 echo {word} >&{number}\nexec {number}>&-\n"
            )
            .as_bytes(),
        );
        if is_renamed {
            // Not every shell can give a command another name than its program's.
            script.extend_from_slice(
                b"redirector_name=$1\nshift\nif (exec -a sh /bin/sh -c :) 2>/dev/null; then\n\
                  exec -a \"$redirector_name\" \"$0\" \"$@\"\nfi\n",
            );
        }
        script.extend_from_slice(b"exec \"$0\" \"$@\"\n");
        let own = ["sh".into(), "-c".into(), Text(script), assignment.program.clone()];
        let rest = assignment.argv.iter().skip(usize::from(!is_renamed)).cloned();
        own.into_iter().chain(rest).collect()
    }

    /// Why the command was not run although the shell has ended; `None` if it was.
    pub(super) fn failure(&self, outcome: &Outcome) -> Option<String> {
        let mut report = vec![0; self.report.metadata().map_or(0, |it| it.len() as usize)];
        let read = self.report.read_exact_at(&mut report, 0);
        let word = self.word.as_bytes();
        if read.is_err() || report.windows(word.len()).any(|bytes| bytes == word) {
            return None;
        }
        let tail = String::from_utf8_lossy(&report[report.len().saturating_sub(SHOWN)..]);
        let tail = match tail.trim() {
            "" => "it wrote nothing",
            written => written,
        };
        Some(format!("the setup of its node failed ({outcome}): {tail}"))
    }
}

/// The beginning of a script for the shell, in which `redirector_setup` is to run `lines`.
pub(in crate::agent) fn as_function(lines: &[u8]) -> Vec<u8> {
    [&b"redirector_setup() {\n:\n"[..], lines, b"\n}\n"].concat()
}

/// The shell's path.
pub(super) fn shell() -> CString {
    CString::new(SHELL).expect("it has no zero byte")
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        os::fd::AsRawFd,
        path::Path,
        process::{Command, Output, Stdio},
    };

    use super::*;

    /// What a command is to have written, and why it was not run, if it was not.
    fn run(shell: &str, setup: &str, program: &str, argv: &[&str]) -> (Output, Option<String>) {
        let assignment = Assignment {
            program: program.into(),
            argv: argv.iter().map(|argument| Text::from(*argument)).collect(),
            setup: Some(setup.into()),
            ..Assignment::default()
        };
        let setup = Setup::new(&[0, 1, 2]).unwrap();
        let (number, report) = setup.descriptor();
        let path = format!("/proc/{}/fd/{}", std::process::id(), report.as_raw_fd());
        let arguments = setup.arguments(&assignment);
        // In place of a shepherd, another shell gives it the descriptor.
        let mut child = Command::new(SHELL)
            .args(["-c", &format!("exec \"$@\" {number}>>\"$0\""), &path, shell])
            .args(arguments[1..].iter().map(Text::as_path))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdin.take().unwrap().write_all(b"input\n"));
        let output = child.wait_with_output().unwrap();
        let exit_code = output.status.code().unwrap();
        (output, setup.failure(&Outcome::Exited { exit_code }))
    }

    fn shells() -> impl Iterator<Item = &'static str> {
        [SHELL, "/bin/bash"].into_iter().filter(|shell| Path::new(shell).exists())
    }

    #[test]
    fn the_command_finds_what_the_setup_has_made_and_nothing_else_of_it() {
        for shell in shells() {
            let setup = "echo noise $#; echo more >&2; cat\nexport MADE=\"a b\"; set -- x";
            let script = "echo \"$MADE\" \"$@\"; cat; [ -e /proc/$$/fd/9 ] || echo closed; exit 3";
            let argv = ["sh", "-c", script, "zero", "o'ne", "", "t w\no"];
            let (output, failure) = run(shell, setup, "/bin/sh", &argv);
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text, "a b o'ne  t w\no\ninput\nclosed\n", "{shell}");
            assert_eq!((output.status.code(), failure), (Some(3), None));
            assert!(output.stderr.is_empty());
        }
    }

    #[test]
    fn a_setup_that_fails_is_told_from_a_command_that_does() {
        for shell in shells() {
            for (setup, status) in
                [("echo no such module >&2; false", 1), ("echo no such module; exit 4", 4)]
            {
                let (output, failure) = run(shell, setup, "/bin/echo", &["echo", "ran"]);
                assert!(output.stdout.is_empty());
                let expected =
                    format!("the setup of its node failed (exited({status})): no such module");
                assert_eq!(failure, Some(expected), "{shell}");
            }
            let (_, failure) = run(shell, "if", "/bin/echo", &["echo"]);
            assert!(failure.is_some(), "a syntax error");
            let (output, failure) = run(shell, "true", "/does/not/exist", &["exist"]);
            assert_eq!((output.status.code(), failure), (Some(127), None));
        }
    }

    #[test]
    fn a_command_with_another_name_has_it_where_the_shell_can_give_it() {
        let script = "tr '\\0' ' ' </proc/$$/cmdline; exit 0";
        for shell in shells() {
            let (output, failure) = run(shell, ":", "/bin/sh", &["-other", "-c", script]);
            let text = String::from_utf8(output.stdout).unwrap();
            let name = if shell.ends_with("bash") { "-other" } else { "/bin/sh" };
            assert_eq!((text, failure), (format!("{name} -c {script} "), None), "{shell}");
        }
    }
}
