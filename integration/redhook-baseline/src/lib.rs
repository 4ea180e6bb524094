//! The baseline of the benches: the cost of a preload library that is made with the `redhook`
//! crate, and so with Rust's standard library, in every process that loads it.
//!
//! Its hooks are on the functions that start programs and call the real ones, no more: what it
//! costs is the price of the approach, not of any work.

use libc::{c_char, c_int, c_void, pid_t};

redhook::hook! {
    unsafe fn execve(
        path: *const c_char, argv: *const *const c_char, envp: *const *const c_char
    ) -> c_int => hooked_execve {
        redhook::real!(execve)(path, argv, envp)
    }
}

redhook::hook! {
    unsafe fn execv(path: *const c_char, argv: *const *const c_char) -> c_int => hooked_execv {
        redhook::real!(execv)(path, argv)
    }
}

redhook::hook! {
    unsafe fn execvp(file: *const c_char, argv: *const *const c_char) -> c_int => hooked_execvp {
        redhook::real!(execvp)(file, argv)
    }
}

redhook::hook! {
    unsafe fn posix_spawn(
        pid: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        argv: *const *const c_char, envp: *const *const c_char
    ) -> c_int => hooked_posix_spawn {
        redhook::real!(posix_spawn)(pid, path, actions, attributes, argv, envp)
    }
}

redhook::hook! {
    unsafe fn posix_spawnp(
        pid: *mut pid_t, file: *const c_char, actions: *const c_void, attributes: *const c_void,
        argv: *const *const c_char, envp: *const *const c_char
    ) -> c_int => hooked_posix_spawnp {
        redhook::real!(posix_spawnp)(pid, file, actions, attributes, argv, envp)
    }
}
