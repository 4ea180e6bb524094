//! Gateways and agents that are killed again and again while they have much to do: every job ends
//! as it should, no command runs twice, and nothing is left.
//!
//! ```text
//!   killer ── SIGKILL ──► gateway or agent          at moments that a seed chooses
//!   load ── pipelines, submissions, waits ──► jobs ── a line per attempt ──► `ran`
//!   check: what clients saw == the journal == the lines
//! ```
//!
//! The lines are what proves it. Jobs add them by themselves, so that a command that ran once more
//! than the journal says shows.

mod agent;
mod check;
mod gateway;
mod killer;
mod load;
