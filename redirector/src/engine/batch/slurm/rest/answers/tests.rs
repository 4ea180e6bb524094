//! Answers of slurmrestd, as it gave them and as its later versions do.

use super::*;
use crate::engine::batch::{End, Status};

#[test]
fn jobs_are_read_from_each_version() {
    // v0.0.38, as slurmrestd 22.05.8 printed it, without the fields that are not read.
    let old = json!({ "errors": [], "jobs": [
        { "job_id": 1, "job_state": "CANCELLED", "exit_code": 15, "batch_host": "n1",
          "start_time": 1_795_398_541, "restart_cnt": 0, "state_reason": "None",
          "comment": "redirector/g1/1", "current_working_directory": "/home/ann" },
        { "job_id": 5, "job_state": "PENDING", "exit_code": 0, "batch_host": "",
          "start_time": 0, "restart_cnt": 0, "state_reason": "PartitionConfig", "comment": "" },
    ] });
    let of_old = records(&old);
    assert_eq!(of_old[0].status(), Status::Ended(End::Cancelled { by: None }));
    assert_eq!(of_old[1].reason, "PartitionConfig");
    assert!(matches!(of_old[1].status(), Status::Ended(End::Failed(_))));
    assert_eq!(of_old[0].comment, "redirector/g1/1");
    assert_eq!(of_old[0].directory, "/home/ann");
    // v0.0.40, by its description.
    let number = |number: u64| json!({ "set": true, "infinite": false, "number": number });
    let new = json!({ "errors": [], "jobs": [
        { "job_id": 2, "job_state": ["FAILED"], "batch_host": "n1", "start_time": number(1000),
          "exit_code": { "status": ["ERROR"], "return_code": number(3),
                         "signal": { "id": { "set": false, "number": 0 }, "name": "" } },
          "restart_cnt": 0, "state_reason": "NonZeroExitCode",
          "comment": { "administrator": "", "job": "redirector/g1/2", "system": "" } },
        { "job_id": 3, "job_state": ["RUNNING"], "batch_host": "n1", "start_time": number(1000),
          "exit_code": { "return_code": number(0) }, "restart_cnt": 0, "state_reason": "None" },
    ] });
    let of_new = records(&new);
    assert_eq!(of_new[0].status(), Status::Ended(End::Done(3)));
    assert_eq!(of_new[0].comment, "redirector/g1/2");
    assert_eq!(
        of_new[1].status(),
        Status::Running { host: Some("n1".to_owned()), started: Some(Timestamp(1_000_000)) }
    );
    for strange in [json!(null), json!([]), json!({ "jobs": [1, {}, { "job_state": [] }] })] {
        assert_eq!(records(&strange), [], "{strange}");
    }
}

#[test]
fn complaints_are_told_whole() {
    let answer = json!({ "errors": [
        { "error_code": 2000, "error": "Invalid partition name specified" },
        { "description": "Unable to find JobId=999", "error": "Invalid job id specified" },
    ] });
    assert_eq!(
        complaints(&answer).unwrap(),
        "Invalid partition name specified; Invalid job id specified (Unable to find JobId=999)"
    );
    assert_eq!(complaints(&json!({ "errors": [] })), None);
    assert_eq!(complaints(&json!({})), None);
}
