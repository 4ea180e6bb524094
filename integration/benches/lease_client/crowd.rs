//! Many clients in one process, which wait until its standard input is closed.

use std::{
    error::Error,
    io::{self, Read},
    path::Path,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use redirector::{client::wire::Lease, protocol::GatewayMessage};

use crate::job;

/// Says so on standard output when all `count` are accepted.
pub(crate) fn wait(socket: &Path, count: &str) -> Result<(), Box<dyn Error>> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut clients = Vec::new();
    for _ in 0..count.parse()? {
        let mut lease = Lease::open(socket, &[&job::submission("/bin/true")])?;
        loop {
            match lease.arrived()? {
                Some(GatewayMessage::Accepted { .. }) => break,
                Some(_) => {}
                None => lease.fill(),
            }
        }
        clients.push(lease);
    }
    println!("{} clients wait", clients.len());
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
