//! The runtime matrix: every language and tool that pipelines are written with starts a whitelisted
//! program in each way it can. Output, exit status and the program's own view of how it was started
//! are the same as without us, and each start is exactly one job.

mod build_tools;
mod languages;
mod rows;
mod shells;
mod wrappers;
