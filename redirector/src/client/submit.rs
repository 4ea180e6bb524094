//! `redirector submit`: from a command to jobs for which nobody waits.
//!
//! A job's environment is set up as `redirector run` does it, so that what the whitelist names
//! becomes a job of its own also inside: a pipeline that is submitted is a run with its jobs.

use std::{env, path::PathBuf, time::Duration};

use super::{submission, threads};
use crate::{
    agent::invocation::Invocation,
    model::{
        Amount, Dependency, EngineOptions, Kind, NodeName, PoolList, PoolName, Retries, Spec, Text,
    },
    place, preload,
    protocol::{DetachedSubmission, Elements, Submission},
};

/// The jobs cannot be submitted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libshim.so is missing or cannot be preloaded.
    #[error(transparent)]
    Preload(#[from] preload::Error),
    /// The home directory is not known.
    #[error(transparent)]
    Place(#[from] place::Error),
}

/// What the person asks for; what is `None` is as the whitelist has it for the command.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// What listings call the jobs.
    pub name: Option<String>,
    /// Cpus.
    pub cpus: Option<Amount>,
    /// Memory in bytes.
    pub mem: Option<u64>,
    /// Other resources.
    pub pools: Vec<(PoolName, Amount)>,
    /// The longest that one attempt may run.
    pub time_limit: Option<Duration>,
    /// Jobs of higher priority start first.
    pub priority: Option<i32>,
    /// How often they are tried again.
    pub retries: Option<Retries>,
    /// The node that they run on.
    pub host: Option<NodeName>,
    /// The pools of which the first that takes them lends them a node, or has it.
    pub pool: Option<PoolList>,
    /// What the pool's batch engine is asked for; it goes over what the whitelist has.
    pub options: EngineOptions,
    /// What their node must have; none: as the whitelist has it.
    pub tags: Vec<String>,
    /// Nodes on which they rather run than on others.
    pub near: Vec<NodeName>,
    /// Whether their inputs are copied to the node, and their outputs back.
    pub stage: Option<bool>,
    /// The jobs that they follow.
    pub after: Vec<Dependency>,
    /// What the elements are; none: one job.
    pub elements: Option<Elements>,
    /// Wait until they are released.
    pub held: bool,
    /// One at a time.
    pub sequential: bool,
    /// The working directory, if it is not this process's.
    pub directory: Option<PathBuf>,
}

impl Wishes {
    fn set(self, spec: &mut Spec) {
        let Self { name, cpus, mem, pools, time_limit, priority, retries, after, .. } = self;
        spec.name = name.unwrap_or_else(|| std::mem::take(&mut spec.name));
        spec.resources.cpus = cpus.unwrap_or(spec.resources.cpus);
        spec.resources.mem = mem.unwrap_or(spec.resources.mem);
        for (pool, amount) in pools {
            spec.resources = std::mem::take(&mut spec.resources).with(pool, amount);
        }
        spec.time_limit = time_limit.map(|limit| limit.as_millis() as u64).or(spec.time_limit);
        spec.priority = priority.unwrap_or(spec.priority);
        spec.retries = retries.unwrap_or(spec.retries);
        let placement = &mut spec.placement;
        if self.pool.is_some() {
            // They were for another pool.
            placement.options = EngineOptions::default();
            placement.host = None;
        }
        placement.host = self.host.or(placement.host.take());
        placement.pool = self.pool.or(placement.pool.take());
        if !self.tags.is_empty() {
            placement.tags = self.tags;
        }
        placement.near = self.near;
        placement.stage = self.stage.or(placement.stage);
        placement.options = placement.options.with(&self.options);
        spec.after = after;
        if let Some(directory) = self.directory {
            spec.directory = directory.into();
        }
    }
}

/// What is submitted.
#[derive(Debug)]
pub struct Prepared {
    /// For the gateway.
    pub submission: DetachedSubmission,
    /// What could not be evaluated of the whitelist's rule, for the person.
    pub problems: Vec<String>,
}

