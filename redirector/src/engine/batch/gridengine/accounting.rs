//! What qacct prints: how jobs have ended.

use std::collections::BTreeMap;

use crate::engine::batch::{End, EngineJobId};

/// What Grid Engine's `failed` numbers mean, where it is more than that the job could not be
/// begun. From `sge_status(5)`.
const AFTER_JOB: u32 = 100;
const LIMIT: u32 = 37;
const RESCHEDULED: [u32; 2] = [25, 24];
const NODE_LOST: [u32; 2] = [22, 23];

/// Reads what `qacct -j` printed of the jobs of `owner`. Of a job that ran more than once the last
/// run counts.
pub(super) fn read(text: &str, owner: &str) -> BTreeMap<EngineJobId, End> {
    // Each job begins with a line of `=`.
    let jobs = text.split("\n=").map(|job| read_job(job, owner));
    jobs.flatten().collect()
}

fn read_job(text: &str, owner: &str) -> Option<(EngineJobId, End)> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (field, value) = line.split_once(char::is_whitespace)?;
            (field == name).then(|| value.trim())
        })
    };
    let id = field("jobnumber")?;
    // Ids are given anew some time, and accounts go back for years: another's job had this one.
    if field("owner").is_some_and(|other| other != owner) {
        return None;
    }
    let failed = field("failed")?;
    let number = |text: &str| text.split_whitespace().next()?.parse::<u32>().ok();
    let status = field("exit_status").and_then(number)?;
    let end = match number(failed)? {
        0 => End::Done(status as i32),
        LIMIT => limit(text, field("category").unwrap_or_default()),
        // 128 and the signal's number, as a shell has it.
        AFTER_JOB if status > 128 => End::Signal((status - 128) as i32),
        AFTER_JOB => End::Done(status as i32),
        code if RESCHEDULED.contains(&code) => End::Requeued,
        code if NODE_LOST.contains(&code) => End::NodeFailure,
        _ => End::Failed(format!("Grid Engine says: failed {failed}")),
    };
    Some((EngineJobId(id.to_owned()), end))
}

/// Which limit it was: one entry of the accounts is for time and for memory.
fn limit(text: &str, category: &str) -> End {
    let asked = category.split([' ', ',']).find_map(|word| word.strip_prefix("h_rt="));
    let asked = asked.and_then(|asked| asked.parse::<f64>().ok());
    let ran = text.lines().find_map(|line| line.strip_prefix("ru_wallclock"));
    let ran = ran.and_then(|ran| ran.trim().trim_end_matches('s').parse::<f64>().ok());
    match (asked, ran) {
        (Some(asked), Some(ran)) if ran + 1.0 < asked => End::OutOfMemory,
        _ => End::TimeLimit,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Printed by qacct of Grid Engine 8.1.9, for a job with exit status 3, one that ended itself
    /// by a signal, one with `-l h_rt=2`, and one that was deleted while it ran.
    const PRINTED: &str = include_str!("samples/qacct.txt");

    #[test]
    fn ends_are_read_as_qacct_prints_them() {
        let ends = read(PRINTED, "root");
        let of = |id: &str| ends.get(&EngineJobId(id.to_owned())).cloned();
        assert_eq!(of("2"), Some(End::Done(3)));
        assert_eq!(of("3"), Some(End::Signal(11)));
        assert_eq!(of("4"), Some(End::TimeLimit));
        assert_eq!(of("10"), Some(End::Signal(9)));
        assert_eq!(of("999"), None);
    }

    #[test]
    fn another_users_job_that_had_the_same_id_is_another() {
        assert_eq!(read(PRINTED, "ann"), BTreeMap::new());
    }

    #[test]
    fn a_job_that_was_ended_long_before_its_time_took_too_much_memory() {
        let text = "jobnumber    4\nfailed       37  : qmaster enforced h_rt, h_cpu, or h_vmem \
                    limit\nexit_status  137\nru_wallclock 3s\ncategory     -l h_rt=200\n";
        assert_eq!(read(text, "ann").into_values().next(), Some(End::OutOfMemory));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(
            text in "((jobnumber|failed|exit_status|=|ru_wallclock) {0,2}[-0-9a-z.]{0,12}\n){0,8}",
            cut in 0..9000_usize,
        ) {
            read(&text, "ann");
            read(&PRINTED[..PRINTED.floor_char_boundary(cut)], "root");
        }
    }
}
