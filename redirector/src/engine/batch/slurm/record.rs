//! What Slurm knows of a job, wherever that was learnt.

use super::reasons::{in_words, is_hopeless, is_impossible};
use crate::{
    engine::batch::{End, EngineJobId, Mark, Status},
    model::Timestamp,
    units::format_duration,
};

/// A job of Slurm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub id: String,
    /// Such as `RUNNING`, without the suffixes of accounting.
    pub state: String,
    /// As `wait(2)` has it; some of Slurm's own numbers are in it too.
    pub wait_status: u32,
    pub host: Option<String>,
    pub started: Option<Timestamp>,
    /// How often Slurm has started it anew.
    pub restarts: u32,
    pub reason: String,
    pub comment: String,
    /// Where its script begins; empty if that is not known.
    pub directory: String,
    /// Who cancelled it, where Slurm's accounting tells.
    pub cancelled_by: Option<String>,
}

/// Of the wait status of a script that could not be begun: 53 is what Slurm's own programs show.
const NOT_BEGUN: u32 = 53;

impl Record {
    pub(super) fn id(&self) -> EngineJobId {
        EngineJobId(self.id.clone())
    }

    /// What has become of it; `Forgotten` for a state that ends nothing and that nobody knows.
    pub(super) fn status(&self) -> Status {
        if self.restarts > 0 || is_held_after_failure(&self.reason) {
            return Status::Ended(End::Requeued);
        }
        let end = match &*self.state {
            "PENDING" if is_impossible(&self.reason) => End::Failed(in_words(&self.reason)),
            "PENDING" | "CONFIGURING" => {
                let reason = if self.state == "CONFIGURING" { "Configuring" } else { &self.reason };
                return Status::Pending { reason: without_none(reason).to_owned() };
            }
            // Slurm says nothing else until all processes and the epilogue have ended.
            "COMPLETING" => return Status::Ending,
            "RUNNING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "RESIZING" | "STAGE_OUT" => {
                return Status::Running { host: self.host.clone(), started: self.started };
            }
            "COMPLETED" => End::Done(0),
            "TIMEOUT" | "DEADLINE" => End::TimeLimit,
            "OUT_OF_MEMORY" => End::OutOfMemory,
            "NODE_FAIL" | "BOOT_FAIL" => End::NodeFailure,
            "PREEMPTED" => End::Preempted,
            "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT" => End::Requeued,
            "CANCELLED" | "REVOKED" => End::Cancelled { by: self.cancelled_by.clone() },
            "FAILED" => self.failure(),
            other => {
                return Status::Unknown { reason: format!("Slurm has a state '{other}'") };
            }
        };
        Status::Ended(end)
    }

    /// For the person: why it waits, or what became of it.
    pub(super) fn in_words(&self) -> String {
        match self.status() {
            Status::Pending { .. } => {
                let start = match self.started {
                    Some(start) => format!("; Slurm expects it to start {}", in_time(start)),
                    None => String::new(),
                };
                format!("{}{start}", in_words(&self.reason))
            }
            Status::Running { host, .. } => {
                let host = host.map(|host| format!(" on {host}")).unwrap_or_default();
                format!("it runs{host}")
            }
            Status::Ending => "it is ending".to_owned(),
            Status::Ended(end) => format!("it {end} (Slurm: {}, {})", self.state, self.reason),
            Status::Forgotten => "Slurm does not know it any more".to_owned(),
            Status::Unknown { reason } => reason,
        }
    }

    fn failure(&self) -> End {
        let signal = self.wait_status & 0x7f;
        if signal == NOT_BEGUN {
            return End::Failed(self.not_begun());
        }
        if is_hopeless(&self.reason) {
            return End::Failed(in_words(&self.reason));
        }
        match (signal, (self.wait_status >> 8) & 0xff) {
            (0, status) => End::Done(status as i32),
            (signal, _) => End::Signal(signal as i32),
        }
    }

    /// Why Slurm could not start the script: it does not say so itself.
    fn not_begun(&self) -> String {
        let node = self.host.as_deref().unwrap_or("the node");
        let directory = match &*self.directory {
            "" => "the working directory".to_owned(),
            directory => format!("the working directory '{directory}'"),
        };
        format!(
            "Slurm could not start the script there (0:53): {node} cannot open {directory} or the \
             allocation's output file below it. This is the gateway's state directory: it must be \
             on a file system that the nodes share (REDIRECTOR_STATE_DIR names another one), or \
             'path_map' of the pool must say where it is on the nodes"
        )
    }
}

