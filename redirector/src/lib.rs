//! Runs the commands of an unmodified pipeline as jobs on a cluster.
//!
//! ```text
//!  tool ─ exec ─► libshim.so ─► redirector exec ═══ lease ═══► gateway
//!                               [client::exec]                 [gateway]
//!                               runs the command               [store]       journal
//!                               with [agent]                   [dispatcher]  who runs when
//! ```
//!
//! Dependencies between the modules point one way:
//! [`cli`] → {[`client`], [`gateway`]} → {[`dispatcher`], [`agent`], [`store`]} → [`model`].
//! [`protocol`] is what client and gateway say to each other; [`config`] and
//! [`place`] say how things are set and where they are, [`mapfile`] which host has which file, and
//! [`detached`] how gateway and agent are started. The agent, too, may have to start a gateway, as
//! clients do.

#![deny(unsafe_code)]

#[allow(unsafe_code)]
pub mod agent;
pub mod cli;
pub mod client;
pub mod config;
pub mod detached;
pub mod dispatcher;
pub mod doctor;
pub mod engine;
pub mod gateway;
mod growing;
pub mod huge_pages;
mod inherited;
mod lines;
pub mod mapfile;
pub mod model;
pub mod node;
mod open_files;
pub mod place;
pub mod preload;
pub mod program;
pub mod protocol;
mod random;
pub mod report;
pub mod stage;
pub mod stdio;
pub mod store;
pub mod units;
