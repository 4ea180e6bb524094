//! Engines start agents on other computers; agents run jobs there.
//!
//! ```text
//!   gateway core ◄── Up, Report…, Down ── engine ([`ssh`], …) ══ a byte stream ══ agent
//!        └─── Order… ───► orders of the link │ [`multiplex`]
//!   a client's stdio ──► [`Channel::open`] ──┘ further streams beside them
//! ```
//!
//! An engine sees to it that its node's agent can be talked to: it starts it, connects to it, and
//! tells the core of each. When a connection is lost, the core decides when to try again.

pub mod batch;
pub mod channel;
mod halves;
pub mod join;
pub mod multiplex;
pub mod program;
pub mod ssh;

pub use channel::{ByteStream, Channel, Duplex, Open};
pub use halves::{Giver, Taker, halves};