/// Those that carry a mark of `gateway` and have not ended.
pub(super) fn marked(records: &[Record], gateway: &str) -> Vec<(EngineJobId, Mark)> {
    let marked = records.iter().filter_map(|record| {
        let mark: Mark = record.comment.parse().ok()?;
        // One that Slurm would start anew has not ended.
        let has_ended = matches!(record.status(), Status::Ended(end) if end != End::Requeued);
        (mark.gateway == gateway && !has_ended).then(|| (record.id(), mark))
    });
    marked.collect()
}

/// `in 5m00s`, or `now`.
fn in_time(start: Timestamp) -> String {
    let wait = start.since(Timestamp::now());
    if wait.is_zero() { "now".to_owned() } else { format!("in {}", format_duration(wait)) }
}

/// A script that could not be started goes back to the queue in spite of `--no-requeue`, and stays
/// there (seen when slurmctld was killed just after it took the job).
fn is_held_after_failure(reason: &str) -> bool {
    reason.contains("requeued held") || reason.contains("requeued_held")
}

/// Slurm writes `None` for nothing.
fn without_none(reason: &str) -> &str {
    if reason == "None" { "" } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, wait_status: u32, reason: &str) -> Status {
        let text = |text: &str| text.to_owned();
        Record { state: text(state), wait_status, reason: text(reason), ..Record::default() }
            .status()
    }

    #[test]
    fn ends_are_told_apart() {
        for (state, wait_status, reason, end) in [
            ("COMPLETED", 0, "None", End::Done(0)),
            ("FAILED", 768, "NonZeroExitCode", End::Done(3)),
            ("FAILED", 11, "JobLaunchFailure", End::Signal(11)),
            ("FAILED", 9, "JobLaunchFailure", End::Signal(9)),
            ("TIMEOUT", 15, "TimeLimit", End::TimeLimit),
            ("NODE_FAIL", 0, "NodeDown", End::NodeFailure),
            ("CANCELLED", 15, "None", End::Cancelled { by: None }),
            ("PREEMPTED", 0, "None", End::Preempted),
            ("OUT_OF_MEMORY", 125, "OutOfMemory", End::OutOfMemory),
            ("PENDING", 0, "launch failed requeued held", End::Requeued),
            ("REQUEUE_HOLD", 0, "job_requeued_in_held_state", End::Requeued),
        ] {
            assert_eq!(status(state, wait_status, reason), Status::Ended(end), "{state} {reason}");
        }
    }

    #[test]
    fn a_script_that_could_not_be_run_says_why() {
        // A working directory that the node does not have.
        let said = status("FAILED", 4021, "JobLaunchFailure");
        let Status::Ended(End::Failed(said)) = said else { panic!("{said:?}") };
        assert!(said.contains("the node cannot open the working directory"), "{said}");
        let record = Record {
            state: "FAILED".to_owned(),
            wait_status: 4021,
            host: Some("n1".to_owned()),
            directory: "/home/ann/state".to_owned(),
            ..Record::default()
        };
        let Status::Ended(End::Failed(said)) = record.status() else { panic!("{record:?}") };
        for part in ["n1 cannot open", "'/home/ann/state'", "REDIRECTOR_STATE_DIR", "'path_map'"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        // More than its partition has or allows; Slurm takes it, and it would wait for ever.
        for reason in ["PartitionConfig", "PartitionTimeLimit"] {
            let Status::Ended(End::Failed(said)) = status("PENDING", 0, reason) else {
                panic!("{reason}")
            };
            assert!(said.contains("partition allows"), "{said}");
        }
        // A dependency or node that can never be had.
        let said = status("FAILED", 1, "BadConstraints");
        assert!(matches!(said, Status::Ended(End::Failed(_))), "{said:?}");
    }

    #[test]
    fn what_lives_is_not_ended() {
        assert_eq!(
            status("PENDING", 0, "Resources"),
            Status::Pending { reason: "Resources".to_owned() }
        );
        assert_eq!(status("PENDING", 0, "None"), Status::Pending { reason: String::new() });
        assert_eq!(status("COMPLETING", 0, "None"), Status::Ending);
        for state in ["RUNNING", "SUSPENDED"] {
            assert!(matches!(status(state, 0, "None"), Status::Running { .. }), "{state}");
        }
        assert!(matches!(status("NEWLY_INVENTED", 0, "None"), Status::Unknown { .. }));
    }

    #[test]
    fn a_job_that_slurm_has_started_anew_is_not_ours_any_more() {
        let again =
            Record { state: "RUNNING".to_owned(), restarts: 1, ..Record::default() }.status();
        assert_eq!(again, Status::Ended(End::Requeued));
    }
}
