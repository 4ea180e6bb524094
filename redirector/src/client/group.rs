//! Signals to the whole process group, of which the command is a member too.

use crate::agent::witness::Witness;

/// Whether the command has got a signal by being in the group.
#[derive(Default)]
pub(super) struct Group {
    witness: Option<Witness>,
    /// Signals that a witness before this one had seen, bit `n - 1` for signal `n`.
    seen_before: u64,
}

impl Group {
    /// Sees signals from here on.
    pub(super) fn watch(&mut self) {
        self.witness = Witness::start();
    }

    /// Asks the witness to end; it is waited for when this is dropped.
    pub(super) fn dismiss(&self) {
        if let Some(witness) = &self.witness {
            witness.dismiss();
        }
    }

    /// Whether `signal`, which this process got, reached the whole group.
    pub(super) fn has_got(&mut self, signal: i32, from_kernel: bool) -> bool {
        // The kernel signals whole groups, except for this process's own timers and
        // limits, which are not the command's.
        let Some(witness) = &self.witness else { return from_kernel };
        let traces = traces(signal);
        let seen_before = self.seen_before & traces != 0;
        self.seen_before &= !traces;
        if witness.pending() & traces == 0 {
            return seen_before || from_kernel;
        }
        // What is pending stays pending: a fresh witness for the next signal. Others
        // may have come before it that this process has yet to read.
        let fresh = Witness::start();
        self.seen_before |= witness.pending() & !traces;
        self.witness = fresh;
        true
    }
}

/// What a signal to the group leaves pending at the witness, bit `n - 1` for signal
/// `n`. Stops and SIGCONT take each other out of the pending set, so that either of
/// them stands for both.
const fn traces(signal: i32) -> u64 {
    const fn bit(signal: i32) -> u64 {
        1 << (signal - 1)
    }
    match signal {
        libc::SIGCONT | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            bit(libc::SIGCONT) | bit(libc::SIGTSTP) | bit(libc::SIGTTIN) | bit(libc::SIGTTOU)
        }
        _ => bit(signal),
    }
}
