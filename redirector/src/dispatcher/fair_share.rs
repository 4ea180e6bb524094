//! Whose turn it is among jobs of the same priority.
//!
//! Runs and arrays share the nodes fairly: each has an account, and what its jobs ask for is put
//! down there when they are submitted. A job's *tag* says how much its account had been charged
//! before it, and smaller tags go first, so that ten jobs submitted after a million are served
//! about as soon as if there were ten of the others:
//!
//! ```text
//!   account A   0  1  2  3  4  5  6 …                 (submitted first: a million jobs)
//!   account B            3  4  5                      (submitted when 3 was being served)
//!   served      0  1  2  3  3  4  4  5  5  6 …
//! ```
//!
//! This is start-time fair queueing: virtual time is the tag of what was started last, and an
//! account that was idle starts there and not where it left off. A tag never changes, so the queue
//! stays sorted without work. Each priority has its own accounts.

use super::hasher::FastMap;
use crate::model::JobId;

/// Accounts are looked through for idle ones when there are twice as many as after the last time,
/// and at least this many.
const FEW: usize = 64;

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct FairShare {
    classes: FastMap<i32, Class>,
}

/// The accounts of one priority.
#[derive(Debug, Default)]
struct Class {
    virtual_time: u64,
    /// The highest charge of any account.
    most: u64,
    /// How many jobs wait.
    waiting: u64,
    accounts: FastMap<Option<JobId>, Account>,
    /// How many accounts there may be before idle ones are looked for.
    limit: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    waiting: u32,
    /// What has been asked for.
    charged: u64,
    /// What of that has been served: what is left when the rest is withdrawn.
    served: u64,
}

impl FairShare {
    /// Charges an account for a job that waits from now on, and returns the job's tag. One that
    /// waits `again` is charged too, but has had its turn and is not sent back to the end.
    pub(super) fn arrive(
        &mut self,
        priority: i32,
        share: Option<JobId>,
        cost: u64,
        again: bool,
    ) -> u64 {
        let class = self.classes.entry(priority).or_default();
        class.forget_idle_accounts();
        let account = class.accounts.entry(share).or_default();
        let tag = account.charged.max(class.virtual_time);
        account.charged = tag.saturating_add(cost);
        account.waiting += 1;
        class.waiting += 1;
        class.most = class.most.max(account.charged);
        if again { class.virtual_time } else { tag }
    }

    /// A waiting job starts.
    pub(super) fn serve(&mut self, priority: i32, share: Option<JobId>, tag: u64, cost: u64) {
        self.depart(priority, share, |class, account| {
            class.virtual_time = class.virtual_time.max(tag);
            account.served = account.served.max(tag.saturating_add(cost));
        });
    }

    /// A job that was said to start, and did not, waits again with the tag that it had.
    pub(super) fn come_back(&mut self, priority: i32, share: Option<JobId>, tag: u64, cost: u64) {
        let class = self.classes.entry(priority).or_default();
        let account = class.accounts.entry(share).or_default();
        account.charged = account.charged.max(tag.saturating_add(cost));
        account.waiting += 1;
        class.waiting += 1;
        class.most = class.most.max(account.charged);
    }

    /// A waiting job is withdrawn.
    pub(super) fn withdraw(&mut self, priority: i32, share: Option<JobId>, cost: u64) {
        self.depart(priority, share, |_, account| {
            account.charged = account.charged.saturating_sub(cost).max(account.served);
        });
    }

    fn depart(
        &mut self,
        priority: i32,
        share: Option<JobId>,
        settle: impl Fn(&mut Class, &mut Account),
    ) {
        let Some(class) = self.classes.get_mut(&priority) else { return };
        let Some(mut account) = class.accounts.get(&share).copied() else { return };
        account.waiting -= 1;
        settle(class, &mut account);
        if account.waiting == 0 {
            account.charged = account.served;
        }
        class.accounts.insert(share, account);
        class.waiting -= 1;
        if class.waiting == 0 {
            // Where nobody waits, nobody has been kept waiting for the sake of others.
            class.virtual_time = class.most;
        }
    }
}

impl Class {
    /// An account that is behind virtual time is the same as none.
    fn forget_idle_accounts(&mut self) {
        if self.accounts.len() < self.limit.max(FEW) {
            return;
        }
        let virtual_time = self.virtual_time;
        self.accounts.retain(|_, account| account.waiting > 0 || account.charged > virtual_time);
        self.limit = 2 * self.accounts.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_account_starts_where_the_others_are() {
        let mut shares = FairShare::default();
        let (a, b) = (Some(JobId(1)), Some(JobId(2)));
        let tags = (0..5).map(|_| shares.arrive(0, a, 10, false)).collect::<Vec<_>>();
        assert_eq!(tags, [0, 10, 20, 30, 40]);
        shares.serve(0, a, 0, 10);
        shares.serve(0, a, 10, 10);
        assert_eq!(shares.arrive(0, b, 10, false), 10);
        assert_eq!(shares.arrive(0, b, 10, false), 20);
        assert_eq!(shares.arrive(1, b, 10, false), 0, "priorities are accounts of their own");
    }

    #[test]
    fn what_is_withdrawn_is_not_charged() {
        let mut shares = FairShare::default();
        let (a, b) = (Some(JobId(1)), Some(JobId(2)));
        shares.arrive(0, b, 10, false);
        for _ in 0..1_000 {
            shares.arrive(0, a, 10, false);
        }
        for _ in 0..1_000 {
            shares.withdraw(0, a, 10);
        }
        assert_eq!(shares.arrive(0, a, 10, false), 0);
    }

    #[test]
    fn idle_accounts_are_forgotten() {
        let mut shares = FairShare::default();
        for share in 0..10_000 {
            let share = Some(JobId(share));
            let tag = shares.arrive(0, share, 1, false);
            shares.serve(0, share, tag, 1);
        }
        assert!(shares.classes[&0].accounts.len() <= 2 * FEW);
    }
}
