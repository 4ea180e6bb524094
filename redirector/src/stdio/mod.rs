//! The bytes of a command's descriptors, between the process that waits for it and the agent
//! that runs it on another computer.
//!
//! ```text
//!  client's stdin ─► ┐                                            ┌ ─► the command's stdin
//!  client's stdout ◄─┤ frames ══ gateway ══ one channel ══ agent ─┤ ◄─ its stdout
//!  signals ────────► ┘                                            └ ─► its process group
//! ```
//!
//! Each side keeps what it sent until the other side has passed it on. So either connection
//! may break at any byte, or the gateway be killed: the sides go on from where each of them was.
//!
//! [`Session`] is one side's whole state, and does no input or output itself. Whoever has the
//! descriptors and the connection moves bytes in and out of it:
//!
//! ```text
//!  a descriptor ── room, push, end ──► ┌─────────┐ ── fill ──► [`Outbox`] ──► the connection
//!                                      │ Session │
//!  a descriptor ◄─ next, passed_on ─── └─────────┘ ◄─ receive ─ [`Decoder`] ◄─ the connection
//! ```
//!
//! ```
//! use redirector::stdio::{Decoder, Outbox, Session};
//!
//! let (mut client, mut agent) = (Session::new([0], []), Session::new([], [0]));
//! let (mut outbox, mut decoder) = (Outbox::default(), Decoder::default());
//! let mut buffer = b"hello".to_vec();
//! client.push(0, &mut buffer, 5);
//! let here = client.connect();
//! client.fill(here, &mut outbox);
//! let there = agent.connect();
//! let bytes = outbox.to_vec();
//! decoder.space()[..bytes.len()].copy_from_slice(&bytes);
//! decoder.advance(bytes.len());
//! while let Some(arrived) = decoder.next().unwrap() {
//!     agent.receive(there, arrived).unwrap();
//! }
//! ```
//!
//! What is kept is bounded: a descriptor is read only as far as [`WINDOW`] beyond what the other
//! side has passed on.

mod decoder;
mod frame;
mod incoming;
mod outbox;
mod outgoing;
pub(crate) mod pipe;
mod queue;
mod session;
mod signals;
#[cfg(test)]
mod tests;

pub use decoder::{Arrived, Decoder};
pub use frame::Control;
pub use incoming::Next;
pub use outbox::Outbox;
pub use queue::Chunk;
pub use session::{ConnectionId, Effect, Session, Violation};
pub use signals::Signal;

/// Most bytes of one stream that were read and that the other side has not passed on yet.
pub const WINDOW: usize = 4 << 20;

/// Most bytes of a stream in one frame, and what is worth being read at once.
pub const LARGEST_PIECE: usize = 256 << 10;
