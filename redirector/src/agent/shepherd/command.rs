//! An assignment's texts as `execve` takes them.

use std::{
    ffi::{CStr, CString, c_char},
    ptr,
};

use super::setup::{self, Setup};
use crate::{agent::protocol::Assignment, model::Text};

/// A text that the kernel cannot take.
#[derive(Debug, thiserror::Error)]
#[error("its {what} has a zero byte, which no program can be given")]
pub(super) struct ZeroByte {
    what: &'static str,
}

/// An environment, turned into C strings once for many attempts.
#[derive(Debug, Default)]
pub(super) struct Environment(Vec<CString>);

impl Environment {
    /// Entries with a zero byte, which no process can have had, are left out.
    pub(super) fn new(entries: Vec<Text>) -> Self {
        Self(entries.into_iter().filter_map(|entry| CString::new(entry.0).ok()).collect())
    }

    /// Pointers to the entries, closed by a null pointer; `over` takes the places of the
    /// entries of the same names.
    fn pointers(&self, over: &[CString]) -> Vec<*const c_char> {
        let new: Vec<_> = over.iter().map(|entry| name(entry)).collect();
        let is_replaced = |entry: &CString| new.contains(&name(entry));
        let kept = self.0.iter().filter(|entry| !is_replaced(entry));
        let entries = kept.chain(over).map(|entry| entry.as_ptr());
        entries.chain([ptr::null()]).collect()
    }
}

fn name(entry: &CStr) -> &[u8] {
    let entry = entry.to_bytes();
    &entry[..entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len())]
}

/// The texts of one assignment, and the pointers to them.
pub(super) struct Command<'a> {
    pub program: CString,
    pub directory: CString,
    arguments: Vec<CString>,
    variables: Vec<CString>,
    environment: &'a Environment,
}

impl<'a> Command<'a> {
    /// The assignment's own, or the shell's that runs `setup` before it.
    pub(super) fn new(
        assignment: &Assignment,
        setup: Option<&Setup>,
        environment: &'a Environment,
    ) -> Result<Self, ZeroByte> {
        let text = |text: &Text, what| CString::new(text.as_bytes()).map_err(|_| ZeroByte { what });
        let variable = |(name, value): &(Text, Text)| {
            let entry = [name.as_bytes(), b"=", value.as_bytes()].concat();
            CString::new(entry).map_err(|_| ZeroByte { what: "environment" })
        };
        let (program, arguments) = match setup {
            Some(setup) => (setup::shell(), setup.arguments(assignment)),
            None => (text(&assignment.program, "program's path")?, assignment.argv.clone()),
        };
        Ok(Self {
            program,
            directory: text(&assignment.directory, "working directory")?,
            arguments: arguments
                .iter()
                .map(|argument| text(argument, "command line"))
                .collect::<Result<_, _>>()?,
            variables: assignment.variables.iter().map(variable).collect::<Result<_, _>>()?,
            environment,
        })
    }

    /// Pointers to the arguments, closed by a null pointer.
    pub(super) fn argument_pointers(&self) -> Vec<*const c_char> {
        self.arguments.iter().map(|argument| argument.as_ptr()).chain([ptr::null()]).collect()
    }

    /// Pointers to the environment's entries, closed by a null pointer.
    pub(super) fn environment_pointers(&self) -> Vec<*const c_char> {
        self.environment.pointers(&self.variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(command: &Command) -> Vec<String> {
        let pointers = command.environment_pointers();
        // SAFETY: all but the last point to strings that `command` holds or borrows.
        let text = |pointer: &*const c_char| unsafe { CStr::from_ptr(*pointer) };
        let (end, entries) = pointers.split_last().unwrap();
        assert!(end.is_null());
        entries.iter().map(|entry| text(entry).to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn variables_go_over_the_environment_by_their_whole_names() {
        let environment = Environment::new(["A=1", "AB=2", "B=3", "odd"].map(Text::from).to_vec());
        let assignment = Assignment {
            variables: vec![("A".into(), "x=y".into()), ("NEW".into(), "".into())],
            ..Assignment::default()
        };
        let command = Command::new(&assignment, None, &environment).unwrap();
        assert_eq!(entries(&command), ["AB=2", "B=3", "odd", "A=x=y", "NEW="]);
    }

    #[test]
    fn a_zero_byte_is_named() {
        let environment = Environment::default();
        let assignment =
            Assignment { argv: vec!["a".into(), "b\0c".into()], ..Assignment::default() };
        let error = Command::new(&assignment, None, &environment).err().unwrap();
        assert!(error.to_string().contains("command line"), "{error}");
    }
}
