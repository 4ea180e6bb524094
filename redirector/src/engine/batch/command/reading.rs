//! How ids and states are read from what commands print.

use std::collections::BTreeMap;

use regex_lite::Regex;

use crate::{
    config::{StateWord, Templates},
    engine::batch::{End, EngineJobId, Status},
};

/// States by the words of PBS, Torque, LSF, `HTCondor`, OAR and plain English, in capitals.
const KNOWN: [(&str, StateWord); 37] = [
    ("PENDING", StateWord::Pending),
    ("PEND", StateWord::Pending),
    ("PD", StateWord::Pending),
    ("QUEUED", StateWord::Pending),
    ("WAITING", StateWord::Pending),
    ("HELD", StateWord::Pending),
    ("IDLE", StateWord::Pending),
    ("Q", StateWord::Pending),
    ("QW", StateWord::Pending),
    ("H", StateWord::Pending),
    ("W", StateWord::Pending),
    ("T", StateWord::Pending),
    ("I", StateWord::Pending),
    ("PSUSP", StateWord::Pending),
    ("TOLAUNCH", StateWord::Pending),
    ("LAUNCHING", StateWord::Pending),
    ("RUNNING", StateWord::Running),
    ("RUN", StateWord::Running),
    ("R", StateWord::Running),
    ("E", StateWord::Running),
    ("B", StateWord::Running),
    ("S", StateWord::Running),
    ("SSUSP", StateWord::Running),
    ("USUSP", StateWord::Running),
    ("EXITING", StateWord::Running),
    ("DONE", StateWord::Done),
    ("COMPLETED", StateWord::Done),
    ("FINISHED", StateWord::Done),
    ("TERMINATED", StateWord::Done),
    ("C", StateWord::Done),
    ("F", StateWord::Done),
    ("EXIT", StateWord::Failed),
    ("FAILED", StateWord::Failed),
    ("ERROR", StateWord::Failed),
    ("CANCELLED", StateWord::Cancelled),
    ("X", StateWord::Cancelled),
    ("TIMELIMIT", StateWord::TimeLimit),
];

/// The patterns and words of a pool.
#[derive(Debug)]
pub(super) struct Reading {
    id: Option<Regex>,
    status: Option<Regex>,
    states: BTreeMap<String, StateWord>,
}

impl Reading {
    /// # Errors
    /// A sentence for the person, with the pattern.
    pub(super) fn new(templates: &Templates) -> Result<Self, String> {
        let compile = |setting: &str, pattern: &Option<String>| {
            let Some(pattern) = pattern else { return Ok(None) };
            let compiled = Regex::new(pattern).map_err(|error| format!("{setting}: {error}"))?;
            Ok::<_, String>(Some(compiled))
        };
        let id = compile("id_pattern", &templates.id_pattern)?;
        if id.as_ref().is_some_and(|id| id.captures_len() < 2) {
            return Err("id_pattern: put ( ) around the part that is the id".to_owned());
        }
        let status = compile("status_pattern", &templates.status_pattern)?;
        if let Some(status) = &status {
            for group in ["id", "state"] {
                if !status.capture_names().flatten().any(|name| name == group) {
                    return Err(format!("status_pattern: it has no group (?<{group}>…)"));
                }
            }
        }
        let states = templates.states.iter();
        let states = states.map(|(word, state)| (word.to_uppercase(), *state)).collect();
        Ok(Self { id, status, states })
    }

    /// The id in what `submit` printed: by the pattern, else the last word.
    pub(super) fn id(&self, printed: &str) -> Option<EngineJobId> {
        let id = match &self.id {
            Some(pattern) => pattern.captures(printed)?.get(1)?.as_str(),
            None => printed.split_whitespace().last()?,
        };
        let is_option = id.is_empty() || id.starts_with('-');
        (!is_option).then(|| EngineJobId(id.to_owned()))
    }

    /// The jobs in what `status` printed.
    pub(super) fn jobs(&self, printed: &str) -> Vec<(EngineJobId, Status)> {
        printed.lines().filter_map(|line| self.job(line)).collect()
    }

    fn job(&self, line: &str) -> Option<(EngineJobId, Status)> {
        let (id, state, exit, host, reason);
        if let Some(pattern) = &self.status {
            let found = pattern.captures(line)?;
            let group = |name: &str| found.name(name).map(|part| part.as_str());
            (id, state) = (group("id")?, group("state")?);
            (exit, host, reason) = (group("exit"), group("host"), group("reason"));
        } else {
            let mut words = line.split_whitespace();
            (id, state) = (words.next()?, words.next()?);
            (exit, host, reason) = (words.next(), None, None);
        }
        let exit = exit.and_then(|exit| exit.parse::<i32>().ok());
        Some((EngineJobId(id.to_owned()), self.status(state, exit, host, reason)))
    }

    fn status(
        &self,
        state: &str,
        exit: Option<i32>,
        host: Option<&str>,
        reason: Option<&str>,
    ) -> Status {
        let upper = state.to_uppercase();
        let known = || KNOWN.iter().find(|(word, _)| *word == upper).map(|(_, state)| *state);
        let Some(word) = self.states.get(&upper).copied().or_else(known) else {
            return Status::Unknown {
                reason: format!("'{state}' is no state that is known: add it to 'states'"),
            };
        };
        let end = match (word, exit) {
            (StateWord::Pending, _) => {
                return Status::Pending { reason: reason.unwrap_or_default().trim().to_owned() };
            }
            (StateWord::Running, _) => {
                let host = host.map(str::trim).filter(|host| !host.is_empty());
                return Status::Running { host: host.map(str::to_owned), started: None };
            }
            // 128 and the number of the signal, as shells and these engines have it.
            (StateWord::Done | StateWord::Failed, Some(exit @ 129..=192)) => {
                End::Signal(exit - 128)
            }
            (StateWord::Done, exit) => End::Done(exit.unwrap_or(0)),
            (StateWord::Failed, Some(exit)) if exit != 0 => End::Done(exit),
            (StateWord::Failed, _) => {
                End::Failed(reason.map_or_else(|| format!("state {state}"), str::to_owned))
            }
            (StateWord::Cancelled, _) => End::Cancelled { by: None },
            (StateWord::TimeLimit, _) => End::TimeLimit,
            (StateWord::OutOfMemory, _) => End::OutOfMemory,
            (StateWord::NodeFailure, _) => End::NodeFailure,
            (StateWord::Preempted, _) => End::Preempted,
        };
        Status::Ended(end)
    }
}
