//! `[ssh]` and `[[hosts]]` as they are written, and how several files make one list of hosts.
//!
//! ```text
//! redirector.toml          [ssh] hosts = ["4/node[1-2]"]   [[hosts]] name = "big"
//! redirector.HOST.toml                                     [[hosts]] name = "big"  cpus = 8
//! REDIRECTOR_HOSTS         "2/node1"
//!   ─► node1 (cpus 2, from the variable), node2 (cpus 4), big (cpus 8, from HOST's own file)
//! ```
//!
//! Within one file each host is there once. A host that an earlier file has too is changed field
//! by field; of the tables `pools`, `path_map` and `env`, entry by entry.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{
    Host, Ssh,
    host_list::{ListedHost, parse_host_list, parse_node_names},
    value::{WrittenBytes, WrittenCpus, WrittenDuration, parse_pool_name},
    written_pools::CollectedPools,
};
use crate::model::{NodeName, Text};

/// `[ssh]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SshSection {
    command: Option<WrittenCommand>,
    lost_after: Option<Spanned<WrittenDuration>>,
    cache_size: Option<WrittenBytes>,
    hosts: Vec<Spanned<String>>,
}

/// A command as a list, or as words with blanks between them.
#[derive(Debug, Deserialize)]
#[serde(try_from = "OneOrMany")]
struct WrittenCommand(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a command such as \"ssh -4\" or [\"ssh\", \"-4\"]")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<OneOrMany> for WrittenCommand {
    type Error = &'static str;

    fn try_from(written: OneOrMany) -> Result<Self, Self::Error> {
        let words: Vec<_> = match written {
            OneOrMany::One(line) => line.split_whitespace().map(str::to_owned).collect(),
            OneOrMany::Many(words) => words,
        };
        if words.first().is_none_or(String::is_empty) {
            return Err("expected a command such as \"ssh\"");
        }
        Ok(Self(words))
    }
}

/// One of `[[hosts]]`; a range in its name makes several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostSection {
    name: Spanned<String>,
    enabled: Option<bool>,
    address: Option<String>,
    cpus: Option<WrittenCpus>,
    mem: Option<WrittenBytes>,
    gpus: Option<u32>,
    #[serde(default)]
    pools: BTreeMap<String, WrittenCpus>,
    max_per_node: Option<u32>,
    setup: Option<String>,
    #[serde(default)]
    path_map: BTreeMap<String, String>,
    #[serde(default)]
    env: BTreeMap<String, WrittenVariable>,
    tags: Option<Vec<String>>,
    stage: Option<bool>,
}

/// A variable's value, or `false` to take it away.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a variable's value, or false to take the variable away")]
pub(super) enum WrittenVariable {
    Text(String),
    Number(i64),
    Switch(bool),
}

impl WrittenVariable {
    pub(super) fn value(&self) -> Result<Option<Text>, String> {
        match self {
            Self::Text(text) => Ok(Some(Text::from(&**text))),
            Self::Number(number) => Ok(Some(Text::from(&*number.to_string()))),
            Self::Switch(false) => Ok(None),
            Self::Switch(true) => Err("expected a value, or false to take it away; found true; \
                                       write \"true\" if that is its value"
                .to_owned()),
        }
    }
}

impl HostSection {
    /// Sets what is written here; the names of the fields that were.
    fn set(&self, host: &mut Host) -> Result<Vec<String>, String> {
        let mut fields = Vec::new();
        if let Some(address) = &self.address {
            host.address = address.replace("{}", &host.name.0);
            fields.push("address".to_owned());
        }
        let mut note = |is_set: bool, field: &str| {
            if is_set {
                fields.push(field.to_owned());
            }
        };
        note(self.cpus.is_some(), "cpus");
        host.cpus = self.cpus.as_ref().map(|cpus| cpus.0).or(host.cpus);
        note(self.mem.is_some(), "mem");
        host.mem = self.mem.as_ref().map(|mem| mem.0).or(host.mem);
        note(self.gpus.is_some(), "gpus");
        host.gpus = self.gpus.or(host.gpus);
        for (name, amount) in &self.pools {
            note(true, &format!("pools.{name}"));
            host.pools.insert(parse_pool_name(name)?, amount.0);
        }
        note(self.max_per_node.is_some(), "max_per_node");
        host.max_per_node = self.max_per_node.or(host.max_per_node);
        note(self.setup.is_some(), "setup");
        host.setup = self.setup.clone().or(host.setup.take());
        for (here, there) in &self.path_map {
            note(true, &format!("path_map.{here}"));
            host.path_map.insert(Text::from(&**here), Text::from(&**there));
        }
        for (name, value) in &self.env {
            note(true, &format!("env.{name}"));
            let value = value.value().map_err(|error| format!("env.{name}: {error}"))?;
            host.env.insert(Text::from(&**name), value);
        }
        if let Some(tags) = &self.tags {
            note(true, "tags");
            host.tags.clone_from(tags);
        }
        note(self.stage.is_some(), "stage");
        host.stage = self.stage.unwrap_or(host.stage);
        Ok(fields)
    }
}

