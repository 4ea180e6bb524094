//! What slurmrestd is told and answers, in each version of its interface.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    engine::batch::{
        Request,
        slurm::{
            record::Record,
            submission::{file_name_pattern, gres},
        },
    },
    model::Timestamp,
};

/// The first version of the interface in which lists are lists, and numbers may be objects.
const WITH_LISTS: u32 = 39;

/// The body of `job/submit` in a version such as `v0.0.38`.
pub(super) fn submission(request: &Request, version: &str) -> Value {
    let number = version.rsplit('.').next().and_then(|number| number.parse::<u32>().ok());
    let has_lists = number.is_none_or(|number| number >= WITH_LISTS);
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let output = String::from_utf8_lossy(&file_name_pattern(&request.output)).into_owned();
    let options = &request.options;
    let mut job = json!({
        "name": request.safe_name(""),
        "comment": request.mark.to_string(),
        "current_working_directory": path(&request.directory),
        "standard_output": output,
        "standard_error": output,
        "tasks": 1,
        "cpus_per_task": request.cpus,
    });
    // Never started twice. Old versions take `requeue`, and do not look at it (seen with v0.0.38).
    let (name, value) = if has_lists { ("requeue", false) } else { ("no_requeue", true) };
    job[name] = value.into();
    // Something has to be there; the script sets what it needs.
    job["environment"] = if has_lists {
        json!(["PATH=/usr/local/bin:/usr/bin:/bin"])
    } else {
        json!({ "PATH": "/usr/local/bin:/usr/bin:/bin" })
    };
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            job[name] = value;
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::String);
    set("memory_per_node", request.mem_mb().map(Value::from));
    set("time_limit", request.minutes().map(Value::from));
    set("partition", text(&options.partition));
    set("account", text(&options.account));
    set("qos", text(&options.qos));
    set("constraints", text(&options.constraint));
    set("licenses", text(&options.licenses));
    set("gres", gres(request).map(Value::String));
    if options.exclusive == Some(true) {
        let (name, value) =
            if has_lists { ("shared", json!(["none"])) } else { ("exclusive", json!("true")) };
        set(name, Some(value));
    }
    json!({ "job": job, "script": request.script })
}

/// What an answer complains of.
pub(super) fn complaints(answer: &Value) -> Option<String> {
    let errors = answer["errors"].as_array()?;
    let texts: Vec<_> = errors
        .iter()
        .map(|error| {
            let text = |name: &str| error[name].as_str().filter(|text| !text.is_empty());
            match (text("error"), text("description")) {
                (Some(error), Some(description)) => format!("{error} ({description})"),
                (Some(text), None) | (None, Some(text)) => text.to_owned(),
                (None, None) => error.to_string(),
            }
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// The jobs of an answer.
pub(super) fn records(answer: &Value) -> Vec<Record> {
    let jobs = answer["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    jobs.iter().filter_map(record).collect()
}

fn record(job: &Value) -> Option<Record> {
    let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
    let state = match &job["job_state"] {
        Value::Array(states) => states.first()?.as_str()?,
        state => state.as_str()?,
    };
    Some(Record {
        id: number(&job["job_id"])?.to_string(),
        state: state.to_owned(),
        wait_status: wait_status(&job["exit_code"]),
        host: Some(text("batch_host")).filter(|host| !host.is_empty()),
        started: number(&job["start_time"])
            .filter(|seconds| *seconds > 0)
            .and_then(|seconds| Some(Timestamp(seconds.checked_mul(1000)?))),
        restarts: number(&job["restart_cnt"]).unwrap_or_default() as u32,
        reason: text("state_reason"),
        comment: match &job["comment"] {
            Value::String(comment) => comment.clone(),
            comments => comments["job"].as_str().unwrap_or_default().to_owned(),
        },
        directory: text("current_working_directory"),
        cancelled_by: None,
    })
}

/// A number, or `{"set": true, "number": 3}`.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let is_set = value["set"].as_bool() == Some(true);
        value["number"].as_u64().filter(|_| is_set)
    })
}

/// A wait status, or `{"return_code": 3, "signal": {"signal_id": 9}}`.
fn wait_status(value: &Value) -> u32 {
    if let Some(status) = value.as_u64() {
        return status as u32;
    }
    let status = number(&value["return_code"]).unwrap_or_default();
    let signal = &value["signal"];
    let signal = number(&signal["signal_id"]).or_else(|| number(&signal["id"])).unwrap_or_default();
    (((status & 0xff) << 8) | (signal & 0x7f)) as u32
}

#[cfg(test)]
mod tests;
