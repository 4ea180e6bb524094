//! Jobs drawn below the job that submitted them.

use std::collections::BTreeMap;

use super::output::{Cell, shortened, wall};
use crate::model::{Job, JobId, shell_line};

/// A line per job, oldest run first.
pub(super) fn draw(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let known: BTreeMap<JobId, &Job> = jobs.iter().map(|job| (job.id, job)).collect();
    let mut below: BTreeMap<Option<JobId>, Vec<&Job>> = BTreeMap::new();
    for job in known.values() {
        let parent = job.spawned_by.filter(|parent| known.contains_key(parent));
        below.entry(parent).or_default().push(job);
    }
    let mut text = String::new();
    for root in below.get(&None).into_iter().flatten() {
        text += &line(root, "");
        branch(root.id, &below, "", &mut text);
    }
    text
}

fn branch(
    parent: JobId,
    below: &BTreeMap<Option<JobId>, Vec<&Job>>,
    indent: &str,
    text: &mut String,
) {
    let children = below.get(&Some(parent)).map(Vec::as_slice).unwrap_or_default();
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        *text += &line(child, &format!("{indent}{}", if last { "└─ " } else { "├─ " }));
        branch(child.id, below, &format!("{indent}{}", if last { "   " } else { "│  " }), text);
    }
}

fn line(job: &Job, indent: &str) -> String {
    let state = Cell::state(job.state, job.outcome.as_ref()).painted();
    let command = Cell::faint(shortened(&shell_line(&job.spec.argv), 70)).painted();
    let id = job.id;
    let wall = wall(job);
    if job.spec.kind.is_whole_pipeline() {
        return format!("{indent}{id} run {}  {state}  {wall}  {command}\n", job.spec.name);
    }
    format!("{indent}{id} {}  {state}  {wall}  {command}\n", job.spec.name)
}
