//! What a client changed for its command, and how a gateway that is started inside finds what
//! was before.
//!
//! ```text
//! CUDA_VISIBLE_DEVICES=2,5 ── client of job 7 ──► CUDA_VISIBLE_DEVICES=5
//!                                                 REDIRECTOR_BEFORE_CUDA_VISIBLE_DEVICES==2,5
//!                                                       │ the gateway is gone, and a
//!                                                       ▼ submission in job 7 starts another
//! CUDA_VISIBLE_DEVICES=2,5 ◄────── gateway ◄──── restore
//! ```
//!
//! It would else take what one job was given for all that the computer has.

use std::{env, ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

/// Begins the name of a variable that keeps the value of another: empty if that was not set,
/// else `=` and the value.
const PREFIX: &str = "REDIRECTOR_BEFORE_";

/// The variable that keeps the value of `name`, and what it is to hold while `name` has
/// `value`.
pub fn kept(name: &[u8], value: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let kept = value.map_or_else(Vec::new, |value| [b"=", value].concat());
    ([PREFIX.as_bytes(), name].concat(), kept)
}

/// Gives `command`, which is to be a gateway, the environment that this process would have
/// outside of any job; and this process, from which it inherits them, its cpus.
pub fn restore(command: &mut Command) {
    // Neither names nor values need be text.
    for (variable, kept) in env::vars_os() {
        let Some(name) = variable.as_bytes().strip_prefix(PREFIX.as_bytes()) else { continue };
        let name = OsStr::from_bytes(name);
        match kept.as_bytes().strip_prefix(b"=") {
            Some(value) => command.env(name, OsStr::from_bytes(value)),
            None => command.env_remove(name),
        };
    }
    if env::var_os("REDIRECTOR_JOB").is_some() {
        let mut all = CpuSet::new();
        let within = (0..CpuSet::count()).try_for_each(|cpu| all.set(cpu));
        // The kernel leaves out those that the computer has not or its control group forbids.
        // Where it refuses, the gateway knows fewer cpus than there are.
        let _unchanged = within.and_then(|()| sched_setaffinity(Pid::from_raw(0), &all));
    }
}
