//! Values with several parts: `tags=a,b`, `env=A=1,B=2`, `resources=licence:1`, `retries=oom:2`.
//!
//! A list is checked as a whole when its rule is read, and taken apart each time it is looked at.

use crate::quantity::{Quantity, whole_number};

/// Labels of a job, in the order of the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags<'t>(&'t [u8]);

impl<'t> Tags<'t> {
    /// Each label.
    pub fn iter(&self) -> impl Iterator<Item = &'t [u8]> + use<'t> {
        items(self.0)
    }

    pub(crate) fn parse(value: &'t [u8]) -> Option<Self> {
        value.split(|&byte| byte == b',').all(|tag| !tag.is_empty()).then_some(Self(value))
    }
}

/// Whether `value` names pools, each once.
pub(crate) fn is_pool_list(value: &[u8]) -> bool {
    let mut rest = value.split(|&byte| byte == b',');
    while let Some(name) = rest.next() {
        if name.is_empty() || rest.clone().any(|other| other == name) {
            return false;
        }
    }
    true
}

/// Environment variables that a rule sets for its jobs, in the order of the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment<'t>(&'t [u8]);

impl<'t> Environment<'t> {
    /// Each name and its value, which may be empty.
    pub fn iter(&self) -> impl Iterator<Item = (&'t [u8], &'t [u8])> + use<'t> {
        items(self.0).filter_map(variable)
    }

    pub(crate) fn parse(value: &'t [u8]) -> Option<Self> {
        value
            .split(|&byte| byte == b',')
            .all(|item| variable(item).is_some())
            .then_some(Self(value))
    }
}

fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').filter(|item| !item.is_empty())
}

/// Splits `NAME=VALUE`; `None` if a shell could not set such a variable.
fn variable(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut halves = item.splitn(2, |&byte| byte == b'=');
    let (name, value) = (halves.next()?, halves.next()?);
    let starts_well = name.first().is_some_and(|byte| !byte.is_ascii_digit());
    let is_name = name.iter().all(|&byte| byte == b'_' || byte.is_ascii_alphanumeric());
    (starts_well && is_name).then_some((name, value))
}

/// Amounts of pools that are neither cpus nor memory nor gpus, in the order of the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools<'t>(&'t [u8]);

impl<'t> Pools<'t> {
    /// Each pool's name and how much of it, in 1/10 000.
    pub fn iter(&self) -> impl Iterator<Item = (&'t [u8], u64)> + use<'t> {
        items(self.0).filter_map(pool)
    }

    pub(crate) fn parse(value: &'t [u8]) -> Option<Self> {
        let mut rest = value.split(|&byte| byte == b',');
        while let Some(item) = rest.next() {
            let (name, _) = pool(item)?;
            let repeats = |other: &[u8]| pool(other).is_some_and(|(other, _)| other == name);
            if rest.clone().any(repeats) {
                return None;
            }
        }
        Some(Self(value))
    }
}

/// Splits `NAME:AMOUNT`; `None` for what is no pool, or has an attribute of its own.
fn pool(item: &[u8]) -> Option<(&[u8], u64)> {
    let (name, amount) = pair(item)?;
    let starts_well = name.first().is_some_and(u8::is_ascii_lowercase);
    let belongs = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_name = starts_well && name.iter().all(|&byte| belongs(byte));
    let has_attribute = matches!(name, b"cpus" | b"mem" | b"gpus");
    let amount = Quantity::Count.parse(amount)?.ten_thousandths();
    (is_name && !has_attribute).then_some((name, amount))
}

/// How often a job may be tried again after each kind of failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// After its node was lost.
    pub node: u32,
    /// After it ran out of memory.
    pub oom: u32,
    /// After its command failed.
    pub exit: u32,
}

impl Retries {
    /// A number for all of them, or some of `node:3,oom:2,exit:1`, each once.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        if let Some(number) = number(value) {
            return Some(Self { node: number, oom: number, exit: number });
        }
        let (mut node, mut oom, mut exit) = (None, None, None);
        for item in value.split(|&byte| byte == b',') {
            let (cause, count) = pair(item)?;
            let field = match cause {
                b"node" => &mut node,
                b"oom" => &mut oom,
                b"exit" => &mut exit,
                _ => return None,
            };
            if field.replace(number(count)?).is_some() {
                return None;
            }
        }
        Some(Self { node: node.unwrap_or(0), oom: oom.unwrap_or(0), exit: exit.unwrap_or(0) })
    }
}

fn number(text: &[u8]) -> Option<u32> {
    whole_number(text)?.try_into().ok()
}

/// Splits `NAME:VALUE` at its only colon.
fn pair(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut halves = item.split(|&byte| byte == b':');
    let (name, value) = (halves.next()?, halves.next()?);
    halves.next().is_none().then_some((name, value))
}