/// What is known of a host so far.
#[derive(Debug)]
struct Entry {
    host: Host,
    enabled: bool,
    /// The file or variable that named it last.
    named_by: String,
}

/// Hosts and how they are reached, as one file after the other is read.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub ssh: Ssh,
    /// Where what is not a default comes from: `hosts.node7.cpus` from which file or variable.
    pub origins: BTreeMap<String, String>,
    pub pools: CollectedPools,
    entries: Vec<Entry>,
    /// Each host's place among the entries.
    places: BTreeMap<NodeName, usize>,
}

impl Collected {
    /// Takes what the file `origin` says. `text` is that file, to tell the line of what is wrong.
    pub(super) fn read(
        &mut self,
        ssh: SshSection,
        hosts: &[HostSection],
        origin: &str,
        text: &str,
    ) -> Result<(), String> {
        let line = |at: usize| text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
        if let Some(command) = ssh.command {
            self.ssh.command = command.0;
            self.note("ssh.command", origin);
        }
        if let Some(lost_after) = ssh.lost_after {
            let at = line(lost_after.span().start);
            self.ssh.lost_after = lost_after.into_inner().0;
            if self.ssh.lost_after.is_zero() {
                return Err(format!("line {at}: with 'lost_after = 0' every host is lost at once"));
            }
            self.note("ssh.lost_after", origin);
        }
        if let Some(cache_size) = ssh.cache_size {
            self.ssh.cache_size = Some(cache_size.0);
            self.note("ssh.cache_size", origin);
        }
        let mut lines = BTreeMap::new();
        let mut seen = |name: &NodeName, line: usize| match lines.insert(name.clone(), line) {
            None => Ok(()),
            Some(before) => Err(format!(
                "line {line}: the host '{name}' is in line {before} already: keep one of them"
            )),
        };
        for list in &ssh.hosts {
            let line = line(list.span().start);
            let listed =
                parse_host_list(list.get_ref()).map_err(|error| format!("line {line}: {error}"))?;
            for host in listed {
                seen(&host.name, line)?;
                self.list(&host, origin);
            }
        }
        for section in hosts {
            let line = line(section.name.span().start);
            let text = section.name.get_ref();
            let names = parse_node_names(text).map_err(|error| format!("line {line}: {error}"))?;
            for name in names {
                seen(&name, line)?;
                self.set(section, &name, origin)
                    .map_err(|error| format!("line {line}: host '{text}': {error}"))?;
            }
        }
        Ok(())
    }

    /// Takes the hosts of a variable.
    pub(super) fn list_all(&mut self, hosts: &[ListedHost], origin: &str) {
        for host in hosts {
            self.list(host, origin);
        }
    }

    fn list(&mut self, listed: &ListedHost, origin: &str) {
        listed.set(&mut self.entry(&listed.name, origin).host);
        let name = &listed.name;
        if listed.address.is_some() {
            self.note(&format!("hosts.{name}.address"), origin);
        }
        if listed.cpus.is_some() {
            self.note(&format!("hosts.{name}.cpus"), origin);
        }
    }

    fn set(&mut self, section: &HostSection, name: &NodeName, origin: &str) -> Result<(), String> {
        let entry = self.entry(name, origin);
        entry.enabled = section.enabled.unwrap_or(entry.enabled);
        let fields = section.set(&mut entry.host)?;
        entry.host.check()?;
        for field in fields {
            self.note(&format!("hosts.{name}.{field}"), origin);
        }
        Ok(())
    }

    fn entry(&mut self, name: &NodeName, origin: &str) -> &mut Entry {
        let place = self.places.get(name).copied().unwrap_or_else(|| {
            let named_by = origin.to_owned();
            let host = Host::named(name.clone());
            self.note(&format!("hosts.{name}.address"), origin);
            self.places.insert(name.clone(), self.entries.len());
            self.entries.push(Entry { host, enabled: true, named_by });
            self.entries.len() - 1
        });
        &mut self.entries[place]
    }

    fn note(&mut self, setting: &str, origin: &str) {
        self.origins.insert(setting.to_owned(), origin.to_owned());
    }

    /// All hosts that are to be used, on the computer that is called `own_name`; else the file
    /// or variable that lists that one itself.
    pub(super) fn finish(&mut self, own_name: &str) -> Result<Vec<Host>, String> {
        let used = std::mem::take(&mut self.entries).into_iter().filter(|entry| entry.enabled);
        let checked = used.map(|entry| {
            if entry.host.name.0.eq_ignore_ascii_case(own_name) {
                return Err(entry.named_by);
            }
            Ok(entry.host)
        });
        checked.collect()
    }
}
