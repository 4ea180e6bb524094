//! `redirector run`: starts a whole pipeline as a job, with everything set up.

use std::{env, ffi::CString, path::PathBuf};

use super::{exec, submission};
use crate::{
    agent::invocation::Invocation,
    model::{Kind, Resources, file_name},
    place, preload, random,
};

/// The pipeline cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libshim.so is missing or cannot be preloaded.
    #[error(transparent)]
    Preload(#[from] preload::Error),
    /// The home directory is not known.
    #[error(transparent)]
    Place(#[from] place::Error),
}

/// Runs `invocation` as a run: its whitelisted commands become jobs.
pub fn pipeline(
    mut invocation: Invocation,
    name: Option<String>,
) -> Result<std::convert::Infallible, Error> {
    let shim = preload::shim()?;
    let whitelists = whitelists();
    preload::add_shim(&mut invocation, &shim);
    invocation.set("REDIRECTOR_RUN", random::hex(&random::bytes::<13>()).as_bytes());
    invocation.set("REDIRECTOR_HOME", place::home()?.as_os_str().as_encoded_bytes());
    let list = env::join_paths(&whitelists).unwrap_or_default();
    invocation.set("REDIRECTOR_WHITELIST", list.as_encoded_bytes());
    let mut submission = submission::submission(&invocation, None, &whitelists);
    // The run's own id is not one that it comes out of.
    submission.run = None;
    submission.spec.kind = Kind::Run;
    submission.spec.resources = Resources::NONE;
    submission.spec.name = name.unwrap_or_else(|| file_name(invocation.program.as_bytes()));
    exec::as_job(invocation, submission)
}

/// The whitelists that count, or a word about their absence.
fn whitelists() -> Vec<PathBuf> {
    let found = place::whitelists().unwrap_or_default();
    if found.is_empty() {
        let places: Vec<_> =
            place::whitelist_candidates().iter().map(|path| path.display().to_string()).collect();
        exec::say(&format!(
            "no whitelist, so every command runs here; looked for REDIRECTOR_WHITELIST, {}",
            places.join(", ")
        ));
    }
    found.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect()
}

/// Finds `name` as a shell would.
pub fn find_program(name: &str) -> Option<CString> {
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        env::split_paths(&path).map(|directory| directory.join(name)).collect()
    };
    let found = candidates.into_iter().find(|path| {
        path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    })?;
    let absolute = std::path::absolute(found).ok()?;
    CString::new(absolute.into_os_string().into_encoded_bytes()).ok()
}
