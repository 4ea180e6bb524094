//! What jobs write and when they start and end, in the gateway's own log, if that is to have it:
//! `REDIRECTOR_LOG=info,node=debug`.

use std::collections::HashMap;

use tokio::sync::{broadcast::error::RecvError, mpsc, watch};

use super::{
    LINES_AHEAD,
    attempt::{AttemptLog, Phase},
};
use crate::{
    gateway::{
        core::{Happening, What},
        message::Message,
        service::Service,
    },
    model::JobId,
    protocol::{LogLine, Said},
};

/// Whether the log is to have it.
pub(in crate::gateway) fn is_wanted() -> bool {
    tracing::enabled!(target: "node", tracing::Level::DEBUG)
}

/// Logs all that jobs say that start from now on, for as long as the gateway lives.
pub(in crate::gateway) async fn echo(service: Service) {
    let Ok(mut happenings) = service.ask(|reply| Message::Happenings { reply }).await else {
        return;
    };
    let (lines, mut said) = mpsc::channel(LINES_AHEAD);
    let mut running: HashMap<(JobId, u32), watch::Sender<Phase>> = HashMap::new();
    loop {
        tokio::select! {
            happened = happenings.recv() => match happened {
                Ok(Happening { job, attempt, node, is_detached, at, what, .. }) => match what {
                    What::Started => {
                        let (phase, phases) = watch::channel(Phase::Runs);
                        running.insert((job, attempt), phase);
                        let (service, lines) = (service.clone(), lines.clone());
                        let started = Some(at);
                        let log =
                            AttemptLog { service, job, attempt, node, started, is_detached, lines };
                        tokio::spawn(log.tell(phases));
                    }
                    What::Ended { outcome, .. } => {
                        if let Some(phase) = running.remove(&(job, attempt)) {
                            phase.send_replace(Phase::Ended { at, outcome });
                        }
                    }
                },
                Err(RecvError::Lagged(count)) => {
                    tracing::warn!(target: "node", "{count} starts and ends of jobs are missing here");
                }
                Err(RecvError::Closed) => return,
            },
            Some(Ok(line)) = said.recv() => {
                if let Ok(line) = serde_json::from_slice(&line) {
                    log(&line);
                }
            }
        }
    }
}

fn log(LogLine { node, job, attempt, said, .. }: &LogLine) {
    let node = node.as_ref().map_or_else(String::new, |node| format!(".{node}"));
    let name = format!("node{node}.{job}");
    match said {
        Said::Started => tracing::debug!(target: "node", "{name}: attempt {attempt} started"),
        Said::Stdout { line } => {
            tracing::debug!(target: "node", "{name} stdout: {}", line.to_string_lossy());
        }
        Said::Stderr { line } => {
            tracing::debug!(target: "node", "{name} stderr: {}", line.to_string_lossy());
        }
        // It was logged when it came.
        Said::Log { .. } => {}
        Said::Ended { how } => {
            tracing::debug!(target: "node", "{name}: attempt {attempt} ended: {how}");
        }
    }
}
