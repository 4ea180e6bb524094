//! The gateway's ear for TCP.

use std::{
    net::{self, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, time::sleep};

use super::{Error, addresses, door::Door};
use crate::config::Address;

/// How long a gateway that cannot accept a connection waits before it tries again.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Waits for agents that connect.
pub(super) struct Listener {
    open: TcpListener,
    /// Where agents are told to connect.
    pub addresses: Vec<String>,
    pub port: u16,
}

impl Listener {
    /// At any address of this computer, in both kinds of IP where it has both. Agents are told
    /// `address`, or else all of them.
    pub(super) fn open(address: Option<&Address>) -> Result<Self, Error> {
        let (addresses, port) = match address {
            Some(Address { name, port }) => (vec![name.clone()], port.unwrap_or(0)),
            None => (addresses::own(), 0),
        };
        let failed = |cause| Error::Listen { port, cause };
        let any = net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
            .map_err(failed)?;
        any.set_nonblocking(true).map_err(failed)?;
        let open = TcpListener::from_std(any).map_err(failed)?;
        let port = open.local_addr().map_err(failed)?.port();
        tracing::info!(port, "listening for agents of pools");
        Ok(Self { open, addresses, port })
    }

    /// Leads to the door whoever connects.
    pub(super) async fn receive(self, door: Arc<Door>) {
        loop {
            let place = door.place().await;
            let accepted = self.open.accept().await.and_then(|(stream, peer)| {
                // Orders are short, and each is waited for.
                stream.set_nodelay(true)?;
                Ok((stream, peer))
            });
            match accepted {
                Ok((stream, peer)) => {
                    let door = Arc::clone(&door);
                    tokio::spawn(async move {
                        let _place = place;
                        door.receive(Box::new(stream), &format!("by TCP from {peer}")).await;
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely.
                    tracing::error!("cannot accept a connection: {error}");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}
