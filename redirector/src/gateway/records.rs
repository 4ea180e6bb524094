//! What a job, or a node about it, has logged: a file of JSON lines beside the job's output, which
//! goes when that goes.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crate::{agent::protocol::LogRecord, model::Timestamp};

use crate::lines::LONGEST;

/// Most bytes that are kept of one attempt at a job.
pub(super) const MOST: u64 = 1 << 20;

/// A record that is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There are too many already.
    #[error("it has logged {} kB, further records are not kept; write what is long to a file", MOST >> 10)]
    Full,
    /// It does not fit into a line.
    #[error("a record has at most {} kB as JSON; write what is long to a file", LONGEST >> 10)]
    Long,
    /// It cannot be written.
    #[error("the record cannot be kept: {cause}")]
    Unwritten {
        /// The system's reason.
        #[from]
        cause: io::Error,
    },
}

/// Adds `record` to the file at `path`. The last one that fits is followed by one that says so.
pub(super) fn append(path: &Path, record: &LogRecord) -> Result<(), Error> {
    let mut line = to_line(record);
    if line.len() > LONGEST {
        return Err(Error::Long);
    }
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    if length >= MOST {
        return Err(Error::Full);
    }
    if length + line.len() as u64 >= MOST {
        line.extend(to_line(&LogRecord {
            at: Timestamp::now(),
            level: "warn".to_owned(),
            job: record.job,
            message: Error::Full.to_string(),
            fields: serde_json::Map::new(),
        }));
    }
    Ok(file.write_all(&line)?)
}

fn to_line(record: &LogRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("records have string keys only");
    line.push(b'\n');
    line
}

fn open(path: &Path) -> io::Result<fs::File> {
    let attempt = || OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    attempt().or_else(|error| match path.parent() {
        Some(directory) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            attempt()
        }
        _ => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobId;

    fn record(message: &str) -> LogRecord {
        let (at, level, job) = (Timestamp(1), "info".to_owned(), Some(JobId(7)));
        LogRecord { at, level, job, message: message.to_owned(), fields: serde_json::Map::new() }
    }

    #[test]
    fn records_are_kept_up_to_a_limit_and_the_last_one_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0/7.1.log");
        let message = "x".repeat(50 << 10);
        let mut kept = 0;
        while append(&path, &record(&message)).is_ok() {
            kept += 1;
        }
        assert!(matches!(append(&path, &record("one more")), Err(Error::Full)));
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<LogRecord> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), kept + 1);
        assert_eq!(lines[0], record(&message));
        assert!(lines[kept].message.contains("not kept"), "{:?}", lines[kept]);
        assert!(text.len() as u64 >= MOST && (text.len() as u64) < MOST + LONGEST as u64);
    }

    #[test]
    fn a_record_that_is_no_line_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("7.1.log");
        let long = record(&"x".repeat(LONGEST));
        assert!(matches!(append(&path, &long), Err(Error::Long)));
        assert!(!path.exists());
    }
}
