//! What an agent has to say beside the ends of attempts, kept until a gateway is there to hear it.

use std::collections::VecDeque;

use super::protocol::{LogRecord, Report};
use crate::model::{JobId, Timestamp};

/// Most records that wait for a gateway; the oldest go first.
const MOST: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    waiting: VecDeque<LogRecord>,
    lost: u64,
}

impl Remarks {
    /// Keeps a record.
    pub(super) fn add(&mut self, record: LogRecord) {
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
            self.lost += 1;
        }
        self.waiting.push_back(record);
    }

    /// Keeps a record of the agent's own, and writes it to the agent's log.
    pub(super) fn say(&mut self, level: tracing::Level, job: Option<JobId>, message: String) {
        let name = job.map(|job| format!("job {job}: ")).unwrap_or_default();
        if level == tracing::Level::ERROR {
            tracing::error!("{name}{message}");
        } else {
            tracing::warn!("{name}{message}");
        }
        self.add(record(level, job, message));
    }

    /// All that wait: a gateway hears them.
    pub(super) fn take(&mut self) -> Vec<Report> {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let message = format!("{lost} records were lost, because no gateway took them");
            // Behind them, and beyond the limit.
            self.waiting.push_back(record(tracing::Level::WARN, None, message));
        }
        self.waiting.drain(..).map(Report::Log).collect()
    }
}

fn record(level: tracing::Level, job: Option<JobId>, message: String) -> LogRecord {
    let (at, level) = (Timestamp::now(), level.as_str().to_ascii_lowercase());
    LogRecord { at, level, job, message, fields: serde_json::Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_how_many_were_lost_is_said() {
        let mut remarks = Remarks::default();
        for number in 0..MOST + 3 {
            remarks.say(tracing::Level::WARN, Some(JobId(number as u64)), "it hangs".to_owned());
        }
        let told = remarks.take();
        let records: Vec<_> = told
            .iter()
            .map(|report| match report {
                Report::Log(record) => record,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(records[0].level, "warn");
        let last = &records[records.len() - 1];
        assert!(last.message.starts_with("3 records were lost"), "{last:?}");
        assert_eq!(records[records.len() - 2].job, Some(JobId(MOST as u64 + 2)));
        assert!(remarks.take().is_empty());
    }
}
