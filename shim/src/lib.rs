//! `libshim.so`: watches every program start of the processes that preload it, and makes
//! those that the whitelist wants start `redirector` instead.
//!
//! It is loaded into every process of a pipeline, so it must cost nothing and break
//! nothing. It has no `std`, allocates no memory, takes no locks, has no thread-local data,
//! makes no system calls at load and needs no other library, not even in a version of
//! libc: it loads into any glibc or musl process. `docs/design/shim.md` has the reasons.
//!
//! | module | subject |
//! |---|---|
//! | `hooks` | the table of functions that are exported |
//! | `start` | what happens at a program start |
//! | `decide` | whitelist: where it is, what it says |
//! | `path` | which file is meant |
//! | `environment`, `preload` | what the started program gets |
//! | `session`, `run_id` | what a process knows about itself, noted at load |
//! | `loader` | the functions behind the hooks |
//! | `kernel`, `arch`, `strings` | system calls, assembly, C strings |
#![cfg_attr(not(test), no_std)]
#![cfg_attr(test, allow(dead_code, non_snake_case, reason = "unit tests do not export the hooks"))]

mod arch;
mod decide;
mod environment;
mod hooks;
mod kernel;
mod loader;
mod path;
mod preload;
mod run_id;
mod session;
mod start;
mod strings;

/// A panic is a mistake in this library. There is nobody to tell and nothing to unwind.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    arch::trap()
}

// The precompiled `core` names the function that unwinds its frames; without optimisation
// the linker keeps that reference. Nothing here unwinds, and nothing else may bind to it.
#[cfg(not(test))]
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:",
    arch::assembly!("trap.s"),
);
