//! Where the jobs of a submission may run.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{map::file, scatter};
use crate::{
    client::submit::Wishes,
    config::{check_tag, parse_node_name},
    mapfile::near::nearest,
    model::{EngineOptions, NodeName, PoolList, Text},
};

/// Options that go over what the whitelist's rule says of the command.
#[derive(clap::Args)]
pub(super) struct Placement {
    /// The node that they run on ('redirector nodes') [default: the rule's, or any that can]
    #[arg(long, value_parser = parse_node_name, value_name = "NODE")]
    host: Option<NodeName>,
    /// Run in allocations of this pool, or on one of its nodes; of several, such as long,short,local,
    /// in the first that takes them, where 'local' is the gateway's own node [default: the rule's]
    #[arg(long, value_parser = parse_pools, value_name = "POOL[,POOL]", conflicts_with = "host")]
    pool: Option<PoolList>,
    /// What the pool's batch engine is asked for, again for each; as attributes of rules have it,
    /// such as partition=long or account=lofar [default: the rule's, then the pool's]
    #[arg(long = "engine-option", value_parser = parse_option, value_name = "NAME=VALUE")]
    engine_options: Vec<(whitelist::Key, String)>,
    /// Run only on nodes that have these tags, such as big,fast [default: the rule's]
    #[arg(long, value_parser = parse_tag, value_delimiter = ',', value_name = "TAG")]
    tag: Vec<String>,
    /// Rather run on these nodes than on others, because they have the data
    #[arg(long, value_parser = parse_node_name, value_delimiter = ',', value_name = "NODE")]
    near: Vec<NodeName>,
    /// Rather run it on the nodes that have the files which the command names, by this mapfile
    #[arg(long, value_name = "MAP", conflicts_with_all = ["near", "array", "each"])]
    near_map: Option<PathBuf>,
    /// Copy their inputs to the node and their outputs back; '--stage=off' if the rule does
    #[arg(
        long, num_args = 0..=1, require_equals = true, default_missing_value = "on",
        value_parser = parse_switch, value_name = "on|off"
    )]
    stage: Option<bool>,
}

impl Placement {
    /// `wishes` for `command`, and these.
    pub(super) fn set(self, wishes: Wishes, command: &[OsString]) -> anyhow::Result<Wishes> {
        let Self { host, pool, engine_options, tag: tags, near, near_map, stage } = self;
        let mut options = EngineOptions::default();
        for (key, value) in engine_options {
            options.put(key, value.as_bytes());
        }
        let near = match near_map {
            Some(map) => by_mapfile(&map, command, wishes.directory.as_deref())?,
            None => near,
        };
        Ok(Wishes { host, pool, options, tags, near, stage, ..wishes })
    }
}

/// The nodes that have what `command` works on in `directory`, or else in the current one.
fn by_mapfile(
    map: &Path,
    command: &[OsString],
    directory: Option<&Path>,
) -> anyhow::Result<Vec<NodeName>> {
    let entries = file::entries(map)?;
    let current = std::env::current_dir().context("the working directory is gone");
    let directory = directory.map_or(current, |directory| Ok(directory.to_owned()))?;
    let argv: Vec<_> = command.iter().map(|word| Text::from(OsStr::as_bytes(word))).collect();
    let nodes = scatter::nodes()?;
    let hosts = nearest(&entries, &argv, &directory);
    Ok(hosts.iter().filter_map(|host| nodes.find(host).cloned()).collect())
}

/// A tag of a node.
pub(super) fn parse_tag(text: &str) -> Result<String, String> {
    check_tag(text).map(|()| text.to_owned())
}

fn parse_pools(text: &str) -> Result<PoolList, String> {
    text.split(',').try_for_each(check_tag)?;
    let pools = PoolList::from(text);
    if pools.has_repeats() {
        return Err("expected each pool only once".to_owned());
    }
    Ok(pools)
}

fn parse_option(text: &str) -> Result<(whitelist::Key, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("expected NAME=VALUE, such as partition=long")?;
    let sound = |key: &whitelist::Key| whitelist::is_engine_option(*key, value.as_bytes());
    let key = whitelist::Key::find(name.as_bytes());
    match key.and_then(|key| Some((key, sound(&key)?))) {
        Some((key, true)) => Ok((key, value.to_owned())),
        Some((key, false)) => Err(format!("expected {} found '{value}'", key.expected_value())),
        None => {
            let all = whitelist::Key::ALL.iter().filter(|key| sound(key).is_some());
            let all: Vec<_> = all.map(|key| key.as_str()).collect();
            Err(format!("expected one of {}, found '{name}'", all.join(", ")))
        }
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("expected on or off, found '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        placement: Placement,
        #[arg(long)]
        array: bool,
        #[arg(long)]
        each: bool,
        #[arg(last = true)]
        command: Vec<String>,
    }

    fn read(words: &[&str]) -> Result<Wishes, String> {
        let line = Line::try_parse_from([&["submit"], words].concat());
        let line = line.map_err(|error| error.to_string())?;
        line.placement.set(Wishes::default(), &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let wishes = read(&["--host", "a", "--tag=x,y", "--near", "b,c", "--stage"]).unwrap();
        let node = |name: &str| NodeName(name.to_owned());
        assert_eq!(wishes.host, Some(node("a")));
        assert_eq!(wishes.tags, ["x", "y"]);
        assert_eq!(wishes.near, [node("b"), node("c")]);
        assert_eq!(wishes.stage, Some(true));
        assert_eq!(read(&["--stage=off"]).unwrap().stage, Some(false));
        let pools = |text: &str| read(&["--pool", text]).unwrap().pool;
        assert_eq!(pools("long"), Some(PoolList::from("long")));
        assert_eq!(pools("long,short,local"), Some(PoolList::from("long,short,local")));
        assert!(read(&["--pool=long", "--host=a"]).is_err());
        assert_eq!(read(&["--", "--stage"]).unwrap().stage, None);
        let wrong =
            ["--host=a b", "--tag=", "--near=a/b", "--stage=maybe", "--pool=a,", "--pool=a,a"];
        for wrong in wrong {
            assert!(read(&[wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn options_of_engines_are_those_of_rules() {
        let words = ["--engine-option=queue=long", "--engine-option", "arguments=--nice=5 --hold"];
        let options = read(&words).unwrap().options;
        assert_eq!(options.to_string(), "partition=long arguments='--nice=5 --hold'");
        for (wrong, part) in [
            ("partition", "NAME=VALUE"),
            ("cpus=4", "expected one of partition, queue, account"),
            ("gres=a:b:c:d", "such as nvme:1"),
        ] {
            let said = read(&["--engine-option", wrong]).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }
}
