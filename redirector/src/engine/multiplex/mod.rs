//! Many streams of bytes over one, each with back-pressure of its own: HTTP/2.
//!
//! ```text
//!   gateway: [`connect`]                                  agent: [`serve`]
//!   Channel::open("/v1/orders")   ─┐                  ┌─► Offer { path } ─► accept: ByteStream
//!   Channel::open("/v1/attempts…")─┤ one byte stream  ├─► Offer { path } ─► refuse: a reason
//!   keep-alive ────────────────────┘ (ssh, …)         └── keep-alive
//! ```
//!
//! A stream is a `POST` whose request is what the gateway writes and whose response is what the
//! agent writes. The opener does not wait for the answer before it writes, so that opening costs
//! no round trip; a refusal is an error of its first read.
//!
//! Neither side trusts the byte stream to tell that the other one is gone: see [`alive`].

pub mod alive;
mod client;
mod server;
mod stream;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use alive::{Heard, KeepAlive};
pub use client::connect;
pub use server::{Offer, serve};

/// Bytes of one stream that may be under way: enough for 400 MB/s over 10 ms.
const STREAM_WINDOW: u32 = 4 << 20;

/// Bytes of all streams together that may be under way: as many as HTTP/2 can say. What is not
/// read of some streams counts, and must not be what the orders wait for.
const LINK_WINDOW: u32 = i32::MAX as u32;

/// Most bytes of one stream before others have their turn. What a pipe holds: a larger frame is
/// not read at once either, and orders wait longer for it.
const FRAME: u32 = 64 << 10;

/// Most bytes of one stream that are kept here before they are under way.
const SEND_BUFFER: usize = 1 << 20;

/// Most streams at a time.
const STREAMS: u32 = 1 << 20;

/// h2 takes many streams that are given up, or many small frames, for an attack; here they are
/// the ends of many clients, and commands that write little at a time.
const NO_ATTACK: usize = 1 << 30;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// In good order.
    #[error("the other side has closed the connection")]
    Closed,
    /// The link is dead, or the other side's computer is, or it hangs.
    #[error("nothing was heard from the other side for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came in is no HTTP/2, or nothing comes in any more.
    #[error("the connection failed: {cause}")]
    Failed {
        /// What is wrong.
        cause: h2::Error,
    },
}

impl Ended {
    fn of(result: Result<(), h2::Error>) -> Self {
        match result {
            Ok(()) => Self::Closed,
            Err(cause) => Self::Failed { cause },
        }
    }
}
