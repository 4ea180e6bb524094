//! Job tokens: `NUMBER.MAC`, derived from a secret in the journal, so that nothing
//! needs to be stored for them and they stay valid across gateways.

use crate::{model::JobId, random};

/// Makes and checks tokens.
pub(super) struct Tokens {
    secret: [u8; 32],
}

impl Tokens {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// Names this journal, so that agents on shared computers are told apart.
    pub(super) fn journal_id(&self) -> String {
        let name = blake3::derive_key("redirector 2026 name of a journal", &self.secret);
        random::hex(&name[..8])
    }

    /// The token of `job`.
    pub(super) fn of(&self, job: JobId) -> String {
        let mac = blake3::keyed_hash(&self.secret, &job.0.to_le_bytes());
        format!("{job}.{}", &mac.to_hex()[..32])
    }

    /// The job whose token this is.
    pub(super) fn job(&self, token: &str) -> Option<JobId> {
        let job: JobId = token.split('.').next()?.parse().ok()?;
        // Compared as digests: the time it takes tells nothing of the right token.
        (blake3::hash(token.as_bytes()) == blake3::hash(self.of(job).as_bytes())).then_some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_job_and_its_journal_only() {
        let tokens = Tokens::new([1; 32]);
        let token = tokens.of(JobId(7));
        assert_eq!(tokens.job(&token), Some(JobId(7)));
        assert_eq!(tokens.job(&token.replacen('7', "8", 1)), None);
        assert_eq!(Tokens::new([2; 32]).job(&token), None);
        assert_eq!(tokens.job(""), None);
    }
}
