//! `[[hosts]]`: other computers that jobs may run on.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::host_list::parse_node_name;
use crate::model::{Amount, NodeName, PoolName, Text};

/// A computer that is reached by ssh. In JSON, which is the body of `POST /v1/nodes`, only
/// `name` and `address` have to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// What it is called as a node.
    pub name: NodeName,
    /// What `ssh` is given: `[user@]name[:port]`, or a name of its own configuration.
    pub address: String,
    /// Cpus for jobs; `None`: as many as its agent finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Amount>,
    /// Memory for jobs in bytes; `None`: as much as its agent finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mem: Option<u64>,
    /// Graphics processors; `None`: those that its agent finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Whatever else jobs use up, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<PoolName, Amount>,
    /// Most jobs at a time, of all pipelines together; `None`: as many as fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_node: Option<u32>,
    /// Lines for `/bin/sh` that prepare it for a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<String>,
    /// Directories here and what they are called there; the longest that fits counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub path_map: BTreeMap<Text, Text>,
    /// Variables that are set there (`Some`) or taken away (`None`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<Text, Option<Text>>,
    /// What rules may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether inputs are copied there and outputs back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stage: bool,
}

impl Host {
    /// A host of which only the name is known.
    pub fn named(name: NodeName) -> Self {
        Self {
            address: name.0.clone(),
            name,
            cpus: None,
            mem: None,
            gpus: None,
            pools: BTreeMap::new(),
            max_per_node: None,
            setup: None,
            path_map: BTreeMap::new(),
            env: BTreeMap::new(),
            tags: Vec::new(),
            stage: false,
        }
    }

    /// What cannot be right about it, for the person: it comes from a file, a command line or
    /// a request.
    pub fn check(&self) -> Result<(), String> {
        parse_node_name(&self.name.0)?;
        check_address(&self.address)?;
        for (here, there) in &self.path_map {
            check_directory(here)?;
            check_directory(there)?;
        }
        if self.env.keys().any(|name| name.0.is_empty() || name.0.contains(&b'=')) {
            return Err("the name of a variable in 'env' is not empty and has no '='".to_owned());
        }
        if self.max_per_node == Some(0) {
            return Err("with 'max_per_node = 0' nothing ever runs there: leave the host out, or \
                        use 'redirector nodes drain'"
                .to_owned());
        }
        if self.cpus == Some(Amount(0)) {
            return Err("with 'cpus = 0' nothing ever runs there: leave the host out".to_owned());
        }
        self.tags.iter().try_for_each(|tag| check_tag(tag))
    }
}

/// What becomes a word of `ssh`'s command line must not be taken for an option.
fn check_address(address: &str) -> Result<(), String> {
    let is_strange = |c: char| c.is_whitespace() || c.is_control();
    if address.is_empty() || address.starts_with('-') || address.contains(is_strange) {
        return Err(format!(
            "'{address}' is no address for ssh: expected [user@]name[:port], such as ann@node7 or \
             node7.example.org:2222"
        ));
    }
    let (user_and_name, port) = match address.split_once(':') {
        // More colons than one are those of an IPv6 address.
        Some((front, port)) if !port.contains(':') => (front, Some(port)),
        _ => (address, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |number| number == 0)) {
        return Err(format!(
            "'{address}': expected a port from 1 to 65535 after ':', as in node7:2222"
        ));
    }
    let name = user_and_name.rsplit('@').next().unwrap_or_default();
    if name.is_empty() || name.starts_with('-') || user_and_name.starts_with('@') {
        return Err(format!("'{address}': expected a name, as in ann@node7:2222"));
    }
    Ok(())
}

pub(super) fn check_directory(directory: &Text) -> Result<(), String> {
    let bytes = directory.as_bytes();
    let is_dotted = bytes.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..");
    if !bytes.starts_with(b"/") || is_dotted {
        return Err(format!(
            "'path_map' has whole paths of directories without '.' and '..', such as \"/data\" = \
             \"/mnt/data\"; found '{}'",
            directory.to_string_lossy()
        ));
    }
    Ok(())
}

/// Whether a whitelist's `tags=a,b` can name it.
pub fn check_tag(tag: &str) -> Result<(), String> {
    let is_separator = |c: char| c == ',' || c.is_whitespace() || c.is_control();
    if tag.is_empty() || tag.contains(is_separator) {
        return Err(format!("'{tag}' is no tag: write a word without blanks and commas"));
    }
    Ok(())
}

/// How hosts are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// The program and its first arguments.
    pub command: Vec<String>,
    /// After this long without a connection a host is given up, and so are its jobs; its agent
    /// has ended them by then.
    pub lost_after: Duration,
    /// Most bytes of jobs' inputs that each host keeps for later jobs; `None`: 50 GiB, or half
    /// its disk if that is less.
    pub cache_size: Option<u64>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            command: vec!["ssh".to_owned()],
            lost_after: Duration::from_mins(5),
            cache_size: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host::named(NodeName("node7".to_owned()))
    }

    #[test]
    fn a_host_survives_json_and_two_fields_are_enough() {
        let mut full = host();
        full.cpus = Some(Amount(15_000));
        full.pools.insert(PoolName::new("licence").unwrap(), Amount::ONE);
        full.path_map.insert("/data".into(), "/mnt".into());
        full.env.insert("A".into(), None);
        full.tags = vec!["big".to_owned()];
        for host in [host(), full] {
            let json = serde_json::to_string(&host).unwrap();
            assert_eq!(serde_json::from_str::<Host>(&json).unwrap(), host);
        }
        let short = serde_json::to_string(&host()).unwrap();
        assert_eq!(short, r#"{"name":"node7","address":"node7"}"#);
        assert!(serde_json::from_str::<Host>(r#"{"name":"a","address":"a","cpu":1}"#).is_err());
    }

    #[test]
    fn what_ssh_would_take_for_an_option_is_no_address() {
        for good in ["node7", "ann@node7", "ann@node7:2222", "fe80::1", "10.0.0.5:22"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "ann@-x",
            "@node7",
            "ann@",
            "a b",
            "node7:",
            "node7:0",
            "a:99999",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_right_is_found() {
        let wrong: [fn(&mut Host); 7] = [
            |host| host.name = NodeName("a/b".to_owned()),
            |host| host.max_per_node = Some(0),
            |host| host.cpus = Some(Amount(0)),
            |host| host.tags = vec!["a,b".to_owned()],
            |host| drop(host.path_map.insert("data".into(), "/data".into())),
            |host| drop(host.path_map.insert("/data".into(), "/data/../x".into())),
            |host| drop(host.env.insert("A=B".into(), None)),
        ];
        assert_eq!(host().check(), Ok(()));
        for (index, change) in wrong.into_iter().enumerate() {
            let mut host = host();
            change(&mut host);
            assert!(host.check().is_err(), "{index}");
        }
    }
}
