//! The run as Trace Event JSON, which `chrome://tracing` and <https://ui.perfetto.dev> show: a
//! process for each node, a thread for each lane, a complete event for each try.

use serde::Serialize;
use serde_json::{Value, json};

use super::timeline::{Bar, Timeline};
use crate::model::{Timestamp, shell_line};

/// What a trace viewer loads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The events, in no particular order.
    pub trace_events: Vec<Value>,
    /// The unit in which a viewer shows times.
    pub display_time_unit: &'static str,
}

/// All of `timeline`, in microseconds since its beginning.
pub fn events(timeline: &Timeline) -> Trace {
    let mut events = Vec::new();
    for (node, pid) in timeline.nodes.iter().zip(1_u64..) {
        let name = json!({ "name": node.name });
        events.push(json!({ "ph": "M", "name": "process_name", "pid": pid, "args": name }));
        events.extend(node.bars.iter().map(|bar| event(bar, pid, timeline.begin)));
    }
    Trace { trace_events: events, display_time_unit: "ms" }
}

fn event(bar: &Bar, pid: u64, begin: Timestamp) -> Value {
    let job = bar.job;
    json!({
        "ph": "X",
        "name": job.spec.name,
        "cat": if bar.is_failed() { "failed" } else { "job" },
        "pid": pid,
        "tid": bar.lane,
        "ts": bar.start.since(begin).as_micros() as u64,
        "dur": bar.end.since(bar.start).as_micros() as u64,
        "args": {
            "job": job.id,
            "attempt": bar.attempt,
            "outcome": bar.state(),
            "command": shell_line(&job.spec.argv),
            "cpus": job.spec.resources.cpus,
            "mem": job.spec.resources.mem,
            "usage": job.usage,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{super::testing::job, *};
    use crate::model::Outcome;

    #[test]
    fn a_job_is_a_complete_event_of_its_node_and_lane() {
        let first = job(2, "map", 1_000, 3_000, Outcome::Exited { exit_code: 0 });
        let second = job(3, "sort", 2_000, 2_500, Outcome::Exited { exit_code: 4 });
        let timeline = Timeline::new(&[&first, &second], Timestamp(9_000));
        let trace = serde_json::to_value(events(&timeline)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        assert_eq!(events[0]["args"]["name"], "node");
        let [map, sort] = [&events[1], &events[2]];
        assert_eq!(
            (&map["ph"], &map["name"], &map["tid"]),
            (&json!("X"), &json!("map"), &json!(0))
        );
        assert_eq!((&map["ts"], &map["dur"]), (&json!(100_000), &json!(2_000_000)));
        assert_eq!((&sort["tid"], &sort["cat"]), (&json!(1), &json!("failed")));
        assert_eq!(sort["args"]["outcome"], "exited(4)");
        assert_eq!(map["pid"], sort["pid"]);
    }
}
