//! What the end-to-end tests of the workspace have in common.
//!
//! Nearly every test here has one shape: start a command **plain**, start it **redirected** in a
//! [`Session`] of its own, and demand that nobody can tell the two apart.
//!
//! ```no_run
//! use integration::{Session, Way, assert_same, finish};
//!
//! let session = Session::new("probe *\n");
//! let plain = finish(&mut session.command(Way::Plain, "env", ["probe", "x"]));
//! let redirected = finish(&mut session.command(Way::Preloaded, "env", ["probe", "x"]));
//! assert_same("env starts a program", &plain, &redirected);
//! assert_eq!(session.commands().len(), 1);
//! ```
//!
//! The programs that are started (`probe`, `tell`, `witness`, …) are in `programs/`, compiled by
//! `build.rs` and on the `PATH` of every command of a session.

mod artefacts;
mod compare;
mod finish;
mod jobs;
mod lab;
mod nodes;
mod pipelines;
mod processes;
mod programs;
mod random;
mod session;
mod terminal;
mod watched;
mod witness;

pub use artefacts::Artefacts;
pub use compare::{Files, assert_same_files};
pub use finish::{DEADLINE, Finished, Running, assert_same, begin, finish, finish_with_input};
pub use jobs::{Attempt, Id, Job};
pub use lab::{EngineLab, HostFiles, HostProcess, HostSettings, Lab};
pub use nodes::Node;
pub use pipelines::{Pipeline, Results};
pub use processes::left_in;
pub use programs::{Missing, find_program, pipeline_file, program_file, programs_directory, skip};
pub use random::Random;
pub use session::{Session, Settings, Way};
pub use terminal::Terminal;
pub use watched::Watched;
pub use witness::{Listener, Witness};
