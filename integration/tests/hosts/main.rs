//! Jobs on other computers, which are reached by ssh: whatever becomes of the link or of a host,
//! a command cannot be told from one that runs here, and nothing of it is lost, doubled or left.
//!
//! Each file has one subject.

mod agent;
mod bad_hosts;
mod clocks;
mod cluster;
mod doctor;
mod endings;
mod frozen;
mod lab;
mod link;
mod lost_hosts;
mod no_room;
mod output;
mod pipelines;
mod placement;
mod scattered;
mod signals;
mod staging;
mod staging_faults;
mod stream;
mod streams;
mod surroundings;
