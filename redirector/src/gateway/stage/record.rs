//! What a command on a host may write here, kept until its outputs are here.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    agent::protocol::AttemptId,
    model::Text,
    stage::{
        WholePath,
        diff::Stamp,
        plan::{Found, Plan, View},
    },
};

/// See the module.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Files that its arguments name, which it may remove.
    #[serde(with = "pairs")]
    pub named: BTreeMap<WholePath, Stamp>,
    /// Directories in and below which it may write.
    pub writable: Vec<WholePath>,
}

/// Paths that are not UTF-8 cannot be keys in JSON.
mod pairs {
    use super::{BTreeMap, Stamp, WholePath};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<WholePath, Stamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<WholePath, Stamp>, D::Error> {
        let pairs = Vec::<(WholePath, Stamp)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}

impl Record {
    pub(super) fn of(plan: &Plan) -> Self {
        let stamp = |path: &WholePath| match plan.things.get(path) {
            Some(Found::File { stamp, .. }) => Some((path.clone(), *stamp)),
            _ => None,
        };
        Self {
            named: plan.named.iter().filter_map(stamp).collect(),
            writable: plan.writable.iter().cloned().collect(),
        }
    }

    pub(super) fn write(&self, directory: &Path, attempt: AttemptId) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let file = file(directory, attempt);
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, file)
    }

    /// `None`: there is none.
    pub(super) fn read(directory: &Path, attempt: AttemptId) -> Option<Self> {
        let bytes = fs::read(file(directory, attempt)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    pub(super) fn forget(directory: &Path, attempt: AttemptId) {
        // It may have been forgotten before.
        drop(fs::remove_file(file(directory, attempt)));
    }
}

fn file(directory: &Path, AttemptId { job, number }: AttemptId) -> PathBuf {
    directory.join(format!("{job}.{number}.json"))
}

/// This computer's files.
pub(super) struct Files;

impl View for Files {
    fn look(&self, path: &WholePath) -> io::Result<Option<Found>> {
        let metadata = match fs::symlink_metadata(path.as_path()) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(if metadata.is_dir() {
            Found::Directory
        } else if metadata.is_symlink() {
            Found::Symlink { target: Text::from(fs::read_link(path.as_path())?) }
        } else if metadata.is_file() {
            let mode = metadata.permissions().mode() & 0o777;
            Found::File { stamp: Stamp::of(&metadata), mode }
        } else {
            Found::Other
        }))
    }

    fn names(&self, directory: &WholePath) -> io::Result<Vec<Vec<u8>>> {
        fs::read_dir(directory.as_path())?
            .map(|entry| Ok(entry?.file_name().as_bytes().to_vec()))
            .collect()
    }
}
