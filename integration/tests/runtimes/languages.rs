//! Programming languages: each has a program in `programs/` that starts `probe` in the ways that
//! are named on its command line.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use integration::{Missing, find_program, program_file, programs_directory};

use crate::rows::{Rows, text};

/// Ways that every Python 3 has.
const PYTHON_WAYS: [&str; 21] = [
    "run",
    "run-path",
    "run-status",
    "run-shell",
    "run-env",
    "run-cwd",
    "run-open-fds",
    "run-session",
    "run-preexec",
    "check_output",
    "system",
    "popen",
    "execv",
    "execve",
    "execve-fd",
    "execvp",
    "execlpe",
    "spawnvp",
    "multiprocessing-fork",
    "multiprocessing-spawn",
    "missing",
];

/// Ways that came with Python 3.8, the oldest that is asked for here.
const NEWER_PYTHON_WAYS: [&str; 4] =
    ["posix_spawn", "posix_spawnp", "asyncio-exec", "asyncio-shell"];

fn python(version: &str) {
    let Some(interpreter) = find_python(version) else {
        return integration::skip(
            &format!("runtime CPython {version}"),
            &format!("python{version}"),
            Missing::Skip,
        );
    };
    try_python(&format!("CPython {version}"), &interpreter);
}

fn try_python(runtime: &str, interpreter: &Path) {
    // -I: no PYTHON* variables and no user packages of whoever runs the tests.
    let script = program_file("starts.py");
    let program = [text(interpreter), "-I", text(&script)];
    let ways: Vec<&str> = PYTHON_WAYS.into_iter().chain(NEWER_PYTHON_WAYS).collect();
    Rows::of(runtime).ways(&program, &ways).try_all();
}

/// `pythonX.Y` on the `PATH`, or pyenv's newest `X.Y.Z`.
fn find_python(version: &str) -> Option<PathBuf> {
    let name = format!("python{version}");
    find_program(&name).or_else(|| {
        let pyenv = env::var_os("PYENV_ROOT")
            .map(PathBuf::from)
            .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".pyenv")))?;
        let versions = fs::read_dir(pyenv.join("versions")).ok()?;
        let candidates =
            versions.filter_map(|entry| Some(entry.ok()?.path().join("bin").join(&name)));
        candidates.filter(|candidate| candidate.is_file()).max()
    })
}

#[test]
fn installed_python() {
    let interpreter = find_program("python3").expect("integration/setup.sh installs python3");
    try_python("python3", &interpreter);
}

#[test]
fn python_3_8() {
    python("3.8");
}

#[test]
fn python_3_9() {
    python("3.9");
}

#[test]
fn python_3_10() {
    python("3.10");
}

#[test]
fn python_3_11() {
    python("3.11");
}

#[test]
fn python_3_12() {
    python("3.12");
}

#[test]
fn python_3_13() {
    python("3.13");
}

#[test]
fn perl() {
    let Some(rows) = Rows::of_installed("perl", &["perl"], Missing::FailAfterSetup) else { return };
    let script = program_file("starts.pl");
    let ways = [
        "system-list",
        "system-word",
        "system-shell",
        "system-status",
        "backticks",
        "open-read",
        "open-write",
        "open3",
        "fork-exec",
        "exec-block",
    ];
    rows.ways(&["perl", text(&script)], &ways).try_all();
}

#[test]
fn ruby() {
    let Some(rows) = Rows::of_installed("ruby", &["ruby"], Missing::FailAfterSetup) else { return };
    let script = program_file("starts.rb");
    let ways = [
        "system-list",
        "system-word",
        "system-shell",
        "system-env",
        "system-unset",
        "system-chdir",
        "system-argv0",
        "backticks",
        "spawn",
        "fork-exec",
        "popen",
        "open3",
    ];
    rows.ways(&["ruby", text(&script)], &ways).try_all();
}

