//! Which commands become jobs, and what they ask for.
//!
//! A whitelist is a text file with one rule a line; the last rule that matches a command decides.
//!
//! ```text
//! # PROGRAM [ARG…]          attributes
//! bwa mem                   cpus=-t:1 mem=8G
//! samtools sort             cpus=-@:0+1 mem=-m:768M*cpus
//! java … -jar *picard.jar   mem=-Xmx:4G+1G name=picard
//! !samtools view … -H       # '!' runs it here
//! ```
//!
//! Who only wants to know whether a command becomes a job asks [`verdict`] line by line, which
//! costs a few nanoseconds for a line about another program. Who wants to know what the job asks
//! for takes the [`Rule`] that [`decide`] finds and evaluates it:
//!
//! ```
//! let arguments: &[&[u8]] = &[b"bwa", b"mem", b"-t", b"8", b"ref.fa", b"reads.fq"];
//! let command = whitelist::Command { path: b"/usr/bin/bwa", arguments };
//! let text = b"bwa mem cpus=-t:1 mem=8G";
//!
//! let (line, rule) = whitelist::decide(text, &command).unwrap();
//! let request = rule.request(&command);
//! assert_eq!((line, request.cpus, request.mem), (1, Some(8 * 10_000), Some(8 << 30)));
//! ```
//!
//! The crate allocates nothing and needs no `std`: it also runs inside `libshim.so`, on the stack
//! of whatever process is about to start a program. The file format is explained for its users in
//! `docs/whitelist.md`.
#![no_std]

#[cfg(test)]
extern crate std;

mod attributes;
mod command;
mod engine;
mod error;
mod expression;
mod file;
mod glob;
mod key;
mod list;
mod option;
mod presets;
mod quantity;
mod request;
mod rule;
mod text;

#[cfg(test)]
mod tests;

pub use command::{Arguments, Command};
pub use engine::{EngineOptions, is_engine_option};
pub use error::{Error, ErrorKind, Excerpt};
pub use file::{Rules, decide, find_line_end, problems};
pub use key::Key;
pub use list::{Environment, Pools, Retries, Tags};
pub use presets::{Preset, presets};
pub use quantity::PER_UNIT;
pub use request::{Problem, ProblemKind, Problems, Request};
pub use rule::{Rule, Verdict, verdict};

/// The longest rule, in bytes without its line end.
///
/// The shim reads whitelists in small pieces on small stacks, so a rule has to fit into one.
pub const MAX_LINE: usize = 1024;
