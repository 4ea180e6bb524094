//! A dry run: whitelisted commands run as if there were no redirector, and what each would have
//! asked for is noted.
//!
//! ```text
//! redirector run --dry-run ── starts ──► pipeline ──► command ──► redirector exec: one line
//!        ▲                                                             │
//!        └── reads, at the end ── file named by REDIRECTOR_DRY_RUN_LOG ◄┘
//! ```
//!
//! Without the variable, under a bare preload, the line goes to the command's standard error.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::exec::say;
use crate::{
    model::{Kind, Resources, Retries, Rule, Spec, shell_line},
    random,
    units::format_duration,
};

/// Names the file to which commands add what they would have asked for.
pub const LOG_VARIABLE: &str = "REDIRECTOR_DRY_RUN_LOG";

/// What a command would have been as a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The command line, as a shell would read it.
    pub command: String,
    /// What listings would call it.
    pub name: String,
    /// Whether what it starts may become jobs, too.
    pub nested: bool,
    /// What it would hold.
    pub resources: Resources,
    /// The longest that it could run, in milliseconds.
    pub time_limit: Option<u64>,
    /// How often it would be tried again.
    pub retries: Retries,
    /// The whitelist's line; `None` for `redirector exec`.
    pub rule: Option<Rule>,
}

impl Entry {
    /// What a job with this specification would be.
    pub fn of(spec: &Spec) -> Self {
        Self {
            command: shell_line(&spec.argv),
            name: spec.name.clone(),
            nested: spec.kind == Kind::Nested,
            resources: spec.resources.clone(),
            time_limit: spec.time_limit,
            retries: spec.retries,
            rule: spec.rule.clone(),
        }
    }

    /// The rule's place: `FILE:LINE`.
    pub fn place(&self) -> String {
        self.rule.as_ref().map_or_else(
            || "redirector exec".to_owned(),
            |rule| format!("{}:{}", rule.file.to_string_lossy(), rule.line),
        )
    }

    /// `2 cpus, 8G of memory, at most 4h00m, retries node:2,oom:2,exit:2, nested`.
    pub fn asks_for(&self) -> String {
        let time = self
            .time_limit
            .map(|limit| format!("at most {}", format_duration(Duration::from_millis(limit))));
        let retries = (!self.retries.is_none()).then(|| format!("retries {}", self.retries));
        let nested = self.nested.then(|| "nested".to_owned());
        let parts = [Some(self.resources.to_string()), time, retries, nested];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Notes what a job with this specification would be.
pub(super) fn record(spec: &Spec) {
    let entry = Entry::of(spec);
    let Some(log) = env::var_os(LOG_VARIABLE).filter(|path| !path.is_empty()) else {
        let (command, asks_for, place) = (&entry.command, entry.asks_for(), entry.place());
        return say(&format!("'{command}' would be a job with {asks_for} ({place})"));
    };
    let mut line = serde_json::to_vec(&entry).unwrap_or_default();
    line.push(b'\n');
    // In one piece, because other commands write at the same time.
    let written =
        OpenOptions::new().append(true).open(&log).and_then(|mut log| log.write_all(&line));
    if let Err(error) = written {
        say(&format!("cannot note '{}' in {}: {error}", entry.name, log.display()));
    }
}

/// The file in which the commands of one pipeline note what they would have asked for; it goes
/// when this does.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// An empty one, for this user only.
    pub fn create() -> io::Result<Self> {
        let name = format!("redirector-dry-run-{}", random::hex(&random::bytes::<8>()));
        let path = std::path::absolute(env::temp_dir().join(name))?;
        let file =
            OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    /// Where it is, for [`LOG_VARIABLE`].
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// What was noted, in the order in which it was.
    pub fn entries(&mut self) -> io::Result<Vec<Entry>> {
        let mut text = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut text)?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // Somebody may have cleaned up already.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Amount, PoolName};

    fn spec() -> Spec {
        Spec {
            kind: Kind::Nested,
            name: "align".to_owned(),
            argv: vec!["bwa".into(), "mem".into(), "a b".into()],
            resources: Resources::new(Amount::whole(2), 8 << 30)
                .with(PoolName::new("licence").unwrap(), Amount::ONE),
            time_limit: Some(5_400_000),
            retries: Retries { node: 1, oom: 2, exit: 0 },
            rule: Some(Rule { file: "/w".into(), line: 7, pattern: "bwa".into() }),
            ..Spec::default()
        }
    }

    #[test]
    fn an_entry_says_what_a_job_would_ask_for() {
        let entry = Entry::of(&spec());
        assert_eq!(entry.command, "bwa mem 'a b'");
        assert_eq!(entry.place(), "/w:7");
        assert_eq!(
            entry.asks_for(),
            "2 cpus, 8G of memory, 1 licence, at most 1h30m, retries node:1,oom:2,exit:0, nested"
        );
        let plain =
            Entry::of(&Spec { resources: Resources::new(Amount::ONE, 0), ..Spec::default() });
        assert_eq!((plain.asks_for(), plain.place()), ("1 cpu".into(), "redirector exec".into()));
    }

    #[test]
    fn what_is_noted_is_read_back_and_the_file_goes() {
        let mut log = Log::create().unwrap();
        let path = log.path().to_owned();
        let entry = Entry::of(&spec());
        for _ in 0..2 {
            let mut line = serde_json::to_vec(&entry).unwrap();
            line.push(b'\n');
            OpenOptions::new().append(true).open(&path).unwrap().write_all(&line).unwrap();
        }
        assert_eq!(log.entries().unwrap(), [entry.clone(), entry]);
        drop(log);
        assert!(!path.exists());
    }
}
