//! `redirector run`: starts a whole pipeline as a job, with everything set up.

use std::{env, ffi::CString, io, path::PathBuf};

use super::{
    dry_run::{self, Entry, Log},
    exec::{self, Additions},
    foreground, settings, submission,
    watcher::{Shown, Watcher},
};
use crate::{
    agent::{invocation::Invocation, process::Command, signals::Catcher},
    config::{MODE_VARIABLE, Mode},
    model::{Kind, Outcome, Resources, pipeline_name},
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
    /// A dry run has nowhere to note anything, or cannot run the pipeline.
    #[error("{what}: {cause}; nothing was run")]
    DryRun {
        /// What was tried.
        what: String,
        /// The system's reason.
        cause: io::Error,
    },
}

/// What was found out by a dry run.
pub struct DryRun {
    /// How the pipeline ended.
    pub outcome: Outcome,
    /// What its whitelisted commands would have asked for, in the order of their starts.
    pub entries: io::Result<Vec<Entry>>,
    /// Where a core file may be left by [`crate::agent::ending::end_like`].
    pub scratch: PathBuf,
}

/// Runs `invocation` as a run: its whitelisted commands become jobs. Returns from a dry run only.
///
/// `mode` goes over what is configured, and counts for all that the pipeline starts. `shown` is
/// what a person sees of its jobs.
pub fn pipeline(
    mut invocation: Invocation,
    name: Option<String>,
    mode: Option<Mode>,
    shown: Shown,
) -> Result<DryRun, Error> {
    let mode = mode.unwrap_or_else(settings::mode);
    let shim = preload::shim()?;
    let whitelists = whitelists();
    preload::add_shim(&mut invocation, &shim);
    invocation.set("REDIRECTOR_RUN", random::hex(&random::bytes::<13>()).as_bytes());
    invocation.set("REDIRECTOR_HOME", place::home()?.as_os_str().as_encoded_bytes());
    invocation.set(MODE_VARIABLE, mode.word().as_bytes());
    let list = env::join_paths(&whitelists).unwrap_or_default();
    invocation.set("REDIRECTOR_WHITELIST", list.as_encoded_bytes());
    if mode == Mode::DryRun {
        return dry_run(invocation);
    }
    let mut submission = submission::submission(&invocation, None, &whitelists);
    // The run's own id is not one that it comes out of.
    submission.run = None;
    submission.sequential = mode == Mode::Sequential;
    submission.spec.kind = Kind::Run;
    submission.spec.resources = Resources::NONE;
    submission.spec.name = name.unwrap_or_else(|| pipeline_name(&submission.spec.argv));
    exec::submit(invocation, submission, Additions::default(), Watcher::new(shown))
}

/// Runs the pipeline without a gateway, and tells what its commands would have asked for.
fn dry_run(mut invocation: Invocation) -> Result<DryRun, Error> {
    let failed = |what: String| |cause| Error::DryRun { what, cause };
    let mut log =
        Log::create().map_err(failed(format!("make a file in {}", env::temp_dir().display())))?;
    invocation.set(dry_run::LOG_VARIABLE, log.path().as_os_str().as_encoded_bytes());
    let catcher = Catcher::start().map_err(failed("catch signals".to_owned()))?;
    let command = Command {
        program: &invocation.program,
        arguments: invocation.argument_pointers(),
        environment: invocation.environment_pointers(),
        cpus: None,
    };
    let (outcome, _usage) = foreground::run(&command, &catcher)
        .map_err(failed(format!("run {}", invocation.program.to_string_lossy())))?;
    Ok(DryRun { outcome, entries: log.entries(), scratch: env::temp_dir() })
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
