//! What a command of this computer is called on a host, and what of its environment goes there.
//!
//! ```text
//! path_map = { "/data" = "/mnt/data" }
//!
//! directory    /data/run1                     /mnt/data/run1
//! program      /data/bin/bwa                  /mnt/data/bin/bwa
//! argument     /data/ref.fa                   /mnt/data/ref.fa
//!              --ref=/data/ref.fa             --ref=/mnt/data/ref.fa
//!              -I/data/include                -I/mnt/data/include
//!              /data/a:/opt/b                 /mnt/data/a:/opt/b
//!              /database, cat /data/ref.fa    as they are: another directory, no path
//! environment  PATH=bin:/data/bin             PATH=bin:/mnt/data/bin
//!              DISPLAY=:0                     is left out
//! ```
//!
//! All of it is worked out from bytes, without a look at any file. It is done once: what a path
//! becomes may well be below a directory that is mapped itself.

mod paths;
#[cfg(test)]
mod tests;
mod variables;

pub(crate) use self::variables::is_of_batch_job;

use self::paths::PathMap;
use crate::{config::Host, model::Text, preload};

/// How paths and variables of this computer become those of one host.
#[derive(Clone, Debug)]
pub struct Mapping {
    paths: PathMap,
    /// Variables that are set on the host, or taken away.
    variables: Vec<(Text, Option<Text>)>,
}

impl Mapping {
    /// As the settings of `host` have it.
    pub fn of(host: &Host) -> Self {
        let variables = host.env.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self { paths: PathMap::new(&host.path_map), variables: variables.collect() }
    }

    /// Whether a path is in a directory that is called differently there, so that it is there.
    pub fn covers(&self, path: &[u8]) -> bool {
        self.paths.covers(path)
    }

    /// What a directory is called there.
    pub fn directory(&self, directory: &Text) -> Text {
        Text(self.paths.path(directory.as_bytes()).into_owned())
    }

    /// What a program is called there; a name without `/` stays as it is.
    pub fn program(&self, program: &Text) -> Text {
        Text(self.paths.path(program.as_bytes()).into_owned())
    }

    /// An argument, in which a path may stand alone, in a list with `:`, behind `=` or behind
    /// the letter of an option.
    pub fn argument(&self, argument: &Text) -> Text {
        Text(self.paths.argument(argument.as_bytes()).into_owned())
    }

    /// The environment of a command there: without what is true of this computer only, with
    /// paths mapped, and with what the host's settings set.
    pub fn environment(&self, entries: &[Text]) -> Vec<Text> {
        let is_grid_engine = entries.iter().any(|entry| entry.0.starts_with(b"SGE_TASK_ID="));
        let mut there: Vec<Text> = entries
            .iter()
            .filter(|entry| {
                name_and_value(entry)
                    .is_none_or(|(name, _)| !variables::stays_here(name, is_grid_engine))
            })
            .filter_map(|entry| self.entry(entry))
            .collect();
        for (name, value) in &self.variables {
            let value = value.as_ref().map(|value| self.expand(value.as_bytes(), entries));
            set(&mut there, name.as_bytes(), value.as_deref());
        }
        there
    }

    /// One entry as it is there; `None` if nothing of it is of use there.
    fn entry(&self, entry: &Text) -> Option<Text> {
        let Some((name, value)) = name_and_value(entry) else { return Some(entry.clone()) };
        let is_temporary = [&b"TMPDIR"[..], b"TMP", b"TEMP"].contains(&name);
        // Nobody has said that there is such a directory.
        if is_temporary && !self.paths.covers(value) {
            return None;
        }
        let value = self.value(name, value)?;
        Some(Text([name, b"=", &*value].concat()))
    }

    fn value(&self, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        match name {
            // The library hands commands to a gateway, and the host has none.
            b"LD_PRELOAD" => {
                let rest = preload::without_shim(value).unwrap_or_else(|| value.to_vec());
                (!rest.is_empty()).then(|| self.paths.list(&rest))
            }
            b"MAKEFLAGS" | b"MFLAGS" | b"CARGO_MAKEFLAGS" => variables::without_jobserver(value),
            _ if variables::is_list_of_paths(name) => Some(self.paths.list(value)),
            _ => Some(self.paths.path_or_list(value).into_owned()),
        }
    }

    /// `value` with `$NAME` and `${NAME}` replaced by what the command has here, mapped; `$$` is
    /// a `$`. What is not set is nothing.
    fn expand(&self, value: &[u8], entries: &[Text]) -> Vec<u8> {
        let mut expanded = Vec::new();
        let mut rest = value;
        while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
            expanded.extend_from_slice(&rest[..at]);
            let reference = variables::reference(&rest[at + 1..]);
            match reference.name {
                Some(name) => {
                    let of_name = |entry| name_and_value(entry).filter(|(of, _)| *of == name);
                    let submitted = entries.iter().find_map(of_name);
                    let there = submitted.and_then(|(name, value)| self.value(name, value));
                    expanded.extend(there.unwrap_or_default());
                }
                None => expanded.push(b'$'),
            }
            rest = reference.rest;
        }
        expanded.extend_from_slice(rest);
        expanded
    }
}

fn name_and_value(entry: &Text) -> Option<(&[u8], &[u8])> {
    let bytes = entry.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// Sets a variable at the place of its old value, or takes it away.
fn set(entries: &mut Vec<Text>, name: &[u8], value: Option<&[u8]>) {
    let is_it = |entry: &Text| name_and_value(entry).is_some_and(|(of, _)| of == name);
    let place = entries.iter().position(is_it);
    entries.retain(|entry| !is_it(entry));
    if let Some(value) = value {
        let entry = Text([name, b"=", value].concat());
        entries.insert(place.unwrap_or(entries.len()), entry);
    }
}
