//! The part of a rule after its pattern: `cpus=-t mem=8G name=align nested`.

use core::fmt::{self, Display, Formatter};

use crate::error::{ErrorKind, Excerpt, Fault};
use crate::expression::Expression;
use crate::list::{Environment, Pools, Retries, Tags};
use crate::quantity::{Quantity, whole_number};
use crate::text::{prefix, take_token};

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
}

impl Key {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 15] = [
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
        }
    }

    /// What its value looks like, for messages.
    pub(crate) const fn expected_value(self) -> &'static str {
        match self {
            Self::Name | Self::Pool | Self::Host => "a word, in quotes if it holds blanks,",
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
            Self::Cache | Self::Stage | Self::Nested => "'on' or 'off'",
            Self::Env => "NAME=VALUE pairs with commas between them",
        }
    }
}

impl Key {
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

/// What a rule says about its jobs; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes<'t> {
    pub(crate) name: Option<&'t [u8]>,
    pub(crate) cpus: Option<Expression<'t>>,
    pub(crate) mem: Option<Expression<'t>>,
    pub(crate) gpus: Option<Expression<'t>>,
    pub(crate) time: Option<Expression<'t>>,
    pub(crate) priority: Option<i32>,
    pub(crate) pool: Option<&'t [u8]>,
    pub(crate) host: Option<&'t [u8]>,
    pub(crate) tags: Option<Tags<'t>>,
    pub(crate) retries: Option<Retries>,
    pub(crate) resources: Option<Pools<'t>>,
    pub(crate) cache: Option<bool>,
    pub(crate) stage: Option<bool>,
    pub(crate) nested: Option<bool>,
    pub(crate) env: Option<Environment<'t>>,
}

/// The token that is an attribute although it has no value.
pub(crate) const BARE_NESTED: &[u8] = b"nested";

/// Whether `token` has the form `KEY=…`, so that it is an attribute and not an argument.
pub(crate) fn is_attribute(token: &[u8]) -> bool {
    let key = key_of(token);
    !key.is_empty() && token.get(key.len()) == Some(&b'=')
}

fn key_of(token: &[u8]) -> &[u8] {
    let belongs = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
    prefix(token, token.iter().take_while(|&&byte| belongs(byte)).count())
}

impl<'t> Attributes<'t> {
    /// Reads the attributes that `text` consists of.
    pub(crate) fn parse(mut text: &'t [u8]) -> Result<Self, Fault<'t>> {
        let mut attributes = Self::default();
        while let Some(token) = take_token(&mut text)? {
            attributes.add(token)?;
        }
        attributes.check_cpus()?;
        Ok(attributes)
    }

    fn add(&mut self, token: &'t [u8]) -> Result<(), Fault<'t>> {
        if token == BARE_NESTED {
            return set(&mut self.nested, Key::Nested, token, Some(true), token);
        }
        if !is_attribute(token) {
            let kind = ErrorKind::AttributeExpected(Excerpt::of(token));
            return Err(Fault { at: token, kind });
        }
        let name = key_of(token);
        let Some(key) = Key::ALL.into_iter().find(|key| key.as_str().as_bytes() == name) else {
            return Err(Fault { at: token, kind: ErrorKind::UnknownAttribute(Excerpt::of(name)) });
        };
        let raw = token.get(name.len().saturating_add(1)..).unwrap_or_default();
        let Some(value) = unquote(raw).filter(|value| !value.is_empty()) else {
            let at = if raw.is_empty() { token } else { raw };
            return Err(Fault { at, kind: ErrorKind::BadValue(key, Excerpt::of(raw)) });
        };
        let expression = |quantity| Expression::parse(key, quantity, value).map(Some);
        match key {
            Key::Name => set(&mut self.name, key, token, Some(value), value),
            Key::Cpus => set(&mut self.cpus, key, token, expression(Quantity::Count)?, value),
            Key::Mem => set(&mut self.mem, key, token, expression(Quantity::Bytes)?, value),
            Key::Gpus => set(&mut self.gpus, key, token, expression(Quantity::Count)?, value),
            Key::Time => set(&mut self.time, key, token, expression(Quantity::Seconds)?, value),
            Key::Priority => set(&mut self.priority, key, token, priority(value), value),
            Key::Pool => set(&mut self.pool, key, token, Some(value), value),
            Key::Host => set(&mut self.host, key, token, Some(value), value),
            Key::Tags => set(&mut self.tags, key, token, Tags::parse(value), value),
            Key::Retries => set(&mut self.retries, key, token, Retries::parse(value), value),
            Key::Resources => set(&mut self.resources, key, token, Pools::parse(value), value),
            Key::Cache => set(&mut self.cache, key, token, switch(value), value),
            Key::Stage => set(&mut self.stage, key, token, switch(value), value),
            Key::Nested => set(&mut self.nested, key, token, switch(value), value),
            Key::Env => set(&mut self.env, key, token, Environment::parse(value), value),
        }
    }

    /// Finds a `cpus` that stands for nothing, or for no cpu at all.
    fn check_cpus(&self) -> Result<(), Fault<'t>> {
        let Some(cpus) = self.cpus else {
            for (key, expression) in [(Key::Mem, self.mem), (Key::Time, self.time)] {
                if let Some(at) = expression.and_then(|it| it.place_of_cpus()) {
                    return Err(Fault { at, kind: ErrorKind::CpusNotGiven(key) });
                }
            }
            return Ok(());
        };
        if cpus.is_literal_zero() {
            return Err(Fault { at: cpus.text(), kind: ErrorKind::NoCpus });
        }
        Ok(())
    }
}

/// Fills the field of `key`, which must still be empty, unless `value` could not be read.
fn set<'t, T>(
    field: &mut Option<T>,
    key: Key,
    token: &'t [u8],
    value: Option<T>,
    text: &'t [u8],
) -> Result<(), Fault<'t>> {
    if value.is_none() {
        return Err(Fault::bad_value(key, text));
    }
    if field.is_some() {
        return Err(Fault { at: token, kind: ErrorKind::RepeatedAttribute(key) });
    }
    *field = value;
    Ok(())
}

/// The value inside quotes, or as it is without; `None` for mixtures and backslashes, which could
/// not be borrowed from the line.
fn unquote(raw: &[u8]) -> Option<&[u8]> {
    let inner = match raw {
        [open @ (b'\'' | b'"'), inner @ .., close] if open == close => {
            return (!inner.contains(open) && !inner.contains(&b'\\')).then_some(inner);
        }
        plain => plain,
    };
    (!inner.iter().any(|byte| matches!(byte, b'\'' | b'"' | b'\\'))).then_some(inner)
}

fn switch(value: &[u8]) -> Option<bool> {
    match value {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

fn priority(value: &[u8]) -> Option<i32> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let number = i64::try_from(whole_number(digits)?).ok()?;
    let signed = if digits.len() < value.len() { -number } else { number };
    signed.try_into().ok()
}
