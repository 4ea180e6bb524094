//! Jobs on other computers, which are reached by ssh: whatever becomes of the link or of a host,
//! a command cannot be told from one that runs here, and nothing of it is lost, doubled or left.
//!
//! Each file has one subject.

mod lab;
