//! The gateway under faults and bad input: whatever goes wrong, a command runs once or not at all,
//! nothing hangs, and the person is told what happened and what to do.
//!
//! Each file has one subject.

mod bad_input;
mod bad_submissions;
mod cancelling;
mod command_line;
mod detached;
mod fake_gateway;
mod full_disk;
mod given;
mod grants;
mod journal;
mod misbehaving;
mod modes;
mod recovery;
mod runs;
mod start;
mod stop;
mod submit;
mod support;
mod watching;
