//! What a rule asks of the batch engine behind its pool: `partition=main gres=nvme:1`.
//!
//! As with lists, the values are checked when the rule is read, and taken from its text when
//! somebody looks at them: the shim, which only has to know whether the rule is sound, keeps no
//! more of them than where they are.

use crate::attributes::{key_of, unquote};
use crate::key::Key;
use crate::text::{Tokens, is_blank};

/// The options of batch engines in one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions<'t> {
    /// The attributes of the rule, others too.
    attributes: &'t [u8],
    /// Which of them there are, a bit for each.
    given: u16,
}

impl<'t> EngineOptions<'t> {
    /// None yet of those in `attributes`.
    pub(crate) const fn none_of(attributes: &'t [u8]) -> Self {
        Self { attributes, given: 0 }
    }

    /// Notes that `key` is there. `false`: it was there already.
    pub(crate) fn add(&mut self, option: EngineOption) -> bool {
        let bit = 1_u16 << option as u16;
        let is_new = self.given & bit == 0;
        self.given |= bit;
        is_new
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.given == 0
    }

    /// Each option and its value, in the order of the rule.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &'t [u8])> + use<'t> {
        let attributes = if self.is_empty() { &[] } else { self.attributes };
        Tokens(attributes).filter_map(|token| {
            let name = key_of(token);
            let key = Key::find(name).filter(|key| EngineOption::of(*key).is_some())?;
            let value = token.get(name.len().saturating_add(1)..)?;
            Some((key, unquote(value)?))
        })
    }
}

/// What an engine can be asked for; a partition and a queue are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineOption {
    Partition,
    Account,
    Qos,
    Constraint,
    Gres,
    Licenses,
    Exclusive,
    ParallelEnvironment,
    Resources,
    Arguments,
}

impl EngineOption {
    /// The option that an attribute is, if it is one.
    pub(crate) const fn of(key: Key) -> Option<Self> {
        Some(match key {
            Key::Partition | Key::Queue => Self::Partition,
            Key::Account => Self::Account,
            Key::Qos => Self::Qos,
            Key::Constraint => Self::Constraint,
            Key::Gres => Self::Gres,
            Key::Licenses => Self::Licenses,
            Key::Exclusive => Self::Exclusive,
            Key::ParallelEnvironment => Self::ParallelEnvironment,
            Key::EngineResources => Self::Resources,
            Key::Arguments => Self::Arguments,
            _ => return None,
        })
    }

    /// Whether an engine could make something of `value`.
    pub(crate) fn takes(self, value: &[u8]) -> bool {
        let mut items = value.split(|&byte| byte == b',');
        match self {
            Self::Partition
            | Self::Account
            | Self::Qos
            | Self::Constraint
            | Self::ParallelEnvironment => is_word(value),
            Self::Gres => items.all(is_generic_resource),
            Self::Licenses => items.all(is_license),
            Self::Exclusive => matches!(value, b"on" | b"off"),
            Self::Resources => items.all(is_word),
            Self::Arguments => are_arguments(value),
        }
    }
}

/// Whether the value of an option of batch engines is one that a rule could have; `None` if `key`
/// is no such option.
pub fn is_engine_option(key: Key, value: &[u8]) -> Option<bool> {
    EngineOption::of(key).map(|option| option.takes(value))
}

/// Text without blanks that no program takes for an option.
fn is_word(text: &[u8]) -> bool {
    let is_strange = |character: char| character.is_whitespace() || character.is_control();
    !text.is_empty()
        && !text.starts_with(b"-")
        && core::str::from_utf8(text).is_ok_and(|text| !text.contains(is_strange))
}

/// `NAME`, `NAME:COUNT` or `NAME:TYPE:COUNT`.
fn is_generic_resource(item: &[u8]) -> bool {
    let parts = item.split(|&byte| byte == b':');
    is_word(item) && parts.clone().count() <= 3 && parts.clone().all(|part| !part.is_empty())
}

/// `NAME` or `NAME:COUNT`.
fn is_license(item: &[u8]) -> bool {
    let mut halves = item.splitn(2, |&byte| byte == b':');
    let name = halves.next().unwrap_or_default();
    let is_count = |count: &[u8]| {
        count.iter().all(u8::is_ascii_digit) && count.iter().any(|&digit| digit != b'0')
    };
    is_word(item) && !name.is_empty() && halves.next().is_none_or(is_count)
}

/// Words, the first of which is an option: else it would be the script that is submitted.
fn are_arguments(text: &[u8]) -> bool {
    let is_sound = core::str::from_utf8(text).is_ok_and(|text| !text.contains(char::is_control));
    let mut words = text.split(|&byte| is_blank(byte)).filter(|word| !word.is_empty());
    let is_option = |word: &[u8]| word.len() > 1 && word.starts_with(b"-") && word != b"--";
    is_sound && words.next().is_some_and(is_option)
}
