//! Jobs on hosts that do not have the gateway's files: inputs are copied there, outputs back.
//!
//! ```text
//!   here                                            the host
//!   argv, directory ─ [`plan`] ─► files             <agent>/jobs/7.1/root/home/ann/run/in.fa
//!          │ digests of what is in them                     ▲ link or copy
//!          └─► [`Manifest`] ══ /v1/stages/7.1 ══► missing?  │
//!              a file       ══ /v1/blobs/D ═════► <agents>/cache/blobs/D
//!                                                           │ the command runs below `root`
//!   the same path here ◄══ /v1/stages/7.1/outputs ══ [`diff`]: what is new or changed there
//! ```
//!
//! The tree on the host has everything at the path that it has here, below one directory. So
//! relative arguments stay as they are, and absolute ones have that directory in front of them.
//!
//! What is pure is here: [`arguments`] finds what may be paths, [`plan`] what a command reads and
//! where it may write, [`diff`] what it has written. The gateway's and the agent's sides work on
//! files, and speak [`talk`].

pub mod arguments;
pub mod diff;
pub mod manifest;
pub mod path;
pub mod plan;
pub mod talk;
#[cfg(test)]
mod tests;
pub mod transfer;

pub use manifest::{Digest, Manifest, Thing};
pub use path::WholePath;
