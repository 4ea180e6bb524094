//! `redirector map from-hosts`
//!
//! The looking is done by a job on each host, which runs `find` there: whatever reaches the host
//! for jobs reaches it for this.

use std::{ffi::OsString, path::PathBuf};

use anyhow::{Context, anyhow};

use super::{file::Written, make::configured_unless};
use crate::{
    cli::{FAILURE, Outcome, SUCCESS, run::invocation, scatter, with_gateway},
    client::{
        api::{Client, Error, Wanted},
        exec::say,
        scatter::{Listener, Verdict, Ways},
        submit::{self, Wishes},
    },
    config::parse_host_names,
    mapfile::Entry,
    model::{Amount, JobId, Kind, NodeName, Text},
    place::Stream,
    protocol::{DetachedSubmission, Submitted},
};

/// Make a mapfile of the files that hosts have in directories
///
/// Runs 'find' as a job on each host. Nothing is written if a host cannot be looked at, unless
/// --keep-going is set.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The hosts, such as lce001..009,head [default: those of the configuration]
    #[arg(long, value_parser = parse_host_names, value_name = "HOSTS")]
    hosts: Option<Hosts>,
    /// Only files whose names match, such as '*.MS' (directories count as files)
    #[arg(long, value_name = "PATTERN")]
    name: Option<OsString>,
    /// No files whose names match
    #[arg(long, value_name = "PATTERN")]
    exclude: Option<OsString>,
    /// How far below the directories to look
    #[arg(long, default_value_t = 1, value_name = "LEVELS",
          value_parser = clap::value_parser!(u32).range(1..))]
    depth: u32,
    /// Leave out hosts that cannot be looked at
    #[arg(long)]
    keep_going: bool,
    #[command(flatten)]
    written: Written,
    /// The directories, as they are called on the hosts
    #[arg(required = true, value_name = "DIRECTORY")]
    directories: Vec<PathBuf>,
}

/// One value of an option, for clap.
type Hosts = Vec<NodeName>;

/// Looking takes hardly any processor time, and need not wait for one that is free.
const LITTLE: Amount = Amount(100);

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let wanted = configured_unless(arguments.hosts.as_deref())?;
    let nodes = scatter::nodes()?;
    let node = |host: &NodeName| {
        let known = || nodes.all.iter().map(|node| &*node.0).collect::<Vec<_>>().join(", ");
        nodes.find(host).cloned().ok_or_else(|| {
            anyhow!("host '{host}' is no node here; nodes are {}; nothing was looked at", known())
        })
    };
    let nodes: Vec<_> = wanted.iter().map(node).collect::<Result<_, _>>()?;
    let command = find(arguments)?;
    let submissions: Vec<_> =
        nodes.into_iter().map(|node| look(&command, node)).collect::<Result<_, _>>()?;
    let (verdicts, signal) = scatter::jobs::run(&submissions, Ways::default(), &Silent)?;
    if let Some(signal) = signal {
        return Ok(128 + signal);
    }
    let mut entries = Vec::new();
    let mut failed = 0;
    for verdict in &verdicts {
        let host = &wanted[verdict.index];
        if verdict.is_success() {
            let found = output(verdict.job, Stream::Stdout)?;
            let mut files: Vec<_> = found.split(|byte| *byte == 0).map(Text::from).collect();
            // Behind the last zero byte there is nothing.
            files.pop();
            files.sort_unstable();
            entries.extend(files.into_iter().map(|file| Entry::new(host.clone(), file)));
        } else {
            failed += 1;
            let complaint = output(verdict.job, Stream::Stderr).unwrap_or_default();
            let complaint = String::from_utf8_lossy(&complaint);
            let reason = verdict.outcome.reason().unwrap_or_else(|| complaint.trim().to_owned());
            say(&format!("cannot look on host {host} ({}): {reason}", verdict.outcome));
        }
    }
    if failed > 0 && !arguments.keep_going {
        say("no mapfile was written; with --keep-going it has what the other hosts have");
        return Ok(FAILURE);
    }
    arguments.written.write(&entries)?;
    Ok(SUCCESS)
}

/// The command that prints the files, a zero byte behind each.
fn find(arguments: &Arguments) -> anyhow::Result<Vec<OsString>> {
    let mut words: Vec<OsString> = vec!["find".into()];
    for directory in &arguments.directories {
        let absolute = std::path::absolute(directory).context("a directory has no name")?;
        words.push(absolute.into());
    }
    let depth = arguments.depth.to_string();
    words.extend(["-mindepth", "1", "-maxdepth", &*depth].map(OsString::from));
    if let Some(name) = &arguments.name {
        words.extend(["-name".into(), name.clone()]);
    }
    if let Some(name) = &arguments.exclude {
        words.extend(["!".into(), "-name".into(), name.clone()]);
    }
    words.push("-print0".into());
    Ok(words)
}

/// The job that looks on one host.
fn look(
    command: &[OsString],
    node: NodeName,
) -> anyhow::Result<(DetachedSubmission, Vec<NodeName>)> {
    let wishes = Wishes {
        name: Some(format!("find on {node}")),
        cpus: Some(LITTLE),
        // The one directory that all hosts have.
        directory: Some("/".into()),
        stage: Some(false),
        ..Wishes::default()
    };
    let mut submission = submit::prepare(invocation(command.to_vec())?, wishes)?.submission;
    submission.spec.kind = Kind::Command;
    submission.spec.placement.host = Some(node.clone());
    submission.spec.placement.fails_without_node = true;
    Ok((submission, vec![node]))
}

/// What the job has written.
fn output(job: JobId, stream: Stream) -> anyhow::Result<Vec<u8>> {
    with_gateway(async |client| read(&client, job, stream).await)
}

async fn read(client: &Client, job: JobId, stream: Stream) -> Result<Vec<u8>, Error> {
    let wanted = Wanted { stream, attempt: None, follow: false, offset: 0 };
    let mut output = client.output(job, &wanted).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = output.next().await? {
        bytes.extend_from_slice(piece.as_ref());
    }
    Ok(bytes)
}

/// Nobody looks at these jobs one by one.
struct Silent;

impl Listener for Silent {
    fn submitted(&self, _jobs: &[Submitted]) {}

    fn ended(&self, _verdict: &Verdict) {}
}
