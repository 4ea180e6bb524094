//! Everything that the candidates are made of: built files, helper programs, whitelists.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use integration::Artefacts;
use serde::Serialize;
use tempfile::TempDir;

use crate::spawner::{Output, Spawner, Start};

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effort {
    /// To see whether something has changed much: under a minute.
    Quick,
    /// For figures to be written down.
    Full,
}

/// A private directory with what is measured, and with what it is measured by.
pub(crate) struct Workbench {
    directory: TempDir,
    /// The files under test.
    pub(crate) artefacts: Artefacts,
    spawner: PathBuf,
}

impl Workbench {
    /// Compiles the helper programs.
    ///
    /// # Panics
    ///
    /// When something is not built or cannot be compiled.
    pub(crate) fn set_up(effort: Effort) -> Self {
        // Not below $TMPDIR: the path of a gateway's Unix socket must stay below 108 bytes.
        let directory = tempfile::Builder::new()
            .prefix("rdbench-")
            .tempdir_in("/tmp")
            .expect("/tmp can be written to");
        let spawner = directory.path().join("spawner");
        compile(&["-O2"], "spawner.c", &spawner);
        let empty = directory.path().join("libempty.so");
        compile(&["-shared", "-fPIC", "-nostdlib"], "empty.c", &empty);
        for name in ["home", "tmp"] {
            fs::create_dir(directory.path().join(name)).expect("just made its parent");
        }
        fs::write(directory.path().join("redirector.toml"), "").expect("as above");
        if effort == Effort::Quick {
            println!("--quick: too few rounds for figures to be written down");
        }
        Self { directory, artefacts: Artefacts::find(), spawner }
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The empty preload library: what any library costs.
    pub(crate) fn empty_library(&self) -> PathBuf {
        self.path().join("libempty.so")
    }

    /// A file that was built beside this program.
    ///
    /// # Panics
    ///
    /// When it is not there.
    pub(crate) fn built(name: &str) -> PathBuf {
        let own = env::current_exe().expect("this program has a path");
        let file = own.with_file_name(name);
        assert!(file.is_file(), "{} is not built: run integration/bench.sh", file.display());
        file
    }

    /// Writes a whitelist.
    pub(crate) fn whitelist(&self, name: &str, text: &str) -> PathBuf {
        let file = self.path().join(name);
        fs::write(&file, text).expect("the workbench's directory is writable");
        file
    }

    /// A spawner of `command` whose environment is small and the same everywhere.
    pub(crate) fn spawn(&self, command: &[&str]) -> Spawner {
        let path = |name: &str| self.path().join(name).to_string_lossy().into_owned();
        let environment = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("HOME", path("home")),
            ("TMPDIR", path("tmp")),
            ("USER", "someone".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("SHELL", "/bin/bash".to_owned()),
            ("TERM", "dumb".to_owned()),
            // A person's own settings would change what is measured.
            ("REDIRECTOR_CONFIG", path("redirector.toml")),
        ];
        Spawner {
            program: self.spawner.clone(),
            directory: self.path().to_owned(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.into())).into(),
            start: Start::PosixSpawn,
            output: Output::File,
            workers: 1,
            warm_ups: 1,
            expected_status: 0,
            command: command.iter().map(Into::into).collect(),
        }
    }
}

fn compile(options: &[&str], source: &str, result: &Path) {
    let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches"));
    let mut cc = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    cc.args(["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]).args(options);
    cc.arg("-o").arg(result).arg(sources.join(source));
    match cc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{cc:?} ended with {status}"),
        Err(error) => panic!("cannot start {cc:?}: {error}"),
    }
}
