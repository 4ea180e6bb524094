//! What the configuration says about clients. But for the mode it is read only once something
//! is wrong, because a redirected command that goes well has no use for it.

use std::time::Duration;

use crate::config::{Config, MODE_VARIABLE, Mode, OnFailure};

/// What a client does when its gateway fails it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// When no gateway takes the job; `None`: nobody has said.
    pub on_failure: Option<OnFailure>,
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
            on_failure: config.client.on_failure.said(),
            reconnect: config.client.reconnect.value,
        }
    }
}

/// What becomes of whitelisted commands: by the environment, in which `redirector run` hands it
/// down, else by the file, if there is one.
pub(super) fn mode() -> Mode {
    let variable = std::env::var(MODE_VARIABLE).unwrap_or_default();
    if let Some(mode) = Mode::from_word(&variable) {
        return mode;
    }
    if variable.is_empty() && !Config::may_set("mode") {
        return Mode::Local;
    }
    match Config::load() {
        Ok(config) => config.client.mode.value,
        // A gateway reports a broken file when it starts; the variable is nobody else's to report.
        Err(error) => {
            if !variable.is_empty() {
                eprintln!("redirector: {error}; going on as if it were local");
            }
            Mode::Local
        }
    }
}