/// Makes a submission of `invocation`.
pub fn prepare(mut invocation: Invocation, mut wishes: Wishes) -> Result<Prepared, Error> {
    let whitelists: Vec<_> = place::whitelists()
        .unwrap_or_default()
        .into_iter()
        .map(|path| std::path::absolute(&path).unwrap_or(path))
        .collect();
    let argv = invocation.argument_texts();
    let decision = submission::decide(&whitelists, invocation.program.as_bytes(), &argv)
        .filter(|decision| decision.redirects);
    let problems = decision.as_ref().map_or_else(Vec::new, |decision| {
        let place = format!("{}:{}", decision.rule.file.to_string_lossy(), decision.rule.line);
        decision.problems.iter().map(|problem| format!("{place}: {problem}")).collect()
    });
    // A tool that the whitelist knows starts no jobs, unless it says so; anything else may be a
    // script or a whole pipeline.
    let kind = match &decision {
        Some(decision) if !decision.nested => Kind::Command,
        // What starts jobs stays where the gateway is.
        _ if wishes.pool.is_some() => Kind::Command,
        _ => Kind::Nested,
    };
    let names_cpus =
        wishes.cpus.is_some() || decision.as_ref().is_some_and(|decision| decision.names_cpus);
    for (name, value) in decision.iter().flat_map(|decision| &decision.variables) {
        invocation.set(name, value.as_bytes());
    }
    if kind == Kind::Nested {
        set_up_session(&mut invocation, &whitelists)?;
    } else {
        preload::remove_shim(&mut invocation);
    }
    let Submission { key, mut spec, token, .. } =
        submission::submission(&invocation, decision, &whitelists);
    let (elements, held) = (wishes.elements.take(), wishes.held);
    let sequential = wishes.sequential;
    wishes.set(&mut spec);
    if names_cpus {
        threads::set(&mut invocation, spec.resources.cpus);
    }
    spec.kind = kind;
    spec.detached = true;
    let submission = DetachedSubmission {
        key,
        spec,
        elements,
        hosts: Vec::new(),
        environment: environment(invocation),
        umask: umask(),
        token,
        held,
        sequential,
    };
    Ok(Prepared { submission, problems })
}

/// Sets what the job's own processes need to become jobs.
fn set_up_session(invocation: &mut Invocation, whitelists: &[PathBuf]) -> Result<(), Error> {
    preload::add_shim(invocation, &preload::shim()?);
    invocation.set("REDIRECTOR_HOME", place::home()?.as_os_str().as_encoded_bytes());
    let list = env::join_paths(whitelists).unwrap_or_default();
    invocation.set("REDIRECTOR_WHITELIST", list.as_encoded_bytes());
    Ok(())
}

/// The jobs' environment: what names the run and the job around this process is not theirs.
fn environment(mut invocation: Invocation) -> Vec<Text> {
    invocation.remove(b"REDIRECTOR_RUN");
    invocation.remove(b"REDIRECTOR_TOKEN");
    invocation.environment_texts()
}

/// This process's `umask`, which can only be read by setting it.
fn umask() -> u32 {
    use nix::sys::stat::{Mode, umask};
    let mask = umask(Mode::from_bits_truncate(0o077));
    umask(mask);
    mask.bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Placement;

    #[test]
    fn wishes_for_a_place_go_over_the_rules() {
        let node = |name: &str| NodeName(name.to_owned());
        let qos =
            |name: &str| EngineOptions { qos: Some(name.to_owned()), ..EngineOptions::default() };
        let rule = Placement {
            host: Some(node("a")),
            pool: Some(PoolList::from("lab")),
            tags: vec!["big".to_owned()],
            stage: Some(true),
            options: qos("low"),
            ..Placement::default()
        };
        let placed = |wishes: Wishes| {
            let mut spec = Spec { placement: rule.clone(), ..Spec::default() };
            wishes.set(&mut spec);
            spec.placement
        };
        assert_eq!(placed(Wishes::default()), rule);
        let wishes = Wishes {
            host: Some(node("b")),
            tags: vec!["fast".to_owned()],
            near: vec![node("c")],
            stage: Some(false),
            options: qos("high"),
            ..Wishes::default()
        };
        let expected = Placement {
            host: Some(node("b")),
            pool: rule.pool.clone(),
            tags: vec!["fast".to_owned()],
            near: vec![node("c")],
            stage: Some(false),
            options: qos("high"),
            ..Placement::default()
        };
        assert_eq!(placed(wishes), expected);
        let pools = Some(PoolList::from("long,local"));
        let in_pool = placed(Wishes { pool: pools.clone(), ..Wishes::default() });
        assert_eq!((in_pool.host, in_pool.pool), (None, pools));
        assert!(in_pool.options.is_empty());
    }
}
