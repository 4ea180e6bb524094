//! Links `libshim.so` without anything of its own: no C runtime, no library it
//! needs, no symbol versions, one readable-executable and one writable segment.
//! Such a library loads into any glibc or musl process and costs what an empty
//! one costs.

const ALWAYS: [&str; 6] = [
    "-nostartfiles",
    "-nostdlib",
    "-Wl,--hash-style=gnu",
    "-Wl,--build-id=none",
    // One writable segment instead of two, and no mprotect call: the few pointers it
    // would protect stand beside a table of function pointers that is written at load.
    "-Wl,-z,norelro",
    "-Wl,-soname,libshim.so",
];

/// Two segments instead of four save two system calls at every program start. Where the
/// writable one begins at a page, it fits into one: a third call, and a page fault.
const RUST_LLD: [&str; 2] = ["-Wl,--no-rosegment", "-Wl,-z,separate-loadable-segments"];

/// The same two segments in the words of the linker that Rust uses elsewhere.
const GNU_LD: [&str; 1] = ["-Wl,-z,noseparate-code"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let uses_lld = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|name| name == "x86_64");
    let segments: &[&str] = if uses_lld { &RUST_LLD } else { &GNU_LD };
    for argument in ALWAYS.iter().chain(segments) {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
