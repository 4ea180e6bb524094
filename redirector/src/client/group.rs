//! Signals to this process, told from signals to the whole group, of which the command is a
//! member too.
//!
//! The kernel cannot take a signal from this process and empty the [`Witness`] at one moment, so
//! the next one of a kind may come in between. A new witness thus stands in the group *before* a
//! signal is taken: then nothing that comes later can be missed, and what came too early to matter
//! is seen by what this process has left to read.
//!
//! ```text
//!  pending here ─► new witness ─► look at the old one ─► take ─► look at the new one
//!                       │         to the group?           │      again the same kind?
//!                       └── one more is made one with ────┴── one more waits to be read,
//!                           the first: forget it              and is the group's
//! ```

use crate::agent::{
    signals::{Catcher, bit},
    witness::{Witness, settle},
};

/// A signal that this process got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// Its number.
    pub signal: i32,
    /// The command has got it too, by being in the group.
    pub reached_group: bool,
}

/// Takes this process's signals one by one.
#[derive(Default)]
pub(super) struct Group {
    witness: Option<Witness>,
    /// Signals to the group that witnesses before this one had seen and that are still to be
    /// taken, as [`bit`]s.
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

    /// The next signal that `catcher` has, if one is there.
    pub(super) fn next(&mut self, catcher: &Catcher) -> Option<Received> {
        // The one that every command sends, and nobody to a group.
        if catcher.take(libc::SIGCHLD).is_some() {
            return Some(Received { signal: libc::SIGCHLD, reached_group: false });
        }
        let signal = catcher.first_pending()?;
        let traces = traces(signal);
        if self.witness.is_some() {
            self.relieve();
        }
        let taken = catcher.take(signal)?;
        // The kernel signals whole groups, except for this process's own timers and
        // limits, which are not the command's.
        let reached_group = taken.from_kernel || self.seen_before & traces != 0;
        self.seen_before &= !traces;
        if self.sees() & traces != 0 {
            settle();
            if catcher.pending() & traces == 0 {
                self.relieve();
                // One that came just now is the group's, as were the two before it.
                if catcher.pending() & traces == 0 {
                    self.seen_before &= !traces;
                }
            }
        }
        Some(Received { signal, reached_group })
    }

    /// Has a new witness stand in the group, and keeps in mind what the old one saw.
    fn relieve(&mut self) {
        let fresh = Witness::start();
        self.seen_before |= self.sees();
        self.witness = fresh;
    }

    fn sees(&self) -> u64 {
        self.witness.as_ref().map_or(0, Witness::pending)
    }
}

/// What a signal to the group leaves pending at the witness, as [`bit`]s. Stops and SIGCONT
/// take each other out of the pending set, so that either of them stands for both.
const fn traces(signal: i32) -> u64 {
    match signal {
        libc::SIGCONT | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => {
            bit(libc::SIGCONT) | bit(libc::SIGTSTP) | bit(libc::SIGTTIN) | bit(libc::SIGTTOU)
        }
        _ => bit(signal),
    }
}
