//! The figures as JSON, for whoever compares two measurements.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{machine::Machine, section::Result, workbench::Effort};

#[derive(Serialize)]
struct Report<'a> {
    effort: Effort,
    machine: &'a Machine,
    sections: &'a [Result],
}

/// Writes `bench.json` into cargo's target directory.
///
/// # Panics
///
/// When it cannot be written.
pub(crate) fn write(machine: &Machine, effort: Effort, sections: &[Result]) -> PathBuf {
    let file = target_directory().join("bench.json");
    let report = Report { effort, machine, sections };
    let text = serde_json::to_string_pretty(&report).expect("all keys are strings");
    fs::write(&file, text + "\n")
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
    file
}

/// Cargo puts programs into `<target>/<profile>`.
fn target_directory() -> PathBuf {
    let own = env::current_exe().expect("the running bench has a path");
    own.ancestors().nth(2).map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
