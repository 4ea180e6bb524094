//! `redirector nodes add`

use std::collections::BTreeMap;

use crate::{
    cli::{Outcome, SUCCESS, placement::parse_tag, with_gateway},
    config::{Host, ListedHost, parse_bytes, parse_cpus, parse_host_list},
    model::{Amount, Text},
};

/// Add hosts that jobs may run on, until the gateway ends or reads its configuration again
///
/// A host that is there already gets the settings given here instead of its own.
#[derive(clap::Args)]
#[command(after_help = "\
redirector nodes add node7                       as many cpus and as much memory as it has
redirector nodes add 4/node7 ann@node8:2222      4 cpus of node7; node8 by another name
redirector nodes add '8/node[01-12]' --tag big   twelve hosts alike
For good, write them into redirector.toml: '[ssh]', 'hosts = [\"8/node[01-12]\"]'.")]
pub(super) struct Arguments {
    /// [CPUS/][USER@]NAME[:PORT]; several with commas, and ranges such as node[01-12]
    #[arg(required = true, value_parser = parse_specification, value_name = "HOST")]
    hosts: Vec<Specification>,
    /// Cpus for jobs, where HOST does not say [default: those it has]
    #[arg(long, value_parser = parse_cpus, value_name = "COUNT")]
    cpus: Option<Amount>,
    /// Memory for jobs, such as 32G [default: what it has]
    #[arg(long, value_parser = parse_bytes, value_name = "AMOUNT")]
    mem: Option<u64>,
    /// Graphics processors for jobs [default: those it has]
    #[arg(long, value_name = "COUNT")]
    gpus: Option<u32>,
    /// Most jobs at a time [default: as many as fit]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    max_per_node: Option<u32>,
    /// What rules may ask for, such as big,fast
    #[arg(long, value_parser = parse_tag, value_delimiter = ',', value_name = "TAG")]
    tag: Vec<String>,
    /// Lines for /bin/sh that prepare it for a command, such as 'module load bwa'
    #[arg(long, value_name = "LINES")]
    setup: Option<String>,
    /// A directory here and what it is called there; may be given several times
    #[arg(long, value_parser = parse_pair, value_name = "HERE=THERE")]
    path_map: Vec<(Text, Text)>,
    /// A variable that commands have there; may be given several times
    #[arg(long, value_parser = parse_pair, value_name = "NAME=VALUE")]
    env: Vec<(Text, Text)>,
    /// Copy inputs there and outputs back: it shares no file system with this computer
    #[arg(long)]
    stage: bool,
}

/// The hosts of one argument.
#[derive(Clone, Debug)]
struct Specification(Vec<ListedHost>);

fn parse_specification(text: &str) -> Result<Specification, String> {
    parse_host_list(text).map(Specification)
}

fn parse_pair(text: &str) -> Result<(Text, Text), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("expected two words with '=' between them, found '{text}'")),
    }
}

impl Arguments {
    fn hosts(&self) -> anyhow::Result<Vec<Host>> {
        let mut hosts = BTreeMap::new();
        for listed in self.hosts.iter().flat_map(|specification| &specification.0) {
            let mut host = Host {
                cpus: self.cpus,
                mem: self.mem,
                gpus: self.gpus,
                max_per_node: self.max_per_node,
                tags: self.tag.clone(),
                setup: self.setup.clone(),
                path_map: self.path_map.iter().cloned().collect(),
                env: self.env.iter().cloned().map(|(name, value)| (name, Some(value))).collect(),
                stage: self.stage,
                ..Host::named(listed.name.clone())
            };
            listed.set(&mut host);
            host.check().map_err(|error| anyhow::anyhow!("{error}; nothing was added"))?;
            if hosts.insert(host.name.clone(), host).is_some() {
                anyhow::bail!("'{}' is there twice: keep one; nothing was added", listed.name);
            }
        }
        Ok(hosts.into_values().collect())
    }
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let hosts = arguments.hosts()?;
    with_gateway(async |client| {
        for host in &hosts {
            client.add_node(host).await?;
        }
        Ok(())
    })?;
    Ok(SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn read(words: &[&str]) -> Result<Vec<Host>, String> {
        let line = Line::try_parse_from([&["add"], words].concat());
        let hosts = line.map_err(|error| error.to_string())?.arguments.hosts();
        hosts.map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_for_all_hosts_and_a_hosts_own_cpus_go_over_them() {
        let hosts = read(&[
            "4/a,b",
            "ann@c[1-2]:22",
            "--cpus=2",
            "--tag=x,y",
            "--path-map=/data=/mnt",
            "--env=A=b=c",
            "--max-per-node=3",
        ])
        .unwrap();
        let names: Vec<_> = hosts.iter().map(|host| host.name.0.as_str()).collect();
        assert_eq!(names, ["a", "b", "c1", "c2"]);
        assert_eq!(hosts[0].cpus, Some(Amount::whole(4)));
        let expected = Host {
            address: "ann@c1:22".to_owned(),
            cpus: Some(Amount::whole(2)),
            max_per_node: Some(3),
            tags: vec!["x".to_owned(), "y".to_owned()],
            path_map: [("/data".into(), "/mnt".into())].into(),
            env: [("A".into(), Some("b=c".into()))].into(),
            ..Host::named(hosts[2].name.clone())
        };
        assert_eq!(hosts[2], expected);
        for wrong in [
            &["a", "a"][..],
            &[],
            &["a b"],
            &["a", "--max-per-node=0"],
            &["a", "--path-map=data=/x"],
            &["a", "--env=A"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
