//! `[[pools]]` as they are written, and how several files make one list of them.
//!
//! A pool that an earlier file has too is changed setting by setting; of the tables `states`,
//! `path_map`, `env` and `engine_env`, entry by entry.

mod words;

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use toml::Spanned;

use self::words::{CommandLine, EngineWord, ModeWord, check};
use super::{
    Engine, EngineOptions, Pilot, Pool, PoolMode, RestAddress, StateWord, Templates,
    host_list::parse_node_name,
    hosts::{check_directory, check_tag},
    value::{WrittenBytes, WrittenCpus, WrittenDuration},
    written_hosts::WrittenVariable,
};
use crate::model::{Amount, PoolChoice, Text};

/// Declares the settings of a pool once, for reading, changing and naming them.
macro_rules! settings {
    ($($(#[$attribute:meta])* $name:ident: $type:ty),* $(,)?) => {
        /// One of `[[pools]]`.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct PoolSection {
            name: Spanned<String>,
            #[serde(default)]
            states: BTreeMap<String, StateWord>,
            #[serde(default)]
            path_map: BTreeMap<String, String>,
            #[serde(default)]
            env: BTreeMap<String, WrittenVariable>,
            #[serde(default)]
            engine_env: BTreeMap<String, WrittenVariable>,
            $($(#[$attribute])* $name: Option<$type>,)*
        }

        impl PoolSection {
            /// Takes what `later` sets.
            fn change(&mut self, later: Self) {
                $(if later.$name.is_some() { self.$name = later.$name; })*
                self.states.extend(later.states);
                self.path_map.extend(later.path_map);
                self.env.extend(later.env);
                self.engine_env.extend(later.engine_env);
            }

            /// The names of what is set.
            fn names(&self) -> Vec<String> {
                let mut names = Vec::new();
                $(if self.$name.is_some() { names.push(stringify!($name).to_owned()); })*
                let tables = [
                    ("states", self.states.keys().collect::<Vec<_>>()),
                    ("path_map", self.path_map.keys().collect()),
                    ("env", self.env.keys().collect()),
                    ("engine_env", self.engine_env.keys().collect()),
                ];
                for (table, keys) in tables {
                    names.extend(keys.iter().map(|key| format!("{table}.{key}")));
                }
                names
            }
        }
    };
}

settings! {
    enabled: bool,
    engine: EngineWord,
    mode: ModeWord,
    interval: WrittenDuration,
    immediate: bool,
    walltime: WrittenDuration,
    #[serde(alias = "queue")]
    partition: String,
    account: String,
    qos: String,
    constraint: String,
    gres: String,
    licenses: String,
    exclusive: bool,
    parallel_environment: String,
    #[serde(alias = "engine_resources")]
    resources: Vec<String>,
    arguments: Vec<String>,
    rest: String,
    rest_version: String,
    memory_resource: String,
    gpu_resource: String,
    submit: CommandLine,
    status: CommandLine,
    cancel: CommandLine,
    id_pattern: String,
    status_pattern: String,
    min_blocks: u32,
    max_blocks: u32,
    cpus: u32,
    mem: WrittenBytes,
    gpus: u32,
    idle_timeout: WrittenDuration,
    backlog: WrittenCpus,
    setup: String,
    tags: Vec<String>,
}

const DEFAULT_REST_VERSION: &str = "v0.0.38";
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_mins(5);

impl PoolSection {
    /// The pool; `None` if it is switched off.
    fn finish(&self) -> Result<Option<Pool>, String> {
        let name = self.name.get_ref();
        parse_node_name(name)
            .map_err(|error| error.replace("the name of a node", "the name of a pool"))?;
        if PoolChoice::is_reserved(name) {
            return Err(format!(
                "no pool can be called '{name}': in a rule's 'pool=' that word is the gateway's own \
                 node"
            ));
        }
        let Some(engine) = self.engine else {
            return Err("it has no 'engine': write slurm, gridengine or command".to_owned());
        };
        check(&self.names(), engine, self.mode.unwrap_or_default())?;
        let mut pool = Pool::minimal(name, self.engine(engine)?, self.mode()?);
        pool.options = self.options();
        pool.immediate = self.immediate.unwrap_or(true);
        pool.walltime = self.walltime.as_ref().map(|walltime| walltime.0);
        if let Some(interval) = &self.interval {
            if interval.0.as_secs() == 0 {
                return Err("'interval' is at least 1s: others use the engine, too".to_owned());
            }
            pool.interval = interval.0;
        }
        pool.engine_env = variables("engine_env", &self.engine_env)?;
        pool.env = variables("env", &self.env)?;
        pool.setup.clone_from(&self.setup);
        for (here, there) in &self.path_map {
            let (here, there) = (Text::from(&**here), Text::from(&**there));
            check_directory(&here)?;
            check_directory(&there)?;
            pool.path_map.insert(here, there);
        }
        pool.tags = self.tags.clone().unwrap_or_default();
        pool.tags.iter().try_for_each(|tag| check_tag(tag))?;
        Ok(Some(pool).filter(|_| self.enabled != Some(false)))
    }

    fn engine(&self, engine: EngineWord) -> Result<Engine, String> {
        Ok(match engine {
            EngineWord::Slurm => Engine::Slurm { rest: self.rest()? },
            EngineWord::GridEngine => Engine::GridEngine {
                memory_resource: self.memory_resource.clone(),
                gpu_resource: self.gpu_resource.clone(),
            },
            EngineWord::Command => {
                let words = |name: &str, line: &Option<CommandLine>| {
                    let line = line.as_ref().ok_or_else(|| {
                        format!("engine = \"command\" needs '{name}': see docs/engines.md")
                    })?;
                    line.words().map_err(|error| format!("{name}: {error}"))
                };
                Engine::Command(Templates {
                    submit: words("submit", &self.submit)?,
                    status: words("status", &self.status)?,
                    cancel: words("cancel", &self.cancel)?,
                    id_pattern: self.id_pattern.clone(),
                    status_pattern: self.status_pattern.clone(),
                    states: self.states.clone(),
                })
            }
        })
    }

    fn rest(&self) -> Result<Option<RestAddress>, String> {
        let Some(url) = &self.rest else { return Ok(None) };
        if url.starts_with("https://") {
            return Err(format!(
                "rest: '{url}': https is not supported. Put something that speaks it in front of \
                 slurmrestd, a TLS proxy or an ssh tunnel, and name its http:// address"
            ));
        }
        if !url.starts_with("http://") {
            return Err(format!(
                "rest: expected where slurmrestd answers, such as \"http://head:6820\", found \
                 '{url}'"
            ));
        }
        if self.immediate == Some(true) {
            return Err("'immediate' is by salloc, which 'rest' does without".to_owned());
        }
        if self.arguments.as_ref().is_some_and(|arguments| !arguments.is_empty()) {
            return Err("'arguments' are sbatch's, which 'rest' does without".to_owned());
        }
        let version = self.rest_version.as_deref().unwrap_or(DEFAULT_REST_VERSION);
        if !version.starts_with('v') || version.contains('/') {
            return Err(format!("rest_version: expected one such as v0.0.38, found '{version}'"));
        }
        Ok(Some(RestAddress { url: url.clone(), version: version.to_owned() }))
    }

    fn mode(&self) -> Result<PoolMode, String> {
        if self.mode.unwrap_or_default() == ModeWord::PerJob {
            return Ok(PoolMode::PerJob);
        }
        let needs = |what: &str| {
            format!("mode = \"pilot\" needs '{what}': how much of it each allocation has")
        };
        let pilot = Pilot {
            min_blocks: self.min_blocks.unwrap_or(0),
            max_blocks: self.max_blocks.unwrap_or(1),
            cpus: self.cpus.ok_or_else(|| needs("cpus"))?,
            mem: self.mem.as_ref().map(|mem| mem.0),
            gpus: self.gpus.unwrap_or(0),
            walltime: self.walltime.as_ref().ok_or_else(|| needs("walltime"))?.0,
            idle_timeout: self.idle_timeout.as_ref().map_or(DEFAULT_IDLE_TIMEOUT, |time| time.0),
            backlog: self.backlog.as_ref().map_or(Amount::ONE, |backlog| backlog.0),
        };
        if pilot.cpus == 0 || pilot.max_blocks == 0 {
            return Err("with 'cpus = 0' or 'max_blocks = 0' nothing ever runs there".to_owned());
        }
        if pilot.min_blocks > pilot.max_blocks {
            return Err(format!(
                "'min_blocks = {}' is more than 'max_blocks = {}'",
                pilot.min_blocks, pilot.max_blocks
            ));
        }
        Ok(PoolMode::Pilot(pilot))
    }

    fn options(&self) -> EngineOptions {
        EngineOptions {
            partition: self.partition.clone(),
            account: self.account.clone(),
            qos: self.qos.clone(),
            constraint: self.constraint.clone(),
            gres: self.gres.clone(),
            licenses: self.licenses.clone(),
            exclusive: self.exclusive,
            parallel_environment: self.parallel_environment.clone(),
            resources: self.resources.clone().unwrap_or_default(),
            arguments: self.arguments.clone().unwrap_or_default(),
        }
    }
}

fn variables(
    table: &str,
    written: &BTreeMap<String, WrittenVariable>,
) -> Result<BTreeMap<Text, Option<Text>>, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in written {
        if name.is_empty() || name.contains('=') {
            return Err(format!("the name of a variable in '{table}' is not empty and has no '='"));
        }
        let value = value.value().map_err(|error| format!("{table}.{name}: {error}"))?;
        variables.insert(Text::from(&**name), value);
    }
    Ok(variables)
}

/// Pools, as one file after the other is read.
#[derive(Debug, Default)]
pub(super) struct CollectedPools {
    sections: Vec<PoolSection>,
    /// Where what is not a default comes from: `pools.long.walltime` from which file.
    pub origins: BTreeMap<String, String>,
}

impl CollectedPools {
    /// Takes what the file `origin` says. `text` is that file, to tell the line of what is wrong.
    pub(super) fn read(
        &mut self,
        sections: Vec<PoolSection>,
        origin: &str,
        text: &str,
    ) -> Result<(), String> {
        let mut lines = BTreeMap::new();
        for section in sections {
            let at = section.name.span().start;
            let line = text[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
            let name = section.name.get_ref().clone();
            if let Some(before) = lines.insert(name.clone(), line) {
                return Err(format!(
                    "line {line}: the pool '{name}' is in line {before} already: keep one of them"
                ));
            }
            for setting in section.names() {
                self.origins.insert(format!("pools.{name}.{setting}"), origin.to_owned());
            }
            let known = self.sections.iter_mut().find(|known| *known.name.get_ref() == name);
            let changed = match known {
                Some(known) => {
                    known.change(section);
                    known
                }
                None => self.sections.push_mut(section),
            };
            changed.finish().map_err(|error| format!("line {line}: pool '{name}': {error}"))?;
        }
        Ok(())
    }

    /// Those that are to be used.
    pub(super) fn finish(&self) -> Vec<Pool> {
        // Each was checked when it was read.
        self.sections.iter().filter_map(|section| section.finish().ok().flatten()).collect()
    }
}
