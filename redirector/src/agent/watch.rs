//! Memory limits that the agent keeps itself, where the kernel cannot: it looks at the
//! processes of the attempts, the more often the nearer one is to its limit, and not at all
//! when none has a limit.

use tokio::time::Instant;

use super::{
    attempts::Attempts,
    memory::{self, Root, Snapshot},
    protocol::AttemptId,
    shepherds::Shepherds,
};

/// When the next look is due.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next: Option<Instant>,
}

/// An attempt that has more memory than it may, and how much, in bytes.
pub(super) type Offender = (AttemptId, u64);

impl Watch {
    /// Returns when a look is due; never, while no attempt has a limit.
    pub(super) async fn is_due(&self) {
        match self.next {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// An attempt that may have `limit` bytes was started.
    pub(super) fn started(&mut self, limit: u64) {
        let at = Instant::now() + memory::interval(limit);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Looks at all attempts that have a limit; those that have more than they may.
    pub(super) fn look(&mut self, attempts: &mut Attempts, shepherds: &Shepherds) -> Vec<Offender> {
        let watched: Vec<(AttemptId, u64, i32, Option<String>)> = attempts
            .all_running()
            .filter_map(|(attempt, running)| {
                let token = running.token.clone().filter(|_| running.is_nested);
                let pid = shepherds.process(running.shepherd)?;
                Some((attempt, running.watched_limit?, pid, token))
            })
            .collect();
        let roots: Vec<_> = watched
            .iter()
            .map(|(_, _, pid, token)| Root {
                pid: *pid,
                counts_itself: false,
                token: token.as_deref(),
                is_nested: token.is_some(),
            })
            .collect();
        if roots.is_empty() {
            self.next = None;
            return Vec::new();
        }
        let snapshot = Snapshot::take(&roots);
        let mut least_headroom = u64::MAX;
        let mut offenders = Vec::new();
        for (index, &(attempt, limit, ..)) in watched.iter().enumerate() {
            let mut used = snapshot.resident(index);
            if used > limit {
                used = snapshot.proportional(index);
            }
            if used > limit {
                offenders.push((attempt, used));
            }
            least_headroom = least_headroom.min(limit.saturating_sub(used));
            if let Some(running) = attempts.running_mut(attempt) {
                running.peak = running.peak.max(used);
            }
        }
        self.next = Some(Instant::now() + memory::interval(least_headroom));
        offenders
    }
}
