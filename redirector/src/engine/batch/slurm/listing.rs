//! What squeue prints.
//!
//! `--Format` with a width for each field is as old as Slurm 15.08, and a blank within a field does
//! no harm: each begins where the widths say.

use super::record::Record;
use crate::model::Timestamp;

/// The fields and their widths, in bytes.
const FIELDS: [(&str, usize); 10] = [
    ("JobID", 24),
    ("State", 24),
    ("exit_code", 12),
    ("BatchHost", 128),
    ("StartTime", 24),
    ("EndTime", 24),
    ("RestartCnt", 12),
    ("Reason", 256),
    ("Comment", 256),
    ("WorkDir", 1024),
];

/// What `--Format` takes.
pub(super) fn format() -> String {
    FIELDS.map(|(field, width)| format!("{field}:{width}")).join(",")
}

/// Reads what squeue printed with [`format()`] and times in seconds since 1970; lines that are
/// something else are passed over.
pub(super) fn read(text: &str) -> Vec<Record> {
    text.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<Record> {
    let mut rest = line.as_bytes();
    let [id, state, exit_code, host, start, _end, restarts, reason, comment, directory] = FIELDS
        .map(|(_, width)| {
            let (field, after) = rest.split_at(width.min(rest.len()));
            rest = after;
            String::from_utf8_lossy(field).trim().to_owned()
        });
    if state.is_empty() || !id.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let is_something = |text: &String| !text.is_empty() && text != "n/a" && text != "(null)";
    Some(Record {
        id,
        state,
        wait_status: exit_code.parse().unwrap_or_default(),
        host: Some(host).filter(is_something),
        started: seconds(&start),
        restarts: restarts.parse().unwrap_or_default(),
        reason: Some(reason).filter(is_something).unwrap_or_default(),
        comment: Some(comment).filter(is_something).unwrap_or_default(),
        directory: Some(directory).filter(is_something).unwrap_or_default(),
        cancelled_by: None,
    })
}

/// A time that Slurm wrote in seconds since 1970; `N/A` and `Unknown` are none.
pub(super) fn seconds(text: &str) -> Option<Timestamp> {
    let seconds: u64 = text.parse().ok()?;
    (seconds > 0).then_some(Timestamp(seconds.checked_mul(1000)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::batch::{End, Status};

    /// Printed by squeue 22.05.8, with `SLURM_TIME_FORMAT=%s`.
    const PRINTED: &str = include_str!("samples/squeue.txt");

    #[test]
    fn jobs_are_read_as_squeue_prints_them() {
        let records = read(PRINTED);
        let of = |id: &str| records.iter().find(|record| record.id == id).expect(id);
        assert_eq!(records.len(), 8);
        let running = of("1");
        assert_eq!(running.comment, "redirector/g1/1");
        let Status::Running { host, started } = running.status() else { panic!("{running:?}") };
        assert_eq!((host.as_deref(), started), (Some("n1"), Some(Timestamp(1_795_399_183_000))));
        assert_eq!(of("2").status(), Status::Ended(End::Done(3)));
        assert_eq!(of("3").status(), Status::Ended(End::Signal(11)));
        assert!(matches!(of("5").status(), Status::Ended(End::Failed(_))), "{:?}", of("5"));
        assert_eq!(of("5").host, None);
        let first = PRINTED.lines().next().unwrap();
        assert_eq!(read(&format!("{first}/home/ann\n"))[0].directory, "/home/ann");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,40}(\n\\PC{0,900}){0,3}", cut in 0..2000_usize) {
            read(&text);
            // Cut anywhere, also in mid-line.
            let cut = PRINTED.floor_char_boundary(cut);
            let records = read(&PRINTED[..cut]);
            prop_assert!(records.len() <= 8);
        }
    }
}
