//! What the configuration says about clients; read only once something is wrong,
//! because a redirected command that goes well has no use for it.

use std::time::Duration;

use crate::config::{Config, OnFailure};

/// What a client does when its gateway fails it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// When no gateway takes the job.
    pub on_failure: OnFailure,
    /// How long a client of an accepted job tries to reach its gateway again.
    pub reconnect: Duration,
}

impl Settings {
    /// From the configuration that counts here; a broken one is reported and does
    /// not stop the pipeline.
    pub(super) fn load() -> Self {
        let config = Config::load().unwrap_or_else(|error| {
            eprintln!("redirector: {error}; going on without the configuration");
            Config::default()
        });
        Self {
            on_failure: config.client.on_failure.value,
            reconnect: config.client.reconnect.value,
        }
    }
}
