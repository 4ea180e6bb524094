//! The attributes that a rule can have, and what messages say of each.

use core::fmt::{self, Display, Formatter};

/// The attributes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is described where its value is, in `Request`")]
pub enum Key {
    Name,
    Cpus,
    Mem,
    Gpus,
    Time,
    Priority,
    Pool,
    Host,
    Tags,
    Retries,
    Resources,
    Cache,
    Stage,
    Nested,
    Env,
    Partition,
    Queue,
    Account,
    Qos,
    Constraint,
    Gres,
    Licenses,
    Exclusive,
    ParallelEnvironment,
    EngineResources,
    Arguments,
}

impl Key {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 26] = [
        Self::Name,
        Self::Cpus,
        Self::Mem,
        Self::Gpus,
        Self::Time,
        Self::Priority,
        Self::Pool,
        Self::Host,
        Self::Tags,
        Self::Retries,
        Self::Resources,
        Self::Cache,
        Self::Stage,
        Self::Nested,
        Self::Env,
        Self::Partition,
        Self::Queue,
        Self::Account,
        Self::Qos,
        Self::Constraint,
        Self::Gres,
        Self::Licenses,
        Self::Exclusive,
        Self::ParallelEnvironment,
        Self::EngineResources,
        Self::Arguments,
    ];

    /// As it is written in a rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cpus => "cpus",
            Self::Mem => "mem",
            Self::Gpus => "gpus",
            Self::Time => "time",
            Self::Priority => "priority",
            Self::Pool => "pool",
            Self::Host => "host",
            Self::Tags => "tags",
            Self::Retries => "retries",
            Self::Resources => "resources",
            Self::Cache => "cache",
            Self::Stage => "stage",
            Self::Nested => "nested",
            Self::Env => "env",
            Self::Partition => "partition",
            Self::Queue => "queue",
            Self::Account => "account",
            Self::Qos => "qos",
            Self::Constraint => "constraint",
            Self::Gres => "gres",
            Self::Licenses => "licenses",
            Self::Exclusive => "exclusive",
            Self::ParallelEnvironment => "parallel_environment",
            Self::EngineResources => "engine_resources",
            Self::Arguments => "arguments",
        }
    }

    /// What its value looks like, for messages: 'expected …'.
    pub const fn expected_value(self) -> &'static str {
        match self {
            Self::Name | Self::Host => "a word, in quotes if it holds blanks,",
            Self::Pool => "names of pools with commas between them, each once,",
            Self::Cpus | Self::Gpus => {
                "a number with at most 4 decimals such as 4 or 0.25, or an option such as -t,"
            }
            Self::Mem => "a number with a unit such as 8G",
            Self::Time => "a time such as 90s, 30m, 4h, 2d, 1:30:00 or 2-00:00:00",
            Self::Priority => "a whole number such as 10 or -5",
            Self::Tags => "words with commas between them",
            Self::Retries => "a whole number such as 2, or node:3,oom:2,exit:1,",
            Self::Resources => {
                "NAME:AMOUNT pairs such as licence:1 with commas between them, each name once and \
                 none of cpus, mem and gpus,"
            }
            Self::Cache | Self::Stage | Self::Nested | Self::Exclusive => "'on' or 'off'",
            Self::Env => "NAME=VALUE pairs with commas between them",
            Self::Partition
            | Self::Queue
            | Self::Account
            | Self::Qos
            | Self::Constraint
            | Self::ParallelEnvironment => "a word without blanks that does not start with '-',",
            Self::Gres => {
                "generic resources such as nvme:1 or fpga:arria10:2, with commas between them,"
            }
            Self::Licenses => "licenses such as matlab:2, with commas between them,",
            Self::EngineResources => {
                "what qsub takes after -l, such as arch=lx-amd64, with commas between them,"
            }
            Self::Arguments => {
                "options of the engine's submitting program, such as '--nice=5 --hold' in quotes,"
            }
        }
    }
}

impl Key {
    /// The attribute that is written so.
    pub fn find(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str().as_bytes() == name)
    }

    /// What the command line has to give for it, for messages.
    pub(crate) const fn expected_argument(self) -> &'static str {
        match self {
            Self::Mem => "a number with a unit such as 8G",
            Self::Time => "a time such as 30m or 1:30:00",
            _ => "a number such as 4",
        }
    }
}

impl Display for Key {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
