//! The `redirector` program.
//!
//! Its `main` is C's, not Rust's: the standard library's start-up would set SIGPIPE
//! to be ignored, which the command in whose place this program stands would
//! inherit, and makes a dozen system calls that cost every redirected command. So nobody but this
//! `main` knows the arguments: only glibc tells them to the standard library otherwise.

#![no_main]

use std::ffi::{c_char, c_int};

use redirector::{
    agent::invocation::{self, Invocation},
    cli,
    client::exec,
};

/// Runs what libshim.so intercepted, or else what the command line says.
///
/// # Safety
/// Called by the C runtime, with what the kernel passed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(_count: c_int, arguments: *const *const c_char) -> c_int {
    // SAFETY: these are main's arguments, and nothing has run before.
    if let Some(invocation) = unsafe { Invocation::from_shim(arguments) } {
        exec::intercepted(invocation);
    }
    // SAFETY: as before.
    cli::main(unsafe { invocation::own_arguments(arguments) })
}
