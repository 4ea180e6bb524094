//! `redirector map group`, `validate` and `align`: mapfiles from mapfiles, and what is wrong.

use std::{num::NonZeroUsize, path::PathBuf};

use anyhow::bail;
use serde::Serialize;

use super::file::{self, Target, Written};
use crate::{
    cli::{FAILURE, Outcome, SUCCESS, output},
    client::scatter::Nodes,
    config::Config,
    mapfile::{self, Entry, Form, group, relate},
    model::NodeName,
    place::host_name,
};

/// Gather files of the same host into entries of several files
#[derive(clap::Args)]
pub(super) struct GroupArguments {
    /// The mapfile
    map: PathBuf,
    /// At most so many files to an entry
    #[arg(long, value_name = "COUNT", required_unless_present = "by_host")]
    size: Option<NonZeroUsize>,
    /// All files of a host in one entry
    #[arg(long, conflicts_with = "size")]
    by_host: bool,
    #[command(flatten)]
    written: Written,
}

pub(super) fn group(arguments: &GroupArguments) -> Outcome {
    let entries = file::entries(&arguments.map)?;
    let most = arguments.size.unwrap_or(NonZeroUsize::MAX);
    arguments.written.write(&group::group(&entries, most))?;
    Ok(SUCCESS)
}

/// Check mapfiles, and that those of one pipeline belong together
///
/// Reports files that a host has twice, files that are missing on this host, hosts that are not
/// configured, and, of several mapfiles, lengths and hosts that differ from the first one's.
#[derive(clap::Args)]
pub(super) struct ValidateArguments {
    /// The mapfiles
    #[arg(required = true, value_name = "MAP")]
    maps: Vec<PathBuf>,
    /// A JSON array of what is wrong
    #[arg(long)]
    json: bool,
}

/// Something that is wrong with a mapfile.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Complaint {
    map: String,
    /// Which entry, from 1, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<usize>,
    problem: String,
}

pub(super) fn validate(arguments: &ValidateArguments) -> Outcome {
    let maps = read_all(&arguments.maps)?;
    let nodes = configured()?;
    let mut complaints = Vec::new();
    for (name, entries) in &maps {
        complaints.extend(problems(entries, nodes.as_ref()).map(|(entry, problem)| Complaint {
            map: name.clone(),
            entry,
            problem,
        }));
        if let Some(mismatch) = relate::mismatch(&maps[0].1, entries) {
            let problem = mismatch.to_string();
            complaints.push(Complaint { map: name.clone(), entry: None, problem });
        }
    }
    if arguments.json {
        output::json(&complaints)?;
    } else {
        for Complaint { map, entry, problem } in &complaints {
            match entry {
                Some(entry) => println!("{map}: entry {entry}: {problem}"),
                None => println!("{map}: {problem}"),
            }
        }
        for (name, entries) in &maps {
            println!("{name}: {}", summary(entries));
        }
    }
    Ok(if complaints.is_empty() { SUCCESS } else { FAILURE })
}

fn summary(entries: &[Entry]) -> String {
    let hosts: std::collections::BTreeSet<_> = entries.iter().map(|entry| &entry.host).collect();
    let skipped = entries.iter().filter(|entry| entry.skip).count();
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    format!("{} entries on {} hosts{skipped}", entries.len(), hosts.len())
}

/// The configured hosts; none are known if there are none.
fn configured() -> anyhow::Result<Option<Nodes>> {
    let own = NodeName(host_name());
    let mut all: Vec<_> = Config::load()?.hosts.into_iter().map(|host| host.name).collect();
    if all.is_empty() {
        return Ok(None);
    }
    all.push(own.clone());
    Ok(Some(Nodes { own, all }))
}

/// What is wrong with one mapfile, and with which entry.
fn problems<'map>(
    entries: &'map [Entry],
    nodes: Option<&'map Nodes>,
) -> impl Iterator<Item = (Option<usize>, String)> + 'map {
    let duplicates = relate::duplicates(entries).into_iter().map(|(entry, first, file)| {
        (entry, format!("{} stands in entry {first} already", file.to_string_lossy()))
    });
    let numbered = || entries.iter().enumerate().map(|(index, entry)| (index + 1, entry));
    let unknown = numbered().filter_map(move |(number, entry)| {
        let host = &entry.host;
        let is_unknown = nodes?.find(host).is_none();
        is_unknown.then(|| (number, format!("no host '{host}' is configured")))
    });
    let own = NodeName(host_name());
    let here = Nodes { all: vec![own.clone()], own };
    let missing = numbered().filter(move |(_, entry)| here.find(&entry.host).is_some());
    let missing = missing.flat_map(|(number, entry)| {
        let absent = entry.files().filter(|file| !file.as_path().exists());
        absent.map(move |file| (number, format!("{} is not here", file.to_string_lossy())))
    });
    duplicates.chain(unknown).chain(missing).map(|(number, problem)| (Some(number), problem))
}

/// Skip in all mapfiles what is skipped in one of them
///
/// The mapfiles have to be of the same length, with the same hosts; they are written anew.
#[derive(clap::Args)]
pub(super) struct AlignArguments {
    /// The mapfiles
    #[arg(required = true, num_args = 2.., value_name = "MAP")]
    maps: Vec<PathBuf>,
}

pub(super) fn align(arguments: &AlignArguments) -> Outcome {
    let maps = read_all(&arguments.maps)?;
    for (name, entries) in &maps {
        if let Some(mismatch) = relate::mismatch(&maps[0].1, entries) {
            bail!("{name}: {mismatch}; nothing was changed");
        }
    }
    let mut maps: Vec<_> = maps.into_iter().map(|(_, entries)| entries).collect();
    let skipped = relate::align(&mut maps);
    let targets: anyhow::Result<Vec<_>> =
        arguments.maps.iter().map(|path| Target::new(path)).collect();
    for (target, entries) in targets?.into_iter().zip(&maps) {
        target.write(&mapfile::write(entries, Form::Dictionaries)?)?;
    }
    println!("{skipped} of {} entries are skipped", maps[0].len());
    Ok(SUCCESS)
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Vec<Entry>)>> {
    let read = |path: &PathBuf| anyhow::Ok((path.display().to_string(), file::entries(path)?));
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_its_entry() {
        let node = |name: &str| NodeName(name.to_owned());
        let nodes = Nodes { own: node("here"), all: vec![node("here"), node("a")] };
        let map = b"[('a', '/1'), ('b', '/1'), ('a', '/1'), ('localhost', '/no such file'), \
                     ('localhost', '/')]";
        let entries = mapfile::read(map).unwrap();
        let found: Vec<_> = problems(&entries, Some(&nodes)).collect();
        let expected = [
            (3, "/1 stands in entry 1 already"),
            (2, "no host 'b' is configured"),
            (4, "/no such file is not here"),
        ];
        let expected = expected.map(|(number, problem)| (Some(number), problem.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(problems(&entries, None).count(), 2);
        assert_eq!(summary(&entries), "5 entries on 3 hosts");
    }
}
