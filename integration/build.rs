//! Compiles the helper programs in `programs/` that the tests start.
//!
//! They are compiled here, once, because every test needs some of them. C, and not Rust binaries of
//! this crate: those are linked statically like everything in the workspace, and a static program
//! loads no preload library.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Source, result and extra compiler options.
const C_PROGRAMS: [(&str, &str, &[&str]); 10] = [
    ("bomb.c", "bomb", &[]),
    ("probe.c", "probe", &[]),
    ("probe.c", "static-probe", &["-static"]),
    ("end.c", "end", &[]),
    ("tell.c", "tell", &[]),
    ("witness.c", "witness", &[]),
    ("crowded.c", "crowded", &[]),
    ("launch.c", "launch", &[]),
    ("launch.c", "static-launch", &["-static"]),
    ("bystander.c", "libbystander.so", &["-shared", "-fPIC"]),
];

fn main() {
    println!("cargo::rerun-if-changed=programs");
    let results = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("programs");
    fs::create_dir_all(&results).expect("OUT_DIR is writable");

    for (source, result, options) in C_PROGRAMS {
        let mut cc = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        cc.args(["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"]);
        run(cc.args(options).arg("-o").arg(results.join(result)).arg(source_file(source)));
    }

    let mut rustc = Command::new(env::var_os("RUSTC").expect("set by cargo"));
    rustc.args(["--edition", "2024", "-C", "debuginfo=0", "-C", "strip=symbols"]);
    run(rustc.arg("-o").arg(results.join("starts-rust")).arg(source_file("starts.rs")));
}

fn source_file(name: &str) -> PathBuf {
    Path::new("programs").join(name)
}

fn run(command: &mut Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{command:?} ended with {status}"),
        Err(error) => panic!("cannot start {command:?}: {error}"),
    }
}
