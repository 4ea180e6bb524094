//! Hosts in a line, as `ssh.hosts`, `$REDIRECTOR_HOSTS` and `redirector nodes add` have them; their
//! names alone, as `redirector map` has them.
//!
//! ```text
//! 4/node7                    jobs on node7 get 4 cpus
//! ann@node8:2222             what ssh is given; the node's name is node8
//! 8/node[01-12,15],big       node01 … node12 and node15 with 8 cpus each, and big
//! lce001..009                lce001 … lce009, as LOFAR's parsets have it
//! ```

use std::collections::BTreeSet;

use super::Host;
use crate::{
    model::{Amount, NodeName},
    units::parse_cpus,
};

/// Most hosts of one range: more than a cluster has, and less than a typing error makes.
const MOST_OF_A_RANGE: u64 = 10_000;

/// One host of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedHost {
    /// What it is called as a node.
    pub name: NodeName,
    /// What `ssh` is given, where that is more than the name.
    pub address: Option<String>,
    /// Cpus for jobs, where they are given.
    pub cpus: Option<Amount>,
}

impl ListedHost {
    /// Sets what is given here.
    pub fn set(&self, host: &mut Host) {
        host.cpus = self.cpus.or(host.cpus);
        if let Some(address) = &self.address {
            host.address.clone_from(address);
        }
    }
}

impl From<ListedHost> for Host {
    fn from(listed: ListedHost) -> Self {
        let mut host = Self::named(listed.name.clone());
        listed.set(&mut host);
        host
    }
}

/// Reads `4/node7,ann@node8:2222,node[01-12]`.
pub fn parse_host_list(text: &str) -> Result<Vec<ListedHost>, String> {
    let mut hosts = Vec::new();
    for item in split_outside_brackets(text) {
        let item = item.trim();
        let (cpus, addresses) = match item.split_once('/') {
            Some((cpus, addresses)) => {
                let cpus = parse_cpus(cpus).map_err(|error| format!("'{item}': {error}"))?;
                (Some(cpus), addresses)
            }
            None => (None, item),
        };
        if addresses == ":" {
            return Err("':' is this computer, which is a node already: leave it out".to_owned());
        }
        for address in expand(addresses)? {
            hosts.push(listed(&address, cpus).map_err(|error| {
                format!("{error}; a host is written as [cpus/][user@]name[:port], found '{item}'")
            })?);
        }
    }
    let mut names = BTreeSet::new();
    match hosts.iter().find(|host| !names.insert(&host.name)) {
        Some(host) => Err(format!("'{}' is there twice: keep one", host.name)),
        None => Ok(hosts),
    }
}

fn listed(address: &str, cpus: Option<Amount>) -> Result<ListedHost, String> {
    let without_user = address.rsplit('@').next().unwrap_or_default();
    let name = without_user.split(':').next().unwrap_or_default();
    let name = parse_node_name(name)?;
    let mut host = Host::named(name.clone());
    address.clone_into(&mut host.address);
    host.check()?;
    let address = (address != name.0).then(|| address.to_owned());
    Ok(ListedHost { name, address, cpus })
}

