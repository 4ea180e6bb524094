//! What keeps a testbed up for as long as a test lives.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread,
};

/// A script of `integration/testbed` that stops everything when its standard input ends: when this
/// is dropped, or the test is killed.
pub(super) struct Holder(Child);

impl Holder {
    /// Runs `command`, which is to say `ready`.
    ///
    /// # Panics
    ///
    /// With what it said, when it does not.
    #[track_caller]
    pub(super) fn start(mut command: Command) -> Self {
        // In a process group of its own: it has to outlive a group that is killed.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.stderr(Stdio::piped()).spawn().expect("bash is installed");
        let complaints = holder.stderr.take().expect("piped above");
        let complaints = thread::spawn(move || read_text(complaints));
        let mut ready = String::new();
        let said = BufReader::new(holder.stdout.take().expect("piped above")).read_line(&mut ready);
        if said.is_err() || ready != "ready\n" {
            drop(holder.stdin.take());
            let ended = holder.wait().expect("our child");
            panic!("no hosts ({ended}): {}", complaints.join().unwrap_or_default());
        }
        Self(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let ended = self.0.wait().expect("our child");
        // A second panic would hide the first.
        assert!(ended.success() || thread::panicking(), "the hosts could not be stopped: {ended}");
    }
}

fn read_text(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before an error is shown.
    stream.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}
