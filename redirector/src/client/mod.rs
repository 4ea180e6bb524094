//! The side that a tool meets.
//!
//! [`exec`] stands in for an intercepted command: [`submission`] says what is asked,
//! `job` runs it, `remote` has it run on another node, [`link`] keeps the connection to the gateway through [`wire`] and its [`chunked`]
//! answers, [`start_gateway`] makes sure that there is one. [`streams`] puts back what an
//! attempt read and wrote, and [`dry_run`] notes what would have been asked. Everything that is
//! not in the path of a command goes through [`api`]; [`watcher`] has a run shown to a person,
//! [`submit`] is for jobs that nobody waits for, [`scatter`] for one on each of many hosts.

mod about;
pub mod api;
pub mod chunked;
mod deaths;
pub mod dry_run;
pub mod exec;
mod foreground;
mod group;
mod job;
mod link;
mod remote;
pub mod run;
pub mod scatter;
mod settings;
pub mod spans;
pub mod start_gateway;
mod streams;
pub mod submission;
pub mod submit;
mod threads;
pub mod watcher;
pub mod wire;
