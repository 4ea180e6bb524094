//! What can go wrong with a host.

use std::path::Path;

use super::Lab;

/// All of them panic when it cannot be done, such as for a host that is down.
impl Lab {
    /// Pulls the cable: connections hang.
    #[track_caller]
    pub fn cut(&self, host: &str) {
        self.testbed(&["cut", host]);
    }

    /// Puts the cable back: what hung goes on.
    #[track_caller]
    pub fn heal(&self, host: &str) {
        self.testbed(&["heal", host]);
    }

    /// Makes every frame so many milliseconds late, in each direction. Costs throughput.
    #[track_caller]
    pub fn delay(&self, host: &str, milliseconds: u32) {
        self.testbed(&["delay", host, &milliseconds.to_string()]);
    }

    /// Has the cable as it was before [`Lab::delay`].
    #[track_caller]
    pub fn undelay(&self, host: &str) {
        self.testbed(&["delay", host, "off"]);
    }

    /// Ends the sshd that listens; sessions go on.
    #[track_caller]
    pub fn kill_sshd(&self, host: &str) {
        self.testbed(&["kill-sshd", host]);
    }

    /// Starts sshd anew, with `options` first in its configuration.
    #[track_caller]
    pub fn start_sshd(&self, host: &str, options: &[&str]) {
        self.testbed(&[&["sshd", host], options].concat());
    }

    /// Ends the sshd of every session; what runs in them loses its connection.
    #[track_caller]
    pub fn kill_sessions(&self, host: &str) {
        self.testbed(&["kill-sessions", host]);
    }

    /// Stops every process: the host's kernel answers, and nobody else.
    #[track_caller]
    pub fn freeze(&self, host: &str) {
        self.testbed(&["freeze", host]);
    }

    /// Lets every process go on.
    #[track_caller]
    pub fn thaw(&self, host: &str) {
        self.testbed(&["thaw", host]);
    }

    /// No process can be made any more.
    #[track_caller]
    pub fn forbid_processes(&self, host: &str) {
        self.testbed(&["no-fork", host]);
    }

    /// Processes can be made again.
    #[track_caller]
    pub fn allow_processes(&self, host: &str) {
        self.testbed(&["fork", host]);
    }

    /// A power cut: everything is gone at once, and nobody is told.
    #[track_caller]
    pub fn crash(&self, host: &str) {
        self.testbed(&["crash", host]);
    }

    /// Every process ends; connections are closed.
    #[track_caller]
    pub fn halt(&self, host: &str) {
        self.testbed(&["halt", host]);
    }

    /// Starts a host that crashed or was halted; what it had in memory, `/tmp` included, is gone.
    #[track_caller]
    pub fn boot(&self, host: &str) {
        self.testbed(&["boot", host]);
    }

    /// Has a copy of `file` seen as `path` on a host.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    #[track_caller]
    pub fn put_over(&self, host: &str, file: &Path, path: &str) {
        let file = file.to_str().expect("the files of these tests have plain names");
        self.testbed(&["over", host, file, path]);
    }
}
