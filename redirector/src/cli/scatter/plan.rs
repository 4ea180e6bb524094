//! From a mapfile's entries to what is submitted.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use anyhow::bail;

use super::fill;
use crate::{
    cli::{asked::Asked, elements::has_place, run::invocation, submit::with_place},
    client::{
        exec::say,
        scatter::Nodes,
        submit::{self, Prepared, Wishes},
    },
    mapfile::{Content, Entry},
    model::{NodeName, Text},
    protocol::{DetachedSubmission, Elements, MOST_ELEMENTS},
};

/// An entry that something is to be done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    /// Which entry, from 0.
    pub entry: usize,
    /// The node that it is done on.
    pub host: NodeName,
    /// The files.
    pub files: Vec<Text>,
    /// Whether there may be another number of files than one.
    pub is_group: bool,
}

/// A mapfile has hosts that the gateway does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {number} ({file}) is on host '{host}', which is no node here{others}; nodes are {nodes}. \
     Correct the mapfile, or add the host to redirector.toml ([[hosts]])"
)]
pub(super) struct UnknownHost {
    number: usize,
    file: String,
    host: NodeName,
    others: String,
    nodes: String,
}

/// The entries that are not to be skipped, each on the node that its host is.
pub(super) fn tasks(entries: &[Entry], nodes: &Nodes) -> Result<Vec<Task>, UnknownHost> {
    let mut tasks = Vec::new();
    let mut unknown: Vec<usize> = Vec::new();
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.skip) {
        let files: Vec<_> = entry.files().cloned().collect();
        if files.is_empty() {
            continue;
        }
        match nodes.find(&entry.host) {
            None => unknown.push(index),
            Some(host) => {
                let (host, is_group) = (host.clone(), entry.is_group());
                tasks.push(Task { entry: index, host, files, is_group });
            }
        }
    }
    let [first, others @ ..] = &unknown[..] else { return Ok(tasks) };
    let entry = &entries[*first];
    let known: Vec<_> = nodes.all.iter().map(|node| &*node.0).collect();
    Err(UnknownHost {
        number: first + 1,
        file: super::shown(entry),
        host: entry.host.clone(),
        others: match others.len() {
            0 => String::new(),
            more => format!(" (and so for {more} more entries)"),
        },
        nodes: known.join(", "),
    })
}

/// The jobs of `tasks`, in their order. Files that are alone in their entries are elements of one
/// array; else each task is a submission, because commands differ in their number of words.
pub(super) fn submissions(
    tasks: &[Task],
    command: Vec<OsString>,
    asked: Asked,
    held: bool,
) -> anyhow::Result<Vec<(DetachedSubmission, Vec<NodeName>)>> {
    let count = tasks.len() as u64;
    if count > MOST_ELEMENTS {
        bail!(
            "the mapfile has {count} entries to work on; at most {MOST_ELEMENTS} go at a time: \
             'redirector map group' has a job work on several; nothing was submitted"
        );
    }
    // The files are on the hosts, whatever is at their paths here.
    let wishes = Wishes { held, stage: Some(false), ..asked.wishes()? };
    let elements = Elements::Lines(tasks.iter().flat_map(|task| task.files.clone()).collect());
    let command = with_place(command, Some(&elements))?;
    if tasks.iter().all(|task| !task.is_group) {
        let wishes = Wishes { elements: Some(elements), ..wishes };
        let mut submission = prepared(command, wishes, true)?;
        submission.hosts = tasks.iter().map(|task| task.host.clone()).collect();
        let hosts = submission.hosts.clone();
        return Ok(vec![(submission, hosts)]);
    }
    let submission = |(index, task): (usize, &Task)| {
        let name = |name: &String| {
            let filled = fill(name.as_bytes(), task.files[0].as_bytes());
            String::from_utf8_lossy(&filled).into_owned()
        };
        let wishes = Wishes { name: wishes.name.as_ref().map(name), ..wishes.clone() };
        let mut submission = prepared(filled(&command, &task.files), wishes, index == 0)?;
        submission.spec.placement.host = Some(task.host.clone());
        anyhow::Ok((submission, vec![task.host.clone()]))
    };
    tasks.iter().enumerate().map(submission).collect()
}

