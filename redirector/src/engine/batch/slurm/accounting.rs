//! What sacct prints: jobs that slurmctld has forgotten, and who cancelled a job.

use super::{listing::seconds, record::Record};

/// What `--format` takes.
pub(super) const FORMAT: &str = "JobIDRaw,State,ExitCode,NodeList,Start";

/// Reads what sacct printed for whole jobs (`-X`) with `--parsable2` and [`FORMAT`]; lines that are
/// something else are passed over.
pub(super) fn read(text: &str) -> Vec<Record> {
    text.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<Record> {
    let fields: Vec<_> = line.split('|').collect();
    let [id, state, exit_code, host, start] = fields[..] else { return None };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // `CANCELLED by 1000`.
    let (state, by) =
        state.split_once(" by ").map_or((state, None), |(state, by)| (state, Some(by)));
    let (status, signal) = exit_code.split_once(':')?;
    let (status, signal): (u32, u32) = (status.parse().ok()?, signal.parse().ok()?);
    Some(Record {
        id: id.to_owned(),
        state: state.trim_end_matches('+').to_owned(),
        wait_status: ((status & 0xff) << 8) | (signal & 0x7f),
        host: Some(host.to_owned()).filter(|host| !host.is_empty() && host != "None assigned"),
        started: seconds(start),
        cancelled_by: by.map(user_name),
        ..Record::default()
    })
}

/// The name of the user with the number `uid`, or the number.
fn user_name(uid: &str) -> String {
    let user = uid.trim().parse().ok().and_then(|uid| {
        nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten()
    });
    user.map_or_else(|| format!("user {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::batch::{End, Status};

    /// Printed by sacct 22.05.8.
    const PRINTED: &str = "1|CANCELLED by 0|0:0|n1|1795399200\n2|FAILED|3:0|n1|1795399200\n\
                           4|FAILED|0:9|n1|1795399200\n5|CANCELLED by 0|0:0|None assigned|None\n\
                           8|NODE_FAIL|0:0|n1|1795399200\n9|TIMEOUT|0:0|n2|1795399200\n";

    #[test]
    fn jobs_are_read_as_sacct_prints_them() {
        let records = read(PRINTED);
        let ends: Vec<_> = records.iter().map(Record::status).collect();
        let by = Some("root".to_owned());
        assert_eq!(
            ends,
            [
                End::Cancelled { by: by.clone() },
                End::Done(3),
                End::Signal(9),
                End::Cancelled { by },
                End::NodeFailure,
                End::TimeLimit
            ]
            .map(Status::Ended)
        );
        assert_eq!(records[3].host, None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[0-9|: A-Za-z\n+]{0,200}") {
            read(&text);
        }
    }
}
