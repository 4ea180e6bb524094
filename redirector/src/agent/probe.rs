//! Looks for what jobs would need to find on this computer.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use nix::unistd::{AccessFlags, access};

use super::protocol::{Identity, Probe, Probed};
use crate::model::Text;

/// Where programs are looked for that are named without a directory, if `PATH` is not set.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What of `probe` there is. Names without a slash are looked for in the directories of `path`.
pub(crate) fn look(probe: Probe, path: Option<&str>) -> Probed {
    let directories: Vec<PathBuf> = std::env::split_paths(path.unwrap_or(USUAL_PATH)).collect();
    let programs = probe.programs.iter().map(|program| find(program, &directories)).collect();
    let found = probe.directories.iter().map(|directory| identity(directory.as_path())).collect();
    Probed { probe, programs, directories: found }
}

/// The names by which a program is looked for on a host: the path it has there if it is where it
/// is here, else its name.
pub(crate) fn names(program: &Text) -> [Text; 2] {
    let bytes = program.as_bytes();
    let name = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    [program.clone(), Text::from(name)]
}

fn find(program: &Text, directories: &[PathBuf]) -> Option<Text> {
    let can_run = |path: &Path| path.is_file() && access(path, AccessFlags::X_OK).is_ok();
    if program.as_bytes().contains(&b'/') {
        return can_run(program.as_path()).then(|| program.clone());
    }
    let paths = directories.iter().map(|directory| directory.join(program.as_path()));
    paths.into_iter().find(|path| can_run(path)).map(Text::from)
}

/// What tells the directory at `path` from others; `None` if it is none.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    let made = metadata.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.and_then(|made| u64::try_from(made.as_nanos()).ok());
    Some(Identity { inode: metadata.ino(), made })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_are_found_by_path_and_by_name_if_they_can_be_run() {
        let directory = tempfile::tempdir().unwrap();
        let tool = directory.path().join("tool");
        fs::write(&tool, "").unwrap();
        let probe = || Probe {
            programs: vec![Text::from(tool.clone()), "tool".into(), "missing".into()],
            directories: vec![Text::from(directory.path().to_owned()), Text::from(tool.clone())],
        };
        let path = directory.path().to_str().unwrap();
        assert_eq!(look(probe(), Some(path)).programs, [None, None, None], "no permission");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap();
        let probed = look(probe(), Some(path));
        let tool = Some(Text::from(tool));
        assert_eq!(probed.programs, [tool.clone(), tool, None]);
        assert!(probed.directories[0].is_some() && probed.directories[1].is_none());
    }
}
