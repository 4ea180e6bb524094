//! What a job used, by the kernel's account of it and its waited-for children.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Resource usage of a finished job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in user mode, microseconds.
    pub user_us: u64,
    /// Processor time in the kernel, microseconds.
    pub system_us: u64,
    /// Largest resident set of any one process, bytes.
    pub max_rss: u64,
    /// Bytes read from storage (page cache hits do not count).
    pub read_bytes: u64,
    /// Bytes written towards storage.
    pub written_bytes: u64,
}

impl Usage {
    /// Processor time in user mode and in the kernel.
    pub const fn cpu(&self) -> Duration {
        Duration::from_micros(self.user_us + self.system_us)
    }
}
