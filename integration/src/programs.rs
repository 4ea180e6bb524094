//! Where the programs are that the tests start.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// The directory of the compiled helper programs.
pub fn programs_directory() -> &'static Path {
    Path::new(concat!(env!("OUT_DIR"), "/programs"))
}

/// A file of `programs/`, for the helpers that are scripts.
pub fn program_file(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/programs")).join(name)
}

/// A file of `pipelines/`.
pub fn pipeline_file(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).join(name)
}

/// The `PATH` of every command that a test starts: the helpers first, then the caller's.
///
/// pyenv's shims are left out: they are shell scripts that look for Pythons below `HOME`, which a
/// session replaces.
pub(crate) fn search_path() -> OsString {
    let inherited = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let kept = env::split_paths(&inherited).filter(|directory| !directory.ends_with("shims"));
    let all = std::iter::once(programs_directory().to_path_buf()).chain(kept);
    env::join_paths(all).expect("these came from a PATH")
}

/// The absolute path of a program that may or may not be installed.
pub fn find_program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    env::split_paths(&search_path())
        .map(|directory| directory.join(name.as_ref()))
        .find(|candidate| candidate.is_file())
}

/// What to do about something that a test needs and this machine lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// `integration/setup.sh` installs it: where that ran, it must be there.
    FailAfterSetup,
    /// Nobody promised it.
    Skip,
}

/// Reports a part of a test as skipped, by name, on standard output.
///
/// # Panics
///
/// When everything was installed (`REDIRECTOR_TEST_ALL=1`, which `integration/test.sh` sets) and
/// the missing thing belongs to it.
#[track_caller]
pub fn skip(part: &str, missing: &str, verdict: Missing) {
    let everything_installed = env::var_os("REDIRECTOR_TEST_ALL").is_some_and(|value| value == "1");
    assert!(
        !(everything_installed && verdict == Missing::FailAfterSetup),
        "{part}: {missing} is missing although REDIRECTOR_TEST_ALL=1 says that \
         integration/setup.sh installed everything"
    );
    println!("skipped: {part}: {missing} is not installed");
}
