//! Whether a pool can give an allocation with the options of a job's rule.

use super::{Engine, Pool, PoolMode};
use crate::model::EngineOptions;

impl Pool {
    /// Why a job whose rule has these options gets nothing of this pool, if so.
    pub fn why_not(&self, options: &EngineOptions) -> Option<String> {
        if options.is_empty() {
            return None;
        }
        let name = &self.name;
        if matches!(self.mode, PoolMode::Pilot(_)) {
            return Some(format!(
                "its rule asks for {options}, and the allocations of pool '{name}' (mode = \
                 \"pilot\") are the same for all jobs: give these options to a pool of its own in \
                 redirector.toml, or name one with mode = \"per_job\" in the rule"
            ));
        }
        let strange = options.in_rule().into_iter().find(|(key, _)| !self.engine.takes(*key));
        let (key, value) = strange?;
        Some(match &self.engine {
            Engine::Command(_) => format!(
                "its rule has {key}={value}, and nothing in the 'submit' of pool '{name}' says where \
                 that goes: write {{{key}}} there if it is one of {{partition}}, {{account}} and \
                 {{qos}}, or take it out of the rule"
            ),
            Engine::Slurm { .. } | Engine::GridEngine { .. } => format!(
                "its rule has {key}={value}, which {} of pool '{name}' does not take: take it out \
                 of the rule, or name another pool there",
                self.engine.describe()
            ),
        })
    }
}

impl Engine {
    /// Whether a rule's option gets to it.
    fn takes(&self, key: whitelist::Key) -> bool {
        use whitelist::Key;
        match self {
            Self::Slurm { rest } => match key {
                Key::ParallelEnvironment | Key::EngineResources => false,
                // They are sbatch's.
                Key::Arguments => rest.is_none(),
                _ => true,
            },
            Self::GridEngine { .. } => matches!(
                key,
                Key::Partition
                    | Key::Queue
                    | Key::Account
                    | Key::ParallelEnvironment
                    | Key::EngineResources
                    | Key::Arguments
            ),
            Self::Command(templates) => {
                let has = |place: &str| templates.submit.iter().any(|word| word.contains(place));
                match key {
                    Key::Partition | Key::Queue => has("{partition}") || has("{queue}"),
                    Key::Account => has("{account}"),
                    Key::Qos => has("{qos}"),
                    _ => false,
                }
            }
        }
    }

    fn describe(&self) -> &'static str {
        match self {
            Self::Slurm { rest: Some(_) } => "slurmrestd",
            Self::Slurm { rest: None } => "Slurm",
            Self::GridEngine { .. } => "Grid Engine",
            Self::Command(_) => "the engine",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        config::{Pilot, RestAddress, Templates},
        model::Amount,
    };

    fn options(key: whitelist::Key, value: &str) -> EngineOptions {
        let mut options = EngineOptions::default();
        options.put(key, value.as_bytes());
        options
    }

    fn pool(engine: Engine) -> Pool {
        Pool::minimal("p", engine, PoolMode::PerJob)
    }

    #[test]
    fn each_engine_takes_its_own_options() {
        use whitelist::Key;
        let slurm = pool(Engine::Slurm { rest: None });
        let address = RestAddress { url: "http://h".to_owned(), version: "v0.0.38".to_owned() };
        let rest = pool(Engine::Slurm { rest: Some(address) });
        let grid_engine = pool(Engine::GridEngine { memory_resource: None, gpu_resource: None });
        let command = pool(Engine::Command(Templates {
            submit: vec!["qsub".to_owned(), "-q{queue}".to_owned()],
            status: Vec::new(),
            cancel: Vec::new(),
            id_pattern: None,
            status_pattern: None,
            states: std::collections::BTreeMap::new(),
        }));
        for (key, value, takers) in [
            (Key::Queue, "long", [true, true, true, true]),
            (Key::Account, "a", [true, true, true, false]),
            (Key::Gres, "nvme:1", [true, true, false, false]),
            (Key::Exclusive, "on", [true, true, false, false]),
            (Key::ParallelEnvironment, "smp", [false, false, true, false]),
            (Key::EngineResources, "ssd", [false, false, true, false]),
            (Key::Arguments, "--hold", [true, false, true, false]),
        ] {
            let options = options(key, value);
            let found =
                [&slurm, &rest, &grid_engine, &command].map(|it| it.why_not(&options).is_none());
            assert_eq!(found, takers, "{key}");
        }
    }

    #[test]
    fn pilots_are_the_same_for_all_jobs() {
        let pilot = Pilot {
            min_blocks: 0,
            max_blocks: 1,
            cpus: 1,
            mem: None,
            gpus: 0,
            walltime: Duration::from_hours(1),
            idle_timeout: Duration::from_mins(5),
            backlog: Amount::ONE,
        };
        let pool = Pool::minimal("p", Engine::Slurm { rest: None }, PoolMode::Pilot(pilot));
        let said = pool.why_not(&options(whitelist::Key::Qos, "high")).unwrap();
        assert!(said.contains("qos=high") && said.contains("per_job"), "{said}");
        assert_eq!(pool.why_not(&EngineOptions::default()), None);
    }
}
