//! The part of a rule after its pattern: `cpus=-t mem=8G name=align nested`.

use crate::engine::{EngineOption, EngineOptions};
use crate::error::{ErrorKind, Excerpt, Fault};
use crate::expression::Expression;
use crate::key::Key;
use crate::list::{Environment, Pools, Retries, Tags, is_pool_list};
use crate::quantity::{Quantity, whole_number};
use crate::text::{prefix, take_token};

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
    pub(crate) options: EngineOptions<'t>,
}

/// The token that is an attribute although it has no value.
pub(crate) const BARE_NESTED: &[u8] = b"nested";

/// Whether `token` has the form `KEY=…`, so that it is an attribute and not an argument.
pub(crate) fn is_attribute(token: &[u8]) -> bool {
    let key = key_of(token);
    !key.is_empty() && token.get(key.len()) == Some(&b'=')
}

pub(crate) fn key_of(token: &[u8]) -> &[u8] {
    let belongs = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
    prefix(token, token.iter().take_while(|&&byte| belongs(byte)).count())
}

impl<'t> Attributes<'t> {
    /// Reads the attributes that `text` consists of.
    pub(crate) fn parse(mut text: &'t [u8]) -> Result<Self, Fault<'t>> {
        let mut attributes = Self { options: EngineOptions::none_of(text), ..Self::default() };
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
        let Some(key) = Key::find(name) else {
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
            Key::Pool => {
                let pools = Some(value).filter(|value| is_pool_list(value));
                set(&mut self.pool, key, token, pools, value)
            }
            Key::Host => set(&mut self.host, key, token, Some(value), value),
            Key::Tags => set(&mut self.tags, key, token, Tags::parse(value), value),
            Key::Retries => set(&mut self.retries, key, token, Retries::parse(value), value),
            Key::Resources => set(&mut self.resources, key, token, Pools::parse(value), value),
            Key::Cache => set(&mut self.cache, key, token, switch(value), value),
            Key::Stage => set(&mut self.stage, key, token, switch(value), value),
            Key::Nested => set(&mut self.nested, key, token, switch(value), value),
            Key::Env => set(&mut self.env, key, token, Environment::parse(value), value),
            Key::Partition
            | Key::Queue
            | Key::Account
            | Key::Qos
            | Key::Constraint
            | Key::Gres
            | Key::Licenses
            | Key::Exclusive
            | Key::ParallelEnvironment
            | Key::EngineResources
            | Key::Arguments => self.add_option(key, token, value),
        }
    }

    fn add_option(&mut self, key: Key, token: &'t [u8], value: &'t [u8]) -> Result<(), Fault<'t>> {
        match EngineOption::of(key).filter(|option| option.takes(value)) {
            None => Err(Fault::bad_value(key, value)),
            Some(option) if self.options.add(option) => Ok(()),
            Some(_) => Err(Fault { at: token, kind: ErrorKind::RepeatedAttribute(key) }),
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
pub(crate) fn unquote(raw: &[u8]) -> Option<&[u8]> {
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