/// Reads names with commas between them: `head,node[01-12],lce001..009`.
///
/// # Errors
/// A sentence for the person.
pub fn parse_host_names(text: &str) -> Result<Vec<NodeName>, String> {
    let names = split_outside_brackets(text).map(|item| parse_node_names(item.trim()));
    Ok(names.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Reads names with ranges: `node7`, `node[01-12]`, `lce001..009`.
pub(super) fn parse_node_names(text: &str) -> Result<Vec<NodeName>, String> {
    expand(text)?.iter().map(|name| parse_node_name(name)).collect()
}

/// The name of a node: what computers may be called, and nothing that a path or a list takes
/// apart.
pub fn parse_node_name(name: &str) -> Result<NodeName, String> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_first = |first: char| first.is_ascii_alphanumeric();
    if name.len() > 253 || !name.starts_with(is_first) || !name.bytes().all(is_inner) {
        return Err(format!(
            "'{name}' cannot be the name of a node: write letters, digits, '-', '.' and '_', a \
             letter or digit first"
        ));
    }
    Ok(NodeName(name.to_owned()))
}

fn split_outside_brackets(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// What `node[1-3,7]` stands for; brackets may come several times. Without any, `node1..3`.
fn expand(text: &str) -> Result<Vec<String>, String> {
    let Some((front, rest)) = text.split_once('[') else { return expand_dots(text) };
    let (ranges, back) =
        rest.split_once(']').ok_or_else(|| format!("expected ']' to end the range in '{text}'"))?;
    let mut numbers = Vec::new();
    for range in ranges.split(',') {
        numbers.extend(parse_range(range).map_err(|error| format!("'{text}': {error}"))?);
    }
    let backs = expand(back)?;
    if numbers.len().saturating_mul(backs.len()) as u64 > MOST_OF_A_RANGE {
        return Err(too_many(text));
    }
    let with_backs = |number: &String| {
        backs.iter().map(|back| format!("{front}{number}{back}")).collect::<Vec<_>>()
    };
    Ok(numbers.iter().flat_map(with_backs).collect())
}

/// What `lce001..009` stands for; `lce001..lce009` is meant as well.
fn expand_dots(text: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = text.split_once("..") else { return Ok(vec![text.to_owned()]) };
    let stem = first.trim_end_matches(|character: char| character.is_ascii_digit());
    let last = last.strip_prefix(stem).unwrap_or(last);
    let numbers = count_up(&first[stem.len()..], last)
        .map_err(|error| format!("'{text}', of hosts such as lce001..009: {error}"))?;
    Ok(numbers.iter().map(|number| format!("{stem}{number}")).collect())
}

fn too_many(range: &str) -> String {
    format!("'{range}' are more than {MOST_OF_A_RANGE} hosts")
}

/// `7`, or `01-12`.
fn parse_range(range: &str) -> Result<Vec<String>, String> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    count_up(first, last)
}

/// All numbers from `first` to `last`, with as many digits as the first one if that begins with 0.
fn count_up(first: &str, last: &str) -> Result<Vec<String>, String> {
    let range = if first == last { first.to_owned() } else { format!("{first}-{last}") };
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number)
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Err(format!("expected numbers such as 01-12 or 7, found '{range}'"));
    };
    if to < from {
        return Err(format!("the range {range} ends before it begins"));
    }
    if to - from >= MOST_OF_A_RANGE {
        return Err(too_many(&range));
    }
    let width = if first.starts_with('0') { first.len() } else { 0 };
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Result<Vec<String>, String> {
        let one = |host: &ListedHost| {
            let cpus = host.cpus.map(|cpus| format!("{cpus}/")).unwrap_or_default();
            let address = host.address.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
            format!("{cpus}{}{address}", host.name)
        };
        parse_host_list(text).map(|hosts| hosts.iter().map(one).collect())
    }

    #[test]
    fn hosts_are_read_as_people_write_them() {
        for (text, hosts) in [
            ("4/node7", &["4/node7"][..]),
            ("node7.example.org", &["node7.example.org"]),
            ("0.5/ann@node8:2222", &["0.5/node8 at ann@node8:2222"]),
            ("a, 2/b", &["a", "2/b"]),
            ("2/lce008..011,n8..n9", &["2/lce008", "2/lce009", "2/lce010", "2/lce011", "n8", "n9"]),
            ("2/n[08-10,12],big", &["2/n08", "2/n09", "2/n10", "2/n12", "big"]),
            (
                "ann@r[1-2]n[1-2]:22",
                &[
                    "r1n1 at ann@r1n1:22",
                    "r1n2 at ann@r1n2:22",
                    "r2n1 at ann@r2n1:22",
                    "r2n2 at ann@r2n2:22",
                ],
            ),
        ] {
            assert_eq!(written(text).unwrap(), hosts, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_host_is_said() {
        for (text, part) in [
            ("", "''"),
            ("a,,b", "''"),
            ("many/node7", "number of cpus"),
            ("0/node7", "number of cpus"),
            ("4/:", "this computer"),
            ("-oProxyCommand=x", "'-oProxyCommand=x'"),
            ("-l@node7", "no address"),
            ("node7:99999", "port"),
            ("a/b/c", "number of cpus"),
            ("node[1-3", "']'"),
            ("node[3-1]", "ends before"),
            ("node[]", "found ''"),
            ("node[+1]", "found '+1'"),
            ("n8..lce", "found '8-lce'"),
            ("n..3", "found '-3'"),
            ("n3..1", "ends before"),
            ("n1..+3", "found '1-+3'"),
            ("n0..18446744073709551615", "more than 10000"),
            ("node[1-10001]", "more than 10000"),
            ("a[1-200]b[1-200]", "more than 10000"),
            ("a,a", "twice"),
        ] {
            let error = written(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn names_alone_are_names_with_ranges() {
        let names = |text: &str| {
            let names = parse_host_names(text)?;
            Ok::<_, String>(names.iter().map(|name| &*name.0).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("a, b").unwrap(), "a b");
        assert_eq!(names("lce001..003,n[1,3],a").unwrap(), "lce001 lce002 lce003 n1 n3 a");
        for wrong in ["", "a,,b", "4/a", "ann@a", "a b"] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[a-c0-9,/@:.\\[\\]-]{0,24}") {
            if let Ok(hosts) = parse_host_list(&text) {
                for host in hosts {
                    prop_assert_eq!(Host::from(host).check(), Ok(()));
                }
            }
        }
    }
}
