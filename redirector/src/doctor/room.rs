//! Room on disks, in tables of open files, and for programs in `/tmp`.

use std::path::Path;

use super::Finding;
use crate::{
    agent::examine::{Computer, OpenFiles, Room},
    config::format_bytes,
};

/// Less than this many bytes is soon used up by any output.
const LITTLE: u64 = 100 << 20;

/// Less than this many bytes is as good as nothing: this program alone does not fit.
const NOTHING: u64 = 8 << 20;

/// Fewer files than these are soon used up.
const FEW_FILES: u64 = 1000;

/// What programs take for granted that they may have open.
const USUAL_OPEN_FILES: u64 = 1024;

/// A gateway has one connection for each client that waits.
const OPEN_FILES_OF_A_GATEWAY: u64 = 4096;

/// Of this computer's directory.
pub(super) fn of_directory(directory: &Path) -> Finding {
    judge(DISK, &Room::of(directory).map_err(|error| error.to_string()))
}

/// Of all that a host has.
pub(super) fn of_host(computer: &Computer) -> Vec<Finding> {
    let mut findings: Vec<_> = computer.directory.iter().map(|room| judge(DISK, room)).collect();
    findings.push(judge("agent's disk", &computer.state));
    findings.push(judge_open_files(computer.open_files));
    findings.push(if computer.is_tmp_noexec {
        Finding::warning(
            "/tmp",
            "programs cannot be run there (mounted noexec)",
            "nothing, unless a job puts programs there and runs them: then set TMPDIR in the \
             host's 'env' to a directory that allows it",
        )
    } else {
        Finding::ok("/tmp", "programs can be run there")
    });
    findings
}

const DISK: &str = "disk";

/// Judges the room where `check` says.
pub(super) fn judge(check: &str, room: &Result<Room, String>) -> Finding {
    let room = match room {
        Ok(room) => room,
        Err(reason) => {
            let found = format!("the room cannot be found out: {reason}");
            return Finding::failed(check, found, "see why 'df' cannot tell it either");
        }
    };
    let directory = room.directory.to_string_lossy();
    let free = format_bytes(room.bytes);
    let advice = "remove what is not needed, or use another file system";
    match room {
        Room { bytes: ..NOTHING, .. } => {
            Finding::failed(check, format!("full: {free} free in {directory}"), advice)
        }
        Room { files: Some(0), .. } => {
            Finding::failed(check, format!("no more files can be made in {directory}"), advice)
        }
        Room { bytes: ..LITTLE, .. } => {
            Finding::warning(check, format!("only {free} free in {directory}"), advice)
        }
        Room { files: Some(files @ ..FEW_FILES), .. } => {
            let found = format!("only {files} more files can be made in {directory}");
            Finding::warning(check, found, advice)
        }
        _ => Finding::ok(check, format!("{free} free in {directory}")),
    }
}

fn judge_open_files(OpenFiles { soft, hard }: OpenFiles) -> Finding {
    if soft < USUAL_OPEN_FILES {
        let found = format!("a process may have {soft} only");
        let advice = format!(
            "raise the limit for log-ins there to at least {USUAL_OPEN_FILES} (nofile in \
             /etc/security/limits.conf)"
        );
        return Finding::warning("open files", found, advice);
    }
    Finding::ok("open files", format!("{soft} for each process, {hard} if it asks"))
}

/// Judges those of this computer, where the gateway is.
pub(super) fn judge_open_files_of_gateway(files: OpenFiles) -> Finding {
    if files.hard < OPEN_FILES_OF_A_GATEWAY {
        let found = format!("a process may have {} only", files.hard);
        let advice = format!(
            "raise the hard limit to at least {OPEN_FILES_OF_A_GATEWAY} (nofile in \
             /etc/security/limits.conf): the gateway has one for each command that waits"
        );
        return Finding::warning("open files", found, advice);
    }
    judge_open_files(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn full_disks_are_told_from_those_that_are_nearly_full() {
        let room = |bytes, files| Ok(Room { directory: "/data".into(), bytes, files });
        for (room, verdict, word) in [
            (room(NOTHING - 1, None), Verdict::Failed, "full"),
            (room(1 << 40, Some(0)), Verdict::Failed, "no more files"),
            (room(LITTLE - 1, None), Verdict::Warning, "only 100M"),
            (room(1 << 40, Some(7)), Verdict::Warning, "only 7 more"),
            (room(1 << 30, Some(FEW_FILES)), Verdict::Ok, "1G free in /data"),
            (room(LITTLE, None), Verdict::Ok, "100M"),
            (Err("stale".to_owned()), Verdict::Failed, "stale"),
        ] {
            let finding = judge(DISK, &room);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.found.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn limits_of_open_files_count_for_jobs_and_more_for_the_gateway() {
        let files = |soft, hard| OpenFiles { soft, hard };
        assert_eq!(judge_open_files(files(1024, 1024)).verdict, Verdict::Ok);
        assert_eq!(judge_open_files(files(256, 4096)).verdict, Verdict::Warning);
        assert_eq!(judge_open_files_of_gateway(files(1024, 1024)).verdict, Verdict::Warning);
        assert_eq!(judge_open_files_of_gateway(files(256, 4096)).verdict, Verdict::Warning);
        assert_eq!(judge_open_files_of_gateway(files(1024, 4096)).verdict, Verdict::Ok);
    }
}
