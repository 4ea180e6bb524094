//! What a job asks for, after a rule has looked at its command line.

use core::fmt::{self, Display, Formatter};

use crate::attributes::Attributes;
use crate::command::Arguments;
use crate::engine::EngineOptions;
use crate::error::Excerpt;
use crate::expression::Expression;
use crate::key::Key;
use crate::list::{Environment, Pools, Retries, Tags};
use crate::quantity::Amount;

/// What a rule asks for on behalf of one command. `None` where it asks for nothing.
#[derive(Clone, Copy, Debug)]
pub struct Request<'t> {
    /// What the job is called in listings.
    pub name: Option<&'t [u8]>,
    /// Cpus in 1/10 000, never 0.
    pub cpus: Option<u64>,
    /// Memory in bytes.
    pub mem: Option<u64>,
    /// Graphics processors in 1/10 000.
    pub gpus: Option<u64>,
    /// The longest time it may run, in seconds.
    pub time: Option<u64>,
    /// Jobs with a higher number go first.
    pub priority: Option<i32>,
    /// The sets of nodes it has to run in, with commas between them: in the first that takes it.
    pub pool: Option<&'t [u8]>,
    /// The node it has to run on.
    pub host: Option<&'t [u8]>,
    /// Labels.
    pub tags: Tags<'t>,
    /// How often it may be tried again after a failure.
    pub retries: Option<Retries>,
    /// Whatever else it uses up.
    pub resources: Pools<'t>,
    /// Whether an earlier run with the same inputs may stand in for it.
    pub cache: bool,
    /// Whether its files are brought to the node and back.
    pub stage: Option<bool>,
    /// Whether whitelisted programs that it starts become jobs of their own.
    pub nested: bool,
    /// Environment variables to set for it.
    pub env: Environment<'t>,
    /// What the batch engine of its pool is asked for.
    pub options: EngineOptions<'t>,
    /// Attributes that could not be worked out; they are `None` above.
    pub problems: Problems<'t>,
}

/// Why an attribute could not be worked out for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'t> {
    /// The attribute that is left out.
    pub key: Key,
    /// Why.
    pub kind: ProblemKind<'t>,
}

/// The ways in which a command line can fail to give a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind<'t> {
    /// The option is there, but what follows it is no number of the right kind.
    Unreadable {
        /// The option as the rule writes it, with its alternatives: `-t|--threads`.
        option: &'t [u8],
        /// The index in `argv` of the argument that should hold the value; past the end when the
        /// option is the last argument.
        argument: usize,
    },
    /// `cpus` comes out as 0. Many tools take 0 threads as "as many as there are".
    NoCpus,
}

impl Display for Problem<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let key = self.key;
        match self.kind {
            ProblemKind::Unreadable { option, argument } => write!(
                out,
                "'{key}' is left out: expected {} in argument {argument}, the value of '{}'",
                key.expected_argument(),
                Excerpt::of(option)
            ),
            ProblemKind::NoCpus => {
                write!(out, "'{key}' is left out: the command line gives 0, expected more")
            }
        }
    }
}

/// The problems of one request, at most one for each attribute that is worked out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Problems<'t>([Option<Problem<'t>>; 4]);

impl<'t> Problems<'t> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem<'t>> {
        self.0.iter().flatten()
    }

    /// Whether all went well.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn add(&mut self, problem: Problem<'t>) {
        if let Some(free) = self.0.iter_mut().find(|place| place.is_none()) {
            *free = Some(problem);
        }
    }
}

impl<'t> Request<'t> {
    pub(crate) fn new<A: Arguments + ?Sized>(attributes: &Attributes<'t>, arguments: &A) -> Self {
        let mut problems = Problems::default();
        let mut evaluate = |expression: Option<Expression<'t>>, cpus: Option<Amount>| {
            expression?.evaluate(arguments, cpus).unwrap_or_else(|problem| {
                problems.add(problem);
                None
            })
        };
        let cpus = evaluate(attributes.cpus, None);
        let positive_cpus = cpus.filter(|&cpus| cpus != Amount::ZERO);
        let mem = evaluate(attributes.mem, positive_cpus);
        let gpus = evaluate(attributes.gpus, None);
        let time = evaluate(attributes.time, positive_cpus);
        if cpus != positive_cpus {
            problems.add(Problem { key: Key::Cpus, kind: ProblemKind::NoCpus });
        }
        Self {
            name: attributes.name,
            cpus: positive_cpus.map(Amount::ten_thousandths),
            mem: mem.map(Amount::rounded_up),
            gpus: gpus.map(Amount::ten_thousandths),
            time: time.map(Amount::rounded_up),
            priority: attributes.priority,
            pool: attributes.pool,
            host: attributes.host,
            tags: attributes.tags.unwrap_or_default(),
            retries: attributes.retries,
            resources: attributes.resources.unwrap_or_default(),
            cache: attributes.cache.unwrap_or(false),
            stage: attributes.stage,
            nested: attributes.nested.unwrap_or(false),
            env: attributes.env.unwrap_or_default(),
            options: attributes.options,
            problems,
        }
    }
}
