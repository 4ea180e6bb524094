//! Forms C, D and E: what the literals mean.

use super::{
    entry::{Content, Entry, Member},
    error::{Error, Fault, Problem},
    literal::{self, Kind, Value},
};
use crate::model::{NodeName, Text};

/// The entries that a list holds.
pub(super) fn entries(list: Value) -> Result<Vec<Entry>, Fault> {
    let (Kind::List(items) | Kind::Tuple(items)) = list.kind else {
        return Err(expected("a list of entries", list.at));
    };
    items.into_iter().map(entry).collect()
}

fn entry(item: Value) -> Result<Entry, Fault> {
    match item.kind {
        Kind::Tuple(pair) | Kind::List(pair) => {
            let pair: Result<[Value; 2], _> = pair.try_into();
            let [host, file] = pair.map_err(|_| expected("a host and a file", item.at))?;
            Ok(Entry::new(host_name(host)?, file_name(file)?))
        }
        Kind::Dictionary(pairs) => of_dictionary(pairs, item.at),
        _ => Err(expected("('HOST', 'FILE') or {'host': …, 'file': …, 'skip': …}", item.at)),
    }
}

fn of_dictionary(pairs: Vec<(Value, Value)>, at: usize) -> Result<Entry, Fault> {
    let (mut host, mut file, mut skip, mut file_skip) = (None, None, None, None);
    for (key, value) in pairs {
        let Kind::Text(name) = &key.kind else { return Err(expected("a key in quotes", key.at)) };
        let name = || String::from_utf8_lossy(name).into_owned();
        let slot = match &*name() {
            "host" => &mut host,
            "file" => &mut file,
            "skip" => &mut skip,
            "file_skip" => &mut file_skip,
            _ => return Err(Problem::UnknownKey(name()).at(key.at)),
        };
        if slot.replace(value).is_some() {
            return Err(Problem::RepeatedKey(name()).at(key.at));
        }
    }
    let host = host_name(host.ok_or_else(|| Problem::NoKey("host").at(at))?)?;
    let file = file.ok_or_else(|| Problem::NoKey("file").at(at))?;
    // LOFAR's own reader skips an entry that does not say.
    let skip = skip.as_ref().map_or(Ok(true), truth)?;
    let content = match (file, file_skip) {
        (file, Some(flags)) => Content::Files(members(files(file)?, flags)?),
        (Value { kind: Kind::List(files), .. }, None) => {
            let member = |file| Ok(Member { file: file_name(file)?, skip: false });
            Content::Files(files.into_iter().map(member).collect::<Result<_, _>>()?)
        }
        (file, None) => Content::File(file_name(file)?),
    };
    Ok(Entry { host, content, skip })
}

/// The files of form E: a list, or a text that holds one.
fn files(value: Value) -> Result<Vec<Text>, Fault> {
    match value.kind {
        Kind::List(items) => items.into_iter().map(file_name).collect(),
        Kind::Text(text) => {
            let list = literal::parse(&text).and_then(|list| match list.kind {
                Kind::List(items) => items.into_iter().map(file_name).collect(),
                _ => Err(expected("a list of files", list.at)),
            });
            list.map_err(|fault| Problem::Inside(Box::new(Error::at(&text, fault))).at(value.at))
        }
        _ => Err(expected("a list of files, or a text that holds one", value.at)),
    }
}

fn members(files: Vec<Text>, flags: Value) -> Result<Vec<Member>, Fault> {
    let at = flags.at;
    let flags = match flags.kind {
        Kind::Nothing => vec![false; files.len()],
        Kind::List(flags) => flags.iter().map(truth).collect::<Result<Vec<_>, _>>()?,
        _ => return Err(expected("a list of True and False", at)),
    };
    if flags.len() != files.len() {
        return Err(Problem::Lengths { files: files.len(), flags: flags.len() }.at(at));
    }
    Ok(files.into_iter().zip(flags).map(|(file, skip)| Member { file, skip }).collect())
}

fn truth(value: &Value) -> Result<bool, Fault> {
    match value.kind {
        Kind::Truth(truth) => Ok(truth),
        _ => Err(expected("True or False", value.at)),
    }
}

fn host_name(value: Value) -> Result<NodeName, Fault> {
    match value.kind {
        Kind::Text(name) => host(name, value.at),
        _ => Err(expected("a host's name in quotes", value.at)),
    }
}

fn file_name(value: Value) -> Result<Text, Fault> {
    match value.kind {
        Kind::Text(name) => file(name, value.at),
        _ => Err(expected("a file's name in quotes", value.at)),
    }
}

/// The name of a host that stands at byte `at`.
pub(super) fn host(name: Vec<u8>, at: usize) -> Result<NodeName, Fault> {
    if name.is_empty() {
        return Err(Problem::NoHost.at(at));
    }
    if name.contains(&0) {
        return Err(Problem::ZeroByte.at(at));
    }
    String::from_utf8(name).map(NodeName).map_err(|_| Problem::HostNotText.at(at))
}

/// The name of a file that stands at byte `at`.
pub(super) fn file(name: Vec<u8>, at: usize) -> Result<Text, Fault> {
    if name.contains(&0) {
        return Err(Problem::ZeroByte.at(at));
    }
    Ok(Text(name))
}

fn expected(expected: &'static str, at: usize) -> Fault {
    Problem::Expected { expected }.at(at)
}
