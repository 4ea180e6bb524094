//! What this process was asked to run: its own arguments and environment.
//!
//! Taken from the process's initial memory without copying: `redirector` is started
//! once per redirected command, and an argument list may hold megabytes.

use std::{
    ffi::{CStr, CString, OsStr, OsString, c_char},
    os::unix::ffi::OsStrExt,
    ptr,
};

use crate::model::Text;

/// Names the program to run; its presence makes `redirector` act as `redirector exec`.
pub const EXEC_VARIABLE: &CStr = c"REDIRECTOR_EXEC";

/// A command as `execve` takes it.
#[derive(Clone)]
pub struct Invocation {
    /// The program's path.
    pub program: CString,
    /// Closed by a null pointer.
    arguments: Vec<*const c_char>,
    /// Closed by a null pointer.
    environment: Vec<*const c_char>,
    /// Entries that are not this process's own.
    added: Vec<CString>,
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// # Safety
/// `list` must be null or an array of pointers closed by a null pointer.
unsafe fn with_terminator(list: *const *const c_char) -> Vec<*const c_char> {
    let mut copy = Vec::with_capacity(64);
    if !list.is_null() {
        // SAFETY: stays before the terminator, which the caller vouches for.
        unsafe {
            let mut next = list;
            while !(*next).is_null() {
                copy.push(*next);
                next = next.add(1);
            }
        }
    }
    copy.push(ptr::null());
    copy
}

/// The arguments of this process, its name first.
///
/// # Safety
/// `arguments` must be `main`'s.
pub unsafe fn own_arguments(arguments: *const *const c_char) -> Vec<OsString> {
    // SAFETY: the caller passes main's arguments.
    let pointers = unsafe { with_terminator(arguments) };
    strings(&pointers).map(|argument| OsStr::from_bytes(argument).to_owned()).collect()
}

impl Invocation {
    /// What libshim.so asked for; `None` if this process was started by hand.
    ///
    /// # Safety
    /// `arguments` must be `main`'s, and nothing may have changed the environment.
    pub unsafe fn from_shim(arguments: *const *const c_char) -> Option<Self> {
        // SAFETY: the caller passes main's arguments; `environ` is an array of the
        // same form, and getenv's result points into it and lives as long.
        unsafe {
            let program = libc::getenv(EXEC_VARIABLE.as_ptr());
            if program.is_null() {
                return None;
            }
            let mut invocation = Self {
                program: CStr::from_ptr(program).to_owned(),
                arguments: with_terminator(arguments),
                environment: with_terminator(environ),
                added: Vec::new(),
            };
            invocation.remove(EXEC_VARIABLE.to_bytes());
            Some(invocation)
        }
    }

    /// `program` with `arguments`, in this process's environment.
    pub fn new(program: CString, arguments: &[CString]) -> Self {
        let added = arguments.to_vec();
        let pointers =
            added.iter().map(|argument| argument.as_ptr()).chain([ptr::null()]).collect();
        // SAFETY: `environ` is closed by a null pointer. Nothing in this program
        // changes the environment.
        let environment = unsafe { with_terminator(environ) };
        let mut invocation = Self { program, arguments: pointers, environment, added };
        invocation.remove(EXEC_VARIABLE.to_bytes());
        invocation
    }

    /// Arguments as pointers, closed by a null pointer.
    pub fn argument_pointers(&self) -> &[*const c_char] {
        &self.arguments
    }

    /// Environment as pointers, closed by a null pointer.
    pub fn environment_pointers(&self) -> &[*const c_char] {
        &self.environment
    }

    /// The arguments.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        strings(&self.arguments)
    }

    /// The environment's entries.
    pub fn environment(&self) -> impl Iterator<Item = &[u8]> {
        strings(&self.environment)
    }

    /// The value of the variable `name`.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        self.environment().find_map(|entry| value_of(entry, name))
    }

    /// Sets a variable, at the place of the old value if there was one.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: &[u8]) {
        let name = name.as_ref();
        let entry = [name, b"=", value].concat();
        // A value with a zero byte cannot be passed; environment values have none.
        let Ok(entry) = CString::new(entry) else { return };
        let place = self.environment().position(|old| value_of(old, name).is_some());
        match place {
            Some(place) => self.environment[place] = entry.as_ptr(),
            None => self.environment.insert(self.environment.len() - 1, entry.as_ptr()),
        }
        self.added.push(entry);
    }

    /// Removes a variable.
    pub fn remove(&mut self, name: &[u8]) {
        self.environment.retain(|entry| {
            // SAFETY: non-null entries are C strings that live as long as `self`.
            entry.is_null()
                || value_of(unsafe { CStr::from_ptr(*entry) }.to_bytes(), name).is_none()
        });
    }

    /// Makes this process the command; returns only with the reason why it cannot.
    pub fn exec(&self) -> std::io::Error {
        // SAFETY: both lists are closed by null pointers and point to C strings.
        unsafe {
            libc::execve(self.program.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr());
        }
        std::io::Error::last_os_error()
    }

    /// Arguments as the journal keeps them.
    pub fn argument_texts(&self) -> Vec<Text> {
        self.arguments().map(Text::from).collect()
    }

    /// Environment as the journal keeps it.
    pub fn environment_texts(&self) -> Vec<Text> {
        self.environment().map(Text::from).collect()
    }
}

fn strings(list: &[*const c_char]) -> impl Iterator<Item = &[u8]> {
    // SAFETY: the pointers but the last are to C strings that this process was
    // started with, which live as long as it does, or that `added` owns.
    list[..list.len() - 1].iter().map(|text| unsafe { CStr::from_ptr(*text) }.to_bytes())
}

fn value_of<'a>(entry: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    entry.strip_prefix(name)?.strip_prefix(b"=")
}
