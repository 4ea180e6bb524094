//! Numbers of jobs that are listed together.

use crate::model::JobId;

/// Numbers that are no further apart than this are listed together.
const GAP: u64 = 100;

/// The first and last of numbers that are close together; `sorted` is.
pub fn spans(sorted: &[JobId]) -> Vec<(JobId, JobId)> {
    let mut spans: Vec<(JobId, JobId)> = Vec::new();
    for id in sorted {
        match spans.last_mut() {
            Some((_, last)) if id.0 - last.0 <= GAP => *last = *id,
            _ => spans.push((*id, *id)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_close_are_one_span() {
        let ids: Vec<_> = [1, 2, 3, 103, 204, 9000].map(JobId).into();
        let expected = [(1, 103), (204, 204), (9000, 9000)];
        let expected = expected.map(|(first, last)| (JobId(first), JobId(last)));
        assert_eq!(spans(&ids), expected);
        assert!(spans(&[]).is_empty());
    }
}
