//! Values that are worked out from the command line: `-t`, `-@:0+1`, `-m|--memory:768M*cpus`.
//!
//! An expression is a sum of products. Its terms are literals (`2G`), `cpus` (the value of the
//! rule's `cpus=`), and option terms with an optional default after a colon. There are no
//! parentheses, so terms can be taken one after the other.

use crate::command::Arguments;
use crate::error::{ErrorKind, Excerpt, Fault};
use crate::key::Key;
use crate::option::{self, Lookup};
use crate::quantity::{Amount, Quantity};
use crate::request::{Problem, ProblemKind};
use crate::text::{is_blank, prefix, skip_blanks};

/// A sound expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expression<'t> {
    key: Key,
    quantity: Quantity,
    text: &'t [u8],
}

#[derive(Clone, Copy, Debug)]
enum Term<'t> {
    Literal(Amount),
    Cpus,
    Option { names: &'t [u8], default: Option<Amount> },
}

/// What joins a term to the ones before it.
#[derive(Clone, Copy, Debug)]
enum Operator {
    Plus,
    Times,
}

impl<'t> Expression<'t> {
    /// Reads the value `text` of the attribute `key`, which measures `quantity`.
    pub(crate) fn parse(key: Key, quantity: Quantity, text: &'t [u8]) -> Result<Self, Fault<'t>> {
        let expression = Self { key, quantity, text };
        let mut terms = expression.terms();
        while terms.take()?.is_some() {}
        Ok(expression)
    }

    /// As it is in the rule.
    pub(crate) const fn text(&self) -> &'t [u8] {
        self.text
    }

    /// Where the expression uses `cpus`.
    pub(crate) fn place_of_cpus(&self) -> Option<&'t [u8]> {
        let mut terms = self.terms();
        loop {
            let at = skip_blanks(terms.rest);
            match terms.take() {
                Ok(Some((_, Term::Cpus))) => return Some(at),
                Ok(Some(_)) => {}
                _ => return None,
            }
        }
    }

    /// Whether the expression is zero whatever the command line says.
    pub(crate) fn is_literal_zero(&self) -> bool {
        self.quantity.parse(self.text) == Some(Amount::ZERO)
    }

    /// The value for a command. `Ok(None)` if an option is missing and has no default, or if it
    /// uses `cpus` and those are not known.
    pub(crate) fn evaluate<A: Arguments + ?Sized>(
        &self,
        arguments: &A,
        cpus: Option<Amount>,
    ) -> Result<Option<Amount>, Problem<'t>> {
        let mut terms = self.terms();
        let mut sum = Amount::ZERO;
        let mut product = Amount::ZERO;
        // `parse` has seen every term, so there are no faults here.
        while let Ok(Some((operator, term))) = terms.take() {
            let value = match term {
                Term::Literal(value) => Some(value),
                Term::Cpus => cpus,
                Term::Option { names, default } => {
                    match option::last_value(names, self.quantity, arguments) {
                        Lookup::Absent => default,
                        Lookup::Value(value) => Some(value),
                        Lookup::Unreadable { argument } => {
                            let kind = ProblemKind::Unreadable { option: names, argument };
                            return Err(Problem { key: self.key, kind });
                        }
                    }
                }
            };
            let Some(value) = value else { return Ok(None) };
            match operator {
                Operator::Plus => {
                    sum = sum.plus(product);
                    product = value;
                }
                Operator::Times => product = product.times(value),
            }
        }
        Ok(Some(sum.plus(product)))
    }

    fn terms(&self) -> Terms<'t> {
        Terms {
            key: self.key,
            quantity: self.quantity,
            rest: self.text,
            next: Some(Operator::Plus),
        }
    }
}

/// Takes an expression apart.
struct Terms<'t> {
    key: Key,
    quantity: Quantity,
    rest: &'t [u8],
    /// What the next term is joined by; `None` at the end of the expression.
    next: Option<Operator>,
}

impl<'t> Terms<'t> {
    /// The next term, and what joins it to those before it.
    fn take(&mut self) -> Result<Option<(Operator, Term<'t>)>, Fault<'t>> {
        let Some(operator) = self.next else { return Ok(None) };
        let term = self.take_term()?;
        self.rest = skip_blanks(self.rest);
        self.next = match self.rest.split_first() {
            None => None,
            Some((byte, rest)) => {
                let operator = match byte {
                    b'+' => Operator::Plus,
                    b'*' => Operator::Times,
                    _ => {
                        let kind = ErrorKind::OperatorExpected(self.key, Excerpt::of(self.rest));
                        return Err(Fault { at: self.rest, kind });
                    }
                };
                self.rest = rest;
                Some(operator)
            }
        };
        Ok(Some((operator, term)))
    }

    fn take_term(&mut self) -> Result<Term<'t>, Fault<'t>> {
        self.rest = skip_blanks(self.rest);
        if self.rest.first() == Some(&b'-') {
            return self.take_option();
        }
        let word = self.take_while(|byte| !is_operator(byte));
        let takes_cpus = matches!(self.key, Key::Mem | Key::Time);
        if word == b"cpus" && takes_cpus {
            return Ok(Term::Cpus);
        }
        match self.quantity.parse(word) {
            Some(value) => Ok(Term::Literal(value)),
            None => Err(Fault::bad_value(self.key, word)),
        }
    }

    fn take_option(&mut self) -> Result<Term<'t>, Fault<'t>> {
        let names = self.take_while(|byte| !is_operator(byte) && byte != b':');
        for name in names.split(|&byte| byte == b'|') {
            // A lone dash or two name no option.
            if !name.starts_with(b"-") || name.iter().all(|&byte| byte == b'-') {
                let whole = if name.is_empty() { names } else { name };
                return Err(Fault::bad_value(self.key, whole));
            }
        }
        let Some(rest) = self.rest.strip_prefix(b":") else {
            return Ok(Term::Option { names, default: None });
        };
        self.rest = rest;
        let default = self.take_while(|byte| !is_operator(byte));
        match self.quantity.parse(default) {
            Some(value) => Ok(Term::Option { names, default: Some(value) }),
            None => Err(Fault::bad_value(self.key, default)),
        }
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'t [u8] {
        let length = self.rest.iter().take_while(|&&byte| belongs(byte)).count();
        let taken = prefix(self.rest, length);
        self.rest = self.rest.get(length..).unwrap_or_default();
        taken
    }
}

/// Whether a term ends before `byte`.
const fn is_operator(byte: u8) -> bool {
    matches!(byte, b'+' | b'*') || is_blank(byte)
}
