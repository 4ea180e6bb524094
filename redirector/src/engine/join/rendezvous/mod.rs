//! The way of agents to a gateway to which there is no network: files in a directory that both
//! see.
//!
//! ```text
//!   STATE/rendezvous/                    0700; the gateway lists it while it waits for somebody
//!     long-3.9f27…/                      a call: the agent made it as .long-3.9f27…, then renamed it
//!       agent.sent    agent.taken        counters, each of one side's: see `counter`
//!       gateway.sent  gateway.taken
//!       agent.17      gateway.4          segments, whose readers remove them: see `segment`
//!       reason                           why the agent does not come by TCP, for the log
//!
//!   Stream of one side                                              Stream of the other side
//!      │ bytes                                                               ▲ bytes
//!      ▼                                                                     │
//!   `carrier` ── segment 17, then agent.sent = 18 ──► looks, reads 17, removes it: `carrier`
//!      room for more? looks ◄─────────────────────────────── gateway.taken = 18
//!                      and the same the other way round
//! ```
//!
//! Both sides look again and again ([`pace`]), for nothing else works: network file systems tell
//! nobody of what other computers do (no inotify), and have no sockets or pipes between them;
//! locks and appending by two writers are not to be relied upon. What is: a file that one computer
//! has written and closed is whole for another one that opens it afterwards. So
//!
//! * each file has one writer, and a name that nobody has looked for before it is there: clients of
//!   NFS remember for up to a minute that there was none;
//! * a counter says that a segment is there once it is, and there is never more of it than
//!   [`lanes::LIMITS`] allow that the other side has not taken;
//! * a side that drops its stream makes both its counters final; one that was killed does not, and
//!   the silence tells ([`crate::engine::multiplex::alive`], which leaves 30 s: a look comes after
//!   0.5 s at most);
//! * the last of both to close a call removes it, and the gateway does so in any case some seconds
//!   later; a gateway that begins removes what the one before has answered, which its agents see.
//!
//! A segment that a server shows late is waited for. A listing that misses a call, as it may where
//! time stamps are coarse (NFS version 3), is made good by the next change: an agent that nobody
//! answers calls anew.

mod apart;
mod call;
mod carrier;
mod counter;
mod lanes;
mod pace;
mod place;
mod segment;
mod stream;

#[cfg(test)]
mod tests;

use std::io;

pub use self::carrier::Parting;
use self::{apart::apart, call::Side, lanes::LIMITS};
pub(super) use self::{call::Call, place::Place, stream::Stream};
use crate::model::NodeName;

/// Has the agent of `node` call its gateway in `place`; what it says waits there until it is heard.
/// `reason` is why it does not come by TCP.
pub(super) async fn call(
    place: &Place,
    node: &NodeName,
    reason: String,
) -> io::Result<(Stream, Parting)> {
    let (place, node) = (place.clone(), node.clone());
    let call = apart(move || place.call(&node, &reason)).await?;
    carrier::begin(call, Side::Agent, LIMITS).await
}

/// A call that the gateway hears.
pub(super) struct Answered {
    pub stream: Stream,
    pub parting: Parting,
    /// Why the agent does not come by TCP, as it says.
    pub reason: String,
}

/// Has the gateway hear `call`.
pub(super) async fn answer(call: Call) -> io::Result<Answered> {
    let its = call.clone();
    let reason = apart(move || its.reason()).await?;
    let (stream, parting) = carrier::begin(call, Side::Gateway, LIMITS).await?;
    Ok(Answered { stream, parting, reason })
}
