//! What the tests of `libshim.so` share: a stage with the built library, a stand-in for
//! `redirector` beside it, a whitelisted program, and ways to run something on it.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The built `libshim.so` of the profile the tests are built with.
pub(crate) fn built_library() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("tests are in <profile>/deps");
    let library = profile.join("libshim.so");
    assert!(
        library.is_file(),
        "{} is missing: build the workspace first (cargo build, with --release if the tests \
         have it)",
        library.display()
    );
    library
}

/// The folder of C sources.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("c")
}

/// Compiles `source` of the folder of C sources to `target`.
pub(crate) fn compile(compiler: &str, source: &str, target: &Path, options: &[&str]) {
    let output = Command::new(compiler)
        .args(["-O1", "-Wall", "-Werror", "-o"])
        .arg(target)
        .arg(sources().join(source))
        .args(options)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {compiler}: {error}; install it"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler} {source}: {errors}");
}

/// A temporary directory with everything a redirected start needs:
/// `lib/libshim.so`, `lib/redirector`, `bin/tool`, and `whitelist`, which names `tool`.
pub(crate) struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        for name in ["lib", "bin", "cwd"] {
            fs::create_dir(stage.path(name)).unwrap();
        }
        fs::copy(built_library(), stage.library()).unwrap();
        compile("cc", "fake_redirector.c", &stage.path("lib/redirector"), &["-static"]);
        compile("cc", "tool.c", &stage.path("bin/tool"), &[]);
        fs::write(stage.path("whitelist"), "tool\n").unwrap();
        stage
    }

    /// A stage with compiled programs of the same names as their sources in `bin`.
    pub(crate) fn with(programs: &[&str]) -> Self {
        let stage = Self::new();
        for program in programs {
            compile("cc", &format!("{program}.c"), &stage.program(program), &["-pthread"]);
        }
        stage
    }

    /// The real path of `name` on the stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().expect("the stage exists").join(name)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.path("bin").join(name)
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.path("lib/libshim.so")
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes an executable file of any content.
    pub(crate) fn write_program(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What `redirector` prints when it is started for `bin/tool`.
    pub(crate) fn redirected(&self) -> String {
        format!("redirected {}\n", self.program("tool").display())
    }

    /// A command in an environment of nothing but `PATH` and `HOME`.
    pub(crate) fn plain(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.text("bin")))
            .env("HOME", self.path("home"))
            .current_dir(self.path("cwd"));
        command
    }

    /// The same command with the shim and the whitelist of the stage.
    pub(crate) fn preloaded(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.plain(program);
        command
            .env("LD_PRELOAD", self.library())
            .env("REDIRECTOR_WHITELIST", self.path("whitelist"));
        command
    }
}

/// Runs `command` and gives what it wrote, for people to read in a failed test.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// Runs `command`, which must write nothing to standard error, and gives what it wrote.
pub(crate) fn said(command: &mut Command) -> String {
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{command:?} wrote to standard error: {errors}");
    String::from_utf8(output.stdout).expect("the test programs write UTF-8")
}
