//! `redirector agent`, driven over its socket as a gateway drives it: every attempt ends as
//! specified, once, and leaves no process behind.
//!
//! Each file has one subject.

mod ahead;
mod ends;
mod joins;
mod leftovers;
mod limits;
mod memory;
mod reconnects;
mod service;
mod support;
mod throughput;
