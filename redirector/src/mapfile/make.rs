//! Entries from lists of files: what LOFAR's datamapper and storagemapper do.
//!
//! ```text
//!  /net/sub1/lse003/data1/L20852.MS
//!       │    └────┬─ sub-cluster sub1: the next of its computing hosts   [`by_sub_cluster`]
//!       │         └─ storage host lse003 has /data1/L20852.MS            [`by_storage_host`]
//!       └ component 2, of which LOFAR's datamapper tells the sub-cluster
//! ```

use super::entry::Entry;
use crate::model::{NodeName, Text};

/// Hosts that can reach the same files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubCluster {
    /// Its name, as it stands in paths.
    pub name: String,
    /// Its hosts, at least one.
    pub hosts: Vec<NodeName>,
}

/// A file for which no host is found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There are no hosts at all.
    #[error("there are no hosts to give files to")]
    NoHosts,
    /// Its path names no sub-cluster.
    #[error(
        "{file}: expected a path such as /net/SUBCLUSTER/…, because files are given to \
         sub-clusters; its second component has to name one"
    )]
    NoSubCluster {
        /// The file.
        file: String,
    },
    /// Its path names one that is not known.
    #[error("{file}: there is no sub-cluster '{name}'; there are {known}")]
    UnknownSubCluster {
        /// The file.
        file: String,
        /// What its path names.
        name: String,
        /// Those that are known.
        known: String,
    },
    /// Its path names no host.
    #[error(
        "{file}: expected a path such as /net/SUBCLUSTER/HOST/…, whose third component is the \
         host that has the file"
    )]
    NoStorageHost {
        /// The file.
        file: String,
    },
}

/// Gives each file to the next of `hosts`, and begins anew after the last.
///
/// # Errors
/// [`Error::NoHosts`]
pub fn round_robin(hosts: &[NodeName], files: Vec<Text>) -> Result<Vec<Entry>, Error> {
    if hosts.is_empty() && !files.is_empty() {
        return Err(Error::NoHosts);
    }
    let hosts = hosts.iter().cycle();
    Ok(files.into_iter().zip(hosts).map(|(file, host)| Entry::new(host.clone(), file)).collect())
}

/// Gives each file to the next host of the sub-cluster that its path names.
///
/// # Errors
/// A file that names none.
pub fn by_sub_cluster(clusters: &[SubCluster], files: Vec<Text>) -> Result<Vec<Entry>, Error> {
    let mut turns: Vec<_> = clusters.iter().map(|cluster| cluster.hosts.iter().cycle()).collect();
    let mut entries = Vec::with_capacity(files.len());
    for file in files {
        let shown = || file.to_string_lossy().into_owned();
        let Some((name, _)) = component(&file, 2) else {
            return Err(Error::NoSubCluster { file: shown() });
        };
        let place = clusters.iter().position(|cluster| cluster.name.as_bytes() == name);
        let Some(place) = place else {
            let known: Vec<_> = clusters.iter().map(|cluster| &*cluster.name).collect();
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(Error::UnknownSubCluster { file: shown(), name, known: known.join(", ") });
        };
        let host = turns[place].next().ok_or(Error::NoHosts)?.clone();
        entries.push(Entry::new(host, file));
    }
    Ok(entries)
}

/// Gives each file to the host that its path names, under the path that it has there.
///
/// # Errors
/// [`Error::NoStorageHost`]
pub fn by_storage_host(files: &[Text]) -> Result<Vec<Entry>, Error> {
    let entry = |file: &Text| {
        let (host, rest) = component(file, 3)?;
        let host = std::str::from_utf8(host).ok()?;
        (!rest.is_empty()).then(|| Entry::new(NodeName(host.to_owned()), rest.into()))
    };
    let missing = |file: &Text| Error::NoStorageHost { file: file.to_string_lossy().into_owned() };
    files.iter().map(|file| entry(file).ok_or_else(|| missing(file))).collect()
}

/// The component at `index`, from 1, of an absolute path, and what comes behind it.
fn component(path: &Text, index: usize) -> Option<(&[u8], &[u8])> {
    let mut rest = path.as_bytes();
    let mut found = &[][..];
    for _ in 0..index {
        rest = rest.strip_prefix(b"/")?;
        let length = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        (found, rest) = rest.split_at(length);
    }
    (!found.is_empty()).then_some((found, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(files: &[&str]) -> Vec<Text> {
        files.iter().map(|file| Text::from(*file)).collect()
    }

    fn hosts(names: &[&str]) -> Vec<NodeName> {
        names.iter().map(|name| NodeName((*name).to_owned())).collect()
    }

    fn shown(entries: Result<Vec<Entry>, Error>) -> String {
        let entry = |entry: &Entry| {
            let files: Vec<_> = entry.files().map(|file| file.to_string_lossy()).collect();
            format!("{}:{}", entry.host, files.join("+"))
        };
        match entries {
            Ok(entries) => entries.iter().map(entry).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn files_go_round() {
        let files = texts(&["/1", "/2", "/3"]);
        assert_eq!(shown(round_robin(&hosts(&["a", "b"]), files.clone())), "a:/1 b:/2 a:/3");
        assert_eq!(round_robin(&[], files), Err(Error::NoHosts));
    }

    #[test]
    fn each_sub_cluster_has_a_turn_of_its_own() {
        let cluster =
            |name: &str, names: &[&str]| SubCluster { name: name.to_owned(), hosts: hosts(names) };
        let clusters = [cluster("sub1", &["a", "b"]), cluster("sub2", &["c"])];
        let files = texts(&["/net/sub1/x/1", "/net/sub2/x/2", "/net/sub1/x/3", "/net/sub2/x/4"]);
        let expected = "a:/net/sub1/x/1 c:/net/sub2/x/2 b:/net/sub1/x/3 c:/net/sub2/x/4";
        assert_eq!(shown(by_sub_cluster(&clusters, files)), expected);
        let unknown = shown(by_sub_cluster(&clusters, texts(&["/net/sub3/x"])));
        assert_eq!(unknown, "/net/sub3/x: there is no sub-cluster 'sub3'; there are sub1, sub2");
        let none = shown(by_sub_cluster(&clusters, texts(&["x"])));
        assert!(none.starts_with("x: expected a path such as /net/SUBCLUSTER/"), "{none}");
    }

    #[test]
    fn the_path_names_the_storage_host() {
        let files = texts(&["/net/sub3/lse007/data2/x", "/net/sub3/lse8/data/lse8.MS"]);
        assert_eq!(shown(by_storage_host(&files)), "lse007:/data2/x lse8:/data/lse8.MS");
        for file in ["/net/sub3", "/net/sub3/lse007", "net/sub3/lse007/x", "//sub3//x", ""] {
            let error = shown(by_storage_host(&texts(&[file])));
            assert!(error.contains("third component"), "{file}: {error}");
        }
    }
}
