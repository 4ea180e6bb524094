//! The gateway: takes jobs, keeps the journal, gives out resources.
//!
//! One process per user and computer, one thread. Each connection is a task that
//! only translates; everything that happens goes as a [`message::Message`] through
//! one channel to the [`core::Core`], which owns all state. What the core decides
//! is journalled before anybody hears of it, a batch at a time:
//!
//! ```text
//!  connections ([`api`], [`lease`]) ─┐
//!  ended processes ([`processes`]) ──┼─► Message ─► core ─► dispatcher (pure)
//!  timers ───────────────────────────┘               │            │
//!                                                    │ ◄── actions ┘
//!                                                    ├─► store: one commit a batch
//!                                                    └─► then the answers
//! ```
//!
//! What detached jobs have written does not go through the core: [`logs`] streams it
//! from its files, which [`crate::growing`] sees growing.
//!
//! [`daemon`] is how it starts and leaves, [`node`] what this computer has.

mod agents;
mod api;
mod attach;
mod clock;
mod core;
pub mod daemon;
mod fetch;
mod hosts;
mod joins;
mod lease;
mod links;
mod logs;
mod message;
mod nodes;
mod pipes;
mod processes;
mod records;
mod run_log;
mod server;
mod service;
mod stage;
mod token;
mod whitelists;

use crate::agent::job_processes;
