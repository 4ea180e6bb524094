//! The agent's way by TCP: all addresses at once.

use std::time::Duration;

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{
    handshake::{self, Greeted, Key, Word},
    invitation::Invitation,
};
use crate::model::NodeName;

/// How long an address may take to answer: a lost first packet is sent again after 1 s and 3 s (RFC
/// 6298), and only when all have failed is the file read again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects `agent` to the gateway that has written `invitation`: at which address, and the
/// stream. The error says why of each address.
pub(super) async fn dial(
    invitation: &Invitation,
    agent: &Word,
    key: &Key,
) -> Result<(String, TcpStream), String> {
    let mut calls = JoinSet::new();
    for address in invitation.addresses.clone() {
        let (node, agent, key) = (invitation.node.clone(), *agent, key.clone());
        let port = invitation.port;
        calls.spawn(async move {
            let greeted = timeout(PATIENCE, greet(&address, port, &node, &agent, &key)).await;
            let address = format!("{address} port {port}");
            match greeted {
                Ok(Ok(greeted)) => Ok((address, greeted)),
                Ok(Err(error)) => Err(format!("{address}: {error}")),
                Err(_) => Err(format!("{address}: no answer within {} s", PATIENCE.as_secs())),
            }
        });
    }
    let mut reasons = Vec::new();
    while let Some(called) = calls.join_next().await {
        let reason = match called {
            Ok(Ok((address, greeted))) => match timeout(PATIENCE, greeted.enter()).await {
                Ok(Ok(stream)) => return Ok((address, stream)),
                Ok(Err(error)) => format!("{address}: it did not let this agent in: {error}"),
                Err(_) => format!("{address}: it did not let this agent in"),
            },
            Ok(Err(reason)) => reason,
            Err(error) => error.to_string(),
        };
        reasons.push(reason);
    }
    Err(reasons.join("; "))
}

async fn greet(
    address: &str,
    port: u16,
    node: &NodeName,
    agent: &Word,
    key: &Key,
) -> Result<Greeted<TcpStream>, handshake::Error> {
    let stream = TcpStream::connect((address, port)).await?;
    // Reports are short, and each is waited for.
    stream.set_nodelay(true)?;
    handshake::greet(stream, node, agent, key).await
}
