//! Large pages of memory for the gateway, and for nothing that it starts.
//!
//! What the dispatcher knows of a million jobs is some hundred megabytes, of which each decision
//! looks at a few places anywhere. With pages of 4 KiB the processor then waits for the tables of
//! pages, too (docs/decisions/dispatcher-speed.md). The C library asks the kernel for larger ones
//! where a variable says so, which it reads before anything else runs:
//!
//! ```text
//!  client ─ serve --embedded ─[GLIBC_TUNABLES=…]─► serve --detached ─[removed]─► agent, ssh
//!  a person ─ serve ─[GLIBC_TUNABLES=…]─► itself, once more ─[removed]─► agent, ssh
//! ```
//!
//! A value that somebody has set is left as it is, and handed on as any other variable.

use std::{env, os::unix::process::CommandExt, process::Command};

const VARIABLE: &str = "GLIBC_TUNABLES";

/// `madvise` for all that is allocated, which the kernel follows unless it is told never to.
const VALUE: &str = "glibc.malloc.hugetlb=1";

/// Has `command`, which is to be a gateway, use large pages.
pub(crate) fn use_in(command: &mut Command) {
    if env::var_os(VARIABLE).is_none() {
        command.env(VARIABLE, VALUE);
    }
}

/// Begins this program anew with large pages, unless it has them. If that cannot be, it goes on
/// with small ones.
pub fn use_here() {
    if env::var_os(VARIABLE).is_none() {
        let mut command = Command::new("/proc/self/exe");
        let mut words = env::args_os();
        if let Some(name) = words.next() {
            command.arg0(name);
        }
        // Returns only if it fails.
        drop(command.args(words).env(VARIABLE, VALUE).exec());
    }
}

/// Keeps `command` from using large pages because this program does.
pub(crate) fn keep_from(command: &mut Command) {
    if env::var_os(VARIABLE).is_some_and(|value| value == VALUE) {
        command.env_remove(VARIABLE);
    }
}