#[test]
fn node() {
    let Some(rows) = Rows::of_installed("node", &["node"], Missing::FailAfterSetup) else { return };
    let script = program_file("starts.js");
    let ways = [
        "spawn",
        "spawn-status",
        "spawn-shell",
        "spawn-detached",
        "spawn-env",
        "spawn-cwd",
        "spawn-argv0",
        "exec",
        "execFile",
        "spawnSync",
        "execSync",
        "execFileSync",
    ];
    rows.ways(&["node", text(&script)], &ways).try_all();
}

#[test]
fn java() {
    let programs = ["java", "javac"];
    let Some(mut rows) = Rows::of_installed("java", &programs, Missing::FailAfterSetup) else {
        return;
    };
    let classes = rows.directory();
    let compiled = Command::new("javac")
        .arg("-d")
        .arg(&classes)
        .arg(program_file("Starts.java"))
        .output()
        .expect("javac was just found");
    assert!(compiled.status.success(), "javac: {}", String::from_utf8_lossy(&compiled.stderr));

    for mechanism in ["POSIX_SPAWN", "VFORK", "FORK"] {
        let property = format!("-Djdk.lang.Process.launchMechanism={mechanism}");
        let ways = ["builder", "status", "directory", "environment", "shell", "runtime"]
            .map(|way| format!("{way}-{mechanism}"));
        let ways: Vec<&str> = ways.iter().map(String::as_str).collect();
        let program = [
            "java",
            "-Xshare:auto",
            "-XX:TieredStopAtLevel=1",
            &property,
            "-cp",
            text(&classes),
            "Starts",
        ];
        rows = rows.ways(&program, &ways);
    }
    rows.try_all();
}

#[test]
fn gawk() {
    let Some(rows) = Rows::of_installed("gawk", &["gawk"], Missing::FailAfterSetup) else { return };
    let script = program_file("starts.awk");
    let ways = ["system", "system-status", "getline", "print"];
    rows.ways(&["gawk", "-f", text(&script), "--"], &ways).try_all();
}

#[test]
fn tcl() {
    let Some(rows) = Rows::of_installed("tcl", &["tclsh"], Missing::FailAfterSetup) else { return };
    let script = program_file("starts.tcl");
    rows.ways(&["tclsh", text(&script)], &["exec", "exec-status", "exec-stdout", "open"]).try_all();
}

#[test]
fn r() {
    let Some(rows) = Rows::of_installed("R", &["Rscript"], Missing::FailAfterSetup) else { return };
    let script = program_file("starts.R");
    let ways = ["system", "system-intern", "system-status", "system2", "system2-stdout", "pipe"];
    rows.ways(&["Rscript", "--vanilla", text(&script)], &ways).try_all();
}

#[test]
fn rust() {
    let program = programs_directory().join("starts-rust");
    let ways = [
        "rust-posix_spawn",
        "rust-fork",
        "rust-env_clear",
        "rust-current_dir",
        "rust-exit_status",
        "rust-exec",
    ];
    Rows::of("Rust").ways(&[text(&program)], &ways).try_all();
}

#[test]
fn c_with_musl() {
    let programs = ["musl-gcc"];
    let Some(rows) = Rows::of_installed("C with musl", &programs, Missing::FailAfterSetup) else {
        return;
    };
    let launch = rows.directory().join("launch-musl");
    let compiled = Command::new("musl-gcc")
        .arg("-o")
        .arg(&launch)
        .arg(program_file("launch.c"))
        .output()
        .expect("musl-gcc was just found");
    assert!(compiled.status.success(), "musl-gcc: {}", String::from_utf8_lossy(&compiled.stderr));
    rows.row("musl-execvp", [text(&launch), "probe", "LABEL", "7"])
        .row("musl-child", ["sh", "-c", "./launch-musl probe LABEL; echo $?"])
        .try_all();
}

#[test]
fn static_c() {
    Rows::of("static C")
        .row("static-child", ["sh", "-c", "static-probe LABEL; echo $?"])
        .row("static-then-shell", ["static-launch", "sh", "-c", "probe LABEL"])
        // A static program calls the kernel itself: no preload library sees what it starts.
        .row_of_jobs(0, "static-parent", ["sh", "-c", "static-launch probe LABEL; echo $?"])
        .try_all();
}
