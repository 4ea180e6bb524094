//! A client with nothing but the exchange: what is left when the same lease is spoken once by the
//! redirector's own code for it and once by `reqwest`, in the same program.
//!
//! usage: `lease_client nothing|own|reqwest SOCKET PROGRAM`, or `lease_client crowd SOCKET COUNT`
//! for as many clients that do nothing but wait
//!
//! Its `main` is C's, as the redirector's is, so that the standard library's start-up is not
//! measured beside.

#![no_main]

mod by_reqwest;
mod crowd;
mod job;

use std::{
    error::Error,
    ffi::{c_char, c_int},
    io,
    path::Path,
};

use job::Answers;
use redirector::{client::wire, protocol};

/// Runs a program, with or without a lease for it.
#[unsafe(no_mangle)]
pub extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, by, socket, program] = &arguments[..] else {
        eprintln!("usage: lease_client nothing|own|reqwest|crowd SOCKET PROGRAM|COUNT");
        return 2;
    };
    let socket = Path::new(socket);
    let ran = match by.as_str() {
        "nothing" => job::run(program).map_err(Into::into),
        "own" => by_own_code(socket, program),
        "crowd" => crowd::wait(socket, program).map(|()| 0),
        _ => by_reqwest::lease(socket, program),
    };
    match ran {
        Ok(status) => status,
        Err(error) => {
            eprintln!("lease_client: {error}");
            125
        }
    }
}

fn by_own_code(socket: &Path, program: &str) -> Result<c_int, Box<dyn Error>> {
    let mut lease = wire::Lease::open(socket, &[&job::submission(program)])?;
    wait(&mut lease, Answers::is_grant)?;
    let status = job::run(program)?;
    lease.send(&job::report(status))?;
    wait(&mut lease, Answers::is_receipt)?;
    Ok(status)
}

fn wait(
    lease: &mut wire::Lease,
    wanted: fn(&protocol::GatewayMessage) -> io::Result<bool>,
) -> Result<(), Box<dyn Error>> {
    loop {
        match lease.arrived()? {
            Some(message) if wanted(&message)? => return Ok(()),
            Some(_) => {}
            None => lease.fill(),
        }
    }
}
