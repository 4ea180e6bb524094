//! Agents that come by themselves: a batch engine has started them somewhere, and they connect to
//! the gateway by TCP, or through files where that is not possible ([`rendezvous`]).
//!
//! ```text
//!   gateway                                                      agent, in an allocation
//!   [`Joining::invite`] ── NODE.json, 0600, on the shared file system ──► [`Caller::begin`]
//!   listener ◄════════════ TCP, to all addresses at once ════════════════ [`Caller::call`]
//!   lookout  ◄════════════ files in STATE/rendezvous ════════════════════════╡
//!       │                                                                    │
//!     door   ◄── who, a number ── a number, a proof ──► ◄── a proof ──► ([`handshake`])
//!       └─► [`Joining::arrival`] ═════════ HTTP/2 ([`super::multiplex`]) ═════════╛
//! ```
//!
//! The file has a secret that serves once: the first agent that shows it has a key of its own from
//! then on, which is never sent, and the secret goes. With the key it comes back when a link was
//! lost, also to the next gateway, which writes its addresses into the same file. Both sides prove
//! what they know before either says anything else: after the death of a gateway another user's
//! program may be listening at its port.
//!
//! What follows is not encrypted, as it is not on the file system that the jobs work on.

mod addresses;
mod caller;
mod dial;
mod door;
mod handshake;
mod invitation;
mod joining;
mod listener;
mod lookout;
mod rendezvous;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

pub use caller::{Called, Caller, NoGateway, Way};
pub use joining::Joining;
pub use rendezvous::Parting;

/// Agents cannot join.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can connect.
    #[error(
        "cannot listen on TCP port {port} for agents of pools: {cause}; see gateway.address in \
         redirector.toml"
    )]
    Listen {
        /// The port; 0 is any.
        port: u16,
        /// The system's reason.
        cause: io::Error,
    },
    /// Nobody can be invited.
    #[error("cannot use {directory} for invitations to agents of pools: {cause}")]
    Directory {
        /// Where they are to be.
        directory: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// Nobody can be met.
    #[error(
        "cannot use {directory} for agents of pools that do not connect by TCP: {cause}; see to it \
         that it can be written to, or set gateway.rendezvous = \"never\" in redirector.toml"
    )]
    Rendezvous {
        /// Where they are to be met.
        directory: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// There is no invitation.
    #[error(
        "cannot read the invitation {file}: {cause}; the gateway's state directory must be on a file \
         system that is here, too (set REDIRECTOR_STATE_DIR where the gateway is started)"
    )]
    Unreadable {
        /// Its file.
        file: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// There has been another agent.
    #[error(
        "the invitation {file} was used by another agent already; the engine has started this \
         allocation twice, and nothing is run a second time"
    )]
    Used {
        /// Its file.
        file: PathBuf,
    },
}
