//! What a job needs of a node besides resources, and how far it is in its list of pools.

use super::pools::Refused;
use crate::model::{Kind, NodeName, Placement, PoolChoice, PoolList, Rule, Spec, Text};

/// What a job needs of a node besides resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub program: Text,
    pub directory: Text,
    /// Its pools are those that have not refused it.
    pub placement: Placement,
    /// Other jobs may come out of it, or go one at a time with it: only this computer has the
    /// means for that.
    pub is_bound: bool,
    /// The whitelist's line that names its pools.
    pub rule: Option<Rule>,
    /// Pools of its list that have refused it for good, in this order.
    pub refused: Vec<Refused>,
}

impl Need {
    pub(super) fn of(spec: &Spec) -> Self {
        Self {
            program: spec.program.clone(),
            directory: spec.directory.clone(),
            placement: spec.placement.clone(),
            is_bound: spec.kind != Kind::Command || spec.sequential,
            rule: spec.rule.clone(),
            refused: Vec::new(),
        }
    }

    /// Where it has its turn, if its nodes are not any.
    pub(super) fn choice(&self) -> Option<&PoolChoice> {
        self.placement.pool.as_ref().map(PoolList::first)
    }

    /// The pool whose turn it is, if that has a name.
    pub(super) fn pool(&self) -> Option<&String> {
        match self.choice()? {
            PoolChoice::Named(name) => Some(name),
            PoolChoice::Local => None,
        }
    }

    /// Whether it is the turn of the gateway's own node.
    pub(super) fn is_local(&self) -> bool {
        self.choice() == Some(&PoolChoice::Local)
    }

    /// Whether it has several pools, or had before some of them refused it.
    pub(super) fn has_list(&self) -> bool {
        !self.refused.is_empty() || self.placement.pool.as_ref().is_some_and(PoolList::has_several)
    }

    /// Why it is not for the node `name`, whatever that has; `own` is the gateway's.
    pub(super) fn forbids(&self, name: &NodeName, own: &NodeName) -> Option<String> {
        if let Some(host) = &self.placement.host
            && host != name
        {
            return Some(format!("it is to run on {host}"));
        }
        (self.is_local() && name != own)
            .then(|| format!("it is to run on {own}, the gateway's own node"))
    }

    /// The program's file name and the rule, for the person: `'sort', rule 'sort *' in FILE:3`.
    pub(super) fn describe(&self) -> String {
        let program = crate::model::file_name(self.program.as_bytes());
        match &self.rule {
            Some(Rule { file, line, pattern }) => {
                let (file, pattern) = (file.to_string_lossy(), pattern.to_string_lossy());
                format!("'{program}', rule '{pattern}' in {file}:{line}")
            }
            None => format!("'{program}'"),
        }
    }
}