fn prepared(
    command: Vec<OsString>,
    wishes: Wishes,
    says_problems: bool,
) -> anyhow::Result<DetachedSubmission> {
    let Prepared { mut submission, problems } = submit::prepare(invocation(command)?, wishes)?;
    // No other node has the files.
    submission.spec.placement.fails_without_node = true;
    for problem in problems.iter().filter(|_| says_problems) {
        say(problem);
    }
    Ok(submission)
}

/// The command with each of the files in its place; a word with a place is there for each.
fn filled(command: &[OsString], files: &[Text]) -> Vec<OsString> {
    let words = command.iter().flat_map(|word| {
        let values = if has_place(word) { files } else { &[] };
        let plain = (values.is_empty()).then(|| word.clone());
        let fill = |file: &Text| OsString::from_vec(fill(word.as_bytes(), file.as_bytes()));
        plain.into_iter().chain(values.iter().map(fill)).collect::<Vec<_>>()
    });
    words.collect()
}

/// The entries with the files that were made of theirs.
pub(super) fn products(entries: &[Entry], product: Option<&OsStr>) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    let Some(product) = product else { return entries };
    let made = |file: &mut Text| *file = Text(fill(product.as_bytes(), file.as_bytes()));
    for entry in &mut entries {
        match &mut entry.content {
            Content::File(file) => made(file),
            Content::Files(members) => {
                members.iter_mut().map(|member| &mut member.file).for_each(made);
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapfile::read;

    fn nodes() -> Nodes {
        let node = |name: &str| NodeName(name.to_owned());
        Nodes { own: node("head"), all: vec![node("head"), node("lce1")] }
    }

    #[test]
    fn what_is_skipped_has_no_task() {
        let map = b"[('lce1.lofar', '/1'), {'host': 'x', 'file': '/2', 'skip': True}, \
                     {'host': 'localhost', 'file': \"['/3', '/4']\", 'file_skip': [True, False], \
                     'skip': False}, {'host': 'x', 'file': [], 'skip': False}]";
        let tasks = tasks(&read(map).unwrap(), &nodes()).unwrap();
        let shown: Vec<_> = tasks.iter().map(|task| (task.entry, &*task.host.0)).collect();
        assert_eq!(shown, [(0, "lce1"), (2, "head")]);
        assert_eq!(tasks[1].files, [Text::from("/4")]);
        assert!(tasks[1].is_group && !tasks[0].is_group);
    }

    #[test]
    fn a_host_that_is_no_node_is_named_with_its_entry() {
        let map = read(b"lce1=[/1] lce2=[/2, /3]").unwrap();
        let error = tasks(&map, &nodes()).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "entry 2 (/2) is on host 'lce2', which is no node here (and so for 1 more \
                 entries); nodes are head, lce1."
            ),
            "{error}"
        );
    }

    #[test]
    fn each_file_of_a_group_is_a_word() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let command = words(&["join", "-i={}", "--to", "x", "{}"]);
        let files = ["/a b", "/c"].map(Text::from);
        let expected = words(&["join", "-i=/a b", "-i=/c", "--to", "x", "/a b", "/c"]);
        assert_eq!(filled(&command, &files), expected);
    }

    #[test]
    fn products_are_named_after_the_files() {
        let map = read(b"[('a', '/1'), {'host': 'b', 'file': ['/2', '/3']}]").unwrap();
        let made = products(&map, Some(OsStr::new("{}.avg")));
        let files: Vec<_> =
            made.iter().flat_map(Entry::members).map(|(file, _)| file.to_string_lossy()).collect();
        assert_eq!(files, ["/1.avg", "/2.avg", "/3.avg"]);
        assert_eq!(products(&map, None), map);
    }
}
