//! The settings of a pool, for `redirector config`.

use super::{Engine, EngineOptions, Pool, PoolMode};
use crate::{
    model::Text,
    units::{format_bytes, format_duration},
};

impl Pool {
    /// What is set of it, for people: the names are those of the file.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("engine".to_owned(), self.engine.word().to_owned()),
            ("mode".to_owned(), self.mode.word().to_owned()),
            ("interval".to_owned(), format_duration(self.interval)),
        ];
        let mut add = |name: &str, value: Option<String>| {
            all.extend(value.map(|value| (name.to_owned(), value)));
        };
        for (name, value) in self.options.set() {
            add(name, Some(value));
        }
        if let PoolMode::Pilot(pilot) = &self.mode {
            add("min_blocks", Some(pilot.min_blocks.to_string()));
            add("max_blocks", Some(pilot.max_blocks.to_string()));
            add("cpus", Some(pilot.cpus.to_string()));
            add("mem", pilot.mem.map(format_bytes));
            add("gpus", (pilot.gpus > 0).then(|| pilot.gpus.to_string()));
            add("idle_timeout", Some(format_duration(pilot.idle_timeout)));
            add("backlog", Some(pilot.backlog.to_string()));
        }
        add("immediate", (!self.immediate).then(|| "false".to_owned()));
        add("walltime", self.walltime.map(format_duration));
        match &self.engine {
            Engine::Slurm { rest } => {
                add("rest", rest.as_ref().map(|rest| rest.url.clone()));
                add("rest_version", rest.as_ref().map(|rest| rest.version.clone()));
            }
            Engine::GridEngine { memory_resource, gpu_resource } => {
                add("memory_resource", memory_resource.clone());
                add("gpu_resource", gpu_resource.clone());
            }
            Engine::Command(templates) => {
                add("submit", Some(shell_words::join(&templates.submit)));
                add("status", Some(shell_words::join(&templates.status)));
                add("cancel", Some(shell_words::join(&templates.cancel)));
                add("id_pattern", templates.id_pattern.clone());
                add("status_pattern", templates.status_pattern.clone());
            }
        }
        add("setup", self.setup.clone());
        add("tags", (!self.tags.is_empty()).then(|| self.tags.join(", ")));
        for (here, there) in &self.path_map {
            let name = format!("path_map.{}", here.to_string_lossy());
            add(&name, Some(there.to_string_lossy().into_owned()));
        }
        for (table, variables) in [("env", &self.env), ("engine_env", &self.engine_env)] {
            for (name, value) in variables {
                let value = value.as_ref().map_or("taken away".into(), Text::to_string_lossy);
                // It gives whoever has it all of the user's rights in Slurm.
                let is_secret = name.as_bytes() == b"SLURM_JWT";
                let value = if is_secret { "(secret)".into() } else { value };
                add(&format!("{table}.{}", name.to_string_lossy()), Some(value.into_owned()));
            }
        }
        all
    }
}

impl EngineOptions {
    /// Those that are set: the setting, and its value for people.
    fn set(&self) -> Vec<(&'static str, String)> {
        let list = |list: &[String]| (!list.is_empty()).then(|| list.join(" "));
        let all = [
            ("partition", self.partition.clone()),
            ("account", self.account.clone()),
            ("qos", self.qos.clone()),
            ("constraint", self.constraint.clone()),
            ("gres", self.gres.clone()),
            ("licenses", self.licenses.clone()),
            ("exclusive", self.exclusive.map(|exclusive| exclusive.to_string())),
            ("parallel_environment", self.parallel_environment.clone()),
            ("resources", list(&self.resources)),
            ("arguments", list(&self.arguments)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}
