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
