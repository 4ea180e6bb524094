//! Words of `[[pools]]`, and which settings belong to which of them.

use serde::Deserialize;

/// `engine`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EngineWord {
    Slurm,
    GridEngine,
    Command,
}

/// `mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeWord {
    #[default]
    PerJob,
    Pilot,
}

impl EngineWord {
    const fn word(self) -> &'static str {
        match self {
            Self::Slurm => "slurm",
            Self::GridEngine => "gridengine",
            Self::Command => "command",
        }
    }
}

/// A command as a shell would split it, or as a list of its words.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a command such as \"qdel {ids}\" or [\"qdel\", \"{ids}\"]")]
pub(super) enum CommandLine {
    Line(String),
    Words(Vec<String>),
}

impl CommandLine {
    pub(super) fn words(&self) -> Result<Vec<String>, String> {
        let words = match self {
            Self::Line(line) => {
                shell_words::split(line).map_err(|error| format!("'{line}': {error}"))?
            }
            Self::Words(words) => words.clone(),
        };
        if words.first().is_none_or(String::is_empty) {
            return Err("expected a command such as \"qdel {ids}\"".to_owned());
        }
        Ok(words)
    }
}

/// Settings that only some engines have.
const OF_ENGINES: [(&str, &[EngineWord]); 18] = [
    ("account", &[EngineWord::Slurm, EngineWord::GridEngine, EngineWord::Command]),
    ("qos", &[EngineWord::Slurm, EngineWord::Command]),
    ("constraint", &[EngineWord::Slurm]),
    ("gres", &[EngineWord::Slurm]),
    ("licenses", &[EngineWord::Slurm]),
    ("exclusive", &[EngineWord::Slurm]),
    ("immediate", &[EngineWord::Slurm]),
    ("rest", &[EngineWord::Slurm]),
    ("rest_version", &[EngineWord::Slurm]),
    ("parallel_environment", &[EngineWord::GridEngine]),
    ("resources", &[EngineWord::GridEngine]),
    ("memory_resource", &[EngineWord::GridEngine]),
    ("gpu_resource", &[EngineWord::GridEngine]),
    ("arguments", &[EngineWord::Slurm, EngineWord::GridEngine]),
    ("submit", &[EngineWord::Command]),
    ("status", &[EngineWord::Command]),
    ("cancel", &[EngineWord::Command]),
    ("states", &[EngineWord::Command]),
];

/// Settings that only pilot allocations have; others take theirs from the job.
const OF_PILOTS: [&str; 7] =
    ["min_blocks", "max_blocks", "cpus", "mem", "gpus", "idle_timeout", "backlog"];

/// Whether settings with these names can be those of a pool of such an engine and mode.
pub(super) fn check(names: &[String], engine: EngineWord, mode: ModeWord) -> Result<(), String> {
    for name in names {
        let name = name.split('.').next().unwrap_or_default();
        let name = if name.ends_with("_pattern") { "states" } else { name };
        let engines = OF_ENGINES.iter().find(|(of_engines, _)| *of_engines == name);
        if let Some((name, engines)) = engines
            && !engines.contains(&engine)
        {
            let engines: Vec<_> = engines.iter().map(|engine| engine.word()).collect();
            return Err(format!(
                "'{name}' is for engine = \"{}\", and this is \"{}\"",
                engines.join("\" or \""),
                engine.word()
            ));
        }
        if mode == ModeWord::Pilot && name == "immediate" {
            return Err(
                "'immediate' is for mode = \"per_job\": pilots are asked for ahead".to_owned()
            );
        }
        if mode == ModeWord::PerJob && OF_PILOTS.contains(&name) {
            return Err(format!(
                "'{name}' is for mode = \"pilot\"; with \"per_job\" each allocation has what \
                     its job asks for"
            ));
        }
    }
    Ok(())
}
