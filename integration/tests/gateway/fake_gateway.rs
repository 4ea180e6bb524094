//! A gateway that does what a test says, to look at clients alone.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
};

use integration::{DEADLINE, Session};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

/// Listens where the session's gateway would.
pub(crate) struct FakeGateway {
    socket: UnixListener,
    path: PathBuf,
}

impl FakeGateway {
    pub(crate) fn listen(session: &Session) -> Self {
        let path = session.state().join("gateway.sock");
        let socket = UnixListener::bind(&path).expect("no gateway is there yet");
        Self { socket, path }
    }

    /// Waits for a client, which says `first`.
    #[track_caller]
    pub(crate) fn accept(&self) -> Lease {
        let mut watched = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(DEADLINE).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut watched, timeout).expect("polling a socket that we own");
        assert!(ready > 0, "no client came within {DEADLINE:?}");
        let (stream, _) = self.socket.accept().expect("a connection is waiting");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline that is not zero");
        let mut lease = Lease { stream: BufReader::new(stream), first: Value::Null };
        while lease.line() != "\r\n" {}
        lease.first = lease.hear();
        lease
            .stream
            .get_mut()
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .expect("the client listens");
        lease
    }

    /// Waits for a client, and accepts its job as job 7.
    #[track_caller]
    pub(crate) fn accept_job(&self) -> Lease {
        let mut lease = self.accept();
        lease.say(&json!({"accepted": {"job": 7, "token": "t", "warnings": []}}));
        lease
    }
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        // The session looks for a gateway at its end.
        fs::remove_file(&self.path).ok();
    }
}

/// A client's connection.
pub(crate) struct Lease {
    stream: BufReader<UnixStream>,
    /// What the client said first: `{"submit": {…}}` or `{"resume": {…}}`.
    pub first: Value,
}

impl Lease {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the client goes on");
        line
    }

    /// The client's next message.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        let size = self.line();
        let size = usize::from_str_radix(size.trim(), 16)
            .unwrap_or_else(|error| panic!("'{size}' is no size of a chunk: {error}"));
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).expect("the chunk is as long as it says");
        serde_json::from_slice(&chunk).expect("clients say JSON")
    }

    /// The end of an attempt, which the client says next: its number and its exit status.
    #[track_caller]
    pub(crate) fn hear_exit(&mut self) -> (u64, i64) {
        let message = self.hear();
        let finished = &message["finished"];
        let exit_code = finished["outcome"]["exit_code"].as_i64();
        let exit_code = exit_code.unwrap_or_else(|| panic!("no exit: {message}"));
        (finished["attempt"].as_u64().expect("a number"), exit_code)
    }

    /// Says `message` to the client.
    pub(crate) fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        self.stream.get_mut().write_all(chunk.as_bytes()).expect("the client listens");
    }

    /// Grants attempt `number` one cpu, and whatever is in `more`.
    pub(crate) fn grant(&mut self, number: u64, more: &Value) {
        let mut grant = json!({"attempt": number, "resources": {"cpus": 1, "mem": 0}});
        for (name, value) in more.as_object().into_iter().flatten() {
            grant[name] = value.clone();
        }
        self.say(&json!({ "granted": grant }));
    }

    /// Says that the outcome is journalled.
    pub(crate) fn record(&mut self) {
        self.say(&json!("recorded"));
    }
}
