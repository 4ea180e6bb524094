//! `redirector map make`

use std::{ffi::OsString, path::PathBuf};

use anyhow::bail;

use super::file::{self, Written};
use crate::{
    cli::{Outcome, SUCCESS},
    config::{Config, parse_host_names},
    mapfile::{
        Entry,
        make::{self, SubCluster},
    },
    model::{NodeName, Text},
};

/// Make a mapfile of files, which are given to hosts in turns
///
/// Each file goes to the next host. With --subcluster, the second component of a file's path
/// (/net/SUBCLUSTER/…) says which hosts take turns for it; with --host-in-path, the third one
/// (/net/SUBCLUSTER/HOST/…) is the host that has the file, under the path behind it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The hosts, such as lce001..009,head [default: those of the configuration]
    #[arg(long, value_parser = parse_host_names, value_name = "HOSTS")]
    hosts: Option<Hosts>,
    /// Hosts of a sub-cluster, such as sub1=lse001..003. May be given several times
    #[arg(long, value_parser = sub_cluster, value_name = "NAME=HOSTS", conflicts_with = "hosts")]
    subcluster: Vec<SubCluster>,
    /// The files' paths say on which host they are
    #[arg(long, conflicts_with_all = ["hosts", "subcluster"])]
    host_in_path: bool,
    /// Also the files that stand in this file, one a line; '-' is standard input
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    #[command(flatten)]
    written: Written,
    /// The files
    #[arg(value_name = "FILE")]
    files: Vec<OsString>,
}

/// One value of an option, for clap.
type Hosts = Vec<NodeName>;

fn sub_cluster(text: &str) -> Result<SubCluster, String> {
    let (name, hosts) = text.split_once('=').ok_or_else(|| {
        format!("expected a name and hosts such as sub1=lse001..003, found '{text}'")
    })?;
    Ok(SubCluster { name: name.to_owned(), hosts: parse_host_names(hosts)? })
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let mut files: Vec<_> = arguments.files.iter().cloned().map(Text::from).collect();
    if let Some(list) = &arguments.files_from {
        let (lines, _) = file::bytes(list)?;
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        files.extend(lines.map(Text::from));
    }
    if files.is_empty() {
        bail!("there are no files to make a mapfile of; name some, or use --files-from");
    }
    arguments.written.write(&entries(arguments, files)?)?;
    Ok(SUCCESS)
}

fn entries(arguments: &Arguments, files: Vec<Text>) -> anyhow::Result<Vec<Entry>> {
    if arguments.host_in_path {
        return Ok(make::by_storage_host(&files)?);
    }
    if !arguments.subcluster.is_empty() {
        return Ok(make::by_sub_cluster(&arguments.subcluster, files)?);
    }
    let hosts = configured_unless(arguments.hosts.as_deref())?;
    Ok(make::round_robin(&hosts, files)?)
}

/// The hosts that are `given`, or else those of the configuration.
pub(super) fn configured_unless(given: Option<&[NodeName]>) -> anyhow::Result<Vec<NodeName>> {
    let hosts = match given {
        Some(hosts) => hosts.to_vec(),
        None => Config::load()?.hosts.into_iter().map(|host| host.name).collect(),
    };
    if hosts.is_empty() {
        bail!("no hosts are configured; name them: --hosts lce001..009");
    }
    Ok(hosts)
}
