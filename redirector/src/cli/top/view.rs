//! What `redirector top` shows, as lines.

use std::fmt::Write;

use super::super::{
    output::{Cell, shortened},
    table::{Align, layout},
};
use crate::{
    config::{format_bytes, format_duration},
    model::{Amount, Job, State, Timestamp, shell_line},
    protocol::{NodeState, NodeStatus, Status},
};

/// The gateway and its jobs at one moment.
pub(super) struct Picture {
    pub status: Status,
    pub nodes: Vec<NodeStatus>,
    pub running: Vec<Job>,
    pub queued: Vec<Job>,
    pub ended: Vec<Job>,
}

/// Lines that jobs which wait, and jobs which ended, have at least.
const LEAST: usize = 5;

/// Characters of a meter.
const METER: usize = 24;

/// The picture in at most `rows` lines.
pub(super) fn lines(picture: &Picture, now: Timestamp, rows: usize) -> Vec<String> {
    let mut lines = head(&picture.status, &picture.nodes, now);
    let running: Vec<_> = commands(&picture.running);
    let queued: Vec<_> = commands(&picture.queued);
    let mut ended: Vec<_> = commands(&picture.ended);
    ended.sort_by_key(|job| std::cmp::Reverse((job.ended, job.id)));

    // A title, a header and an empty line for each of three tables.
    let room = rows.saturating_sub(lines.len() + 3 * 3);
    let wanted = queued.len().min(LEAST) + ended.len().min(LEAST);
    let most_running = room.saturating_sub(wanted).max(1);
    let left = room.saturating_sub(running.len().min(most_running));
    let most_queued =
        if ended.is_empty() { left } else { left.saturating_sub(LEAST).max(left / 2) };
    let left = left.saturating_sub(queued.len().min(most_queued));
    for (title, jobs, most, count) in [
        ("running", running, most_running, picture.status.running),
        ("queued", queued, most_queued, picture.status.queued),
        ("ended", ended, left, 0),
    ] {
        if !jobs.is_empty() && most > 0 {
            let shown = jobs.len().min(most);
            let more = count.saturating_sub(shown);
            let more = if more > 0 { format!(", {more} more") } else { String::new() };
            lines.push(String::new());
            lines.push(Cell::strong(title).painted() + &more);
            lines.extend(table(&jobs[..shown], now).lines().map(str::to_owned));
        }
    }
    lines
}

fn commands(jobs: &[Job]) -> Vec<&Job> {
    jobs.iter().filter(|job| !job.spec.kind.is_whole_pipeline()).collect()
}

fn head(status: &Status, nodes: &[NodeStatus], now: Timestamp) -> Vec<String> {
    let up = format_duration(now.since(status.started));
    let mut lines = vec![format!(
        "{}  {} running, {} queued  {}",
        Cell::strong("redirector top").painted(),
        status.running,
        status.queued,
        Cell::faint(format!("gateway {} up {up}", status.pid)).painted(),
    )];
    lines.extend(nodes.iter().map(node));
    if let Some(problem) = &status.journal_problem {
        lines.push(Cell::bad(format!("the journal cannot be written: {problem}")).painted());
    }
    lines
}

fn node(node: &NodeStatus) -> String {
    let name = match node.state {
        NodeState::Up => node.node.clone(),
        state => format!("{} {}", node.node, Cell::bad(state.word()).painted()),
    };
    node.pools.iter().fold(name, |line, pool| {
        let amount = |number: f64| match pool.pool.as_str() {
            "mem" => format_bytes(number as u64),
            _ => Amount((number * Amount::ONE.0 as f64).round() as u64).to_string(),
        };
        let meter = meter(pool.used, pool.capacity);
        let (used, capacity) = (amount(pool.used), amount(pool.capacity));
        format!("{line}  {} {meter} {used} of {capacity}", pool.pool)
    })
}

/// How much of `all` is `used`; more than all of it where jobs lend what they hold.
fn meter(used: f64, all: f64) -> String {
    let share = if all > 0.0 { (used / all).min(1.0) } else { 0.0 };
    let full = (share * METER as f64) as usize;
    let mut bar = "━".repeat(full);
    let _never_fails = write!(bar, "{}", Cell::faint("─".repeat(METER - full)).painted());
    bar
}

fn table(jobs: &[&Job], now: Timestamp) -> String {
    let header = [
        ("ID", Align::Right),
        ("RUN", Align::Right),
        ("STATE", Align::Left),
        ("NODE", Align::Left),
        ("CPUS", Align::Right),
        ("MEM", Align::Right),
        ("TIME", Align::Right),
        ("RSS", Align::Right),
        ("NAME", Align::Left),
        ("COMMAND", Align::Left),
    ];
    let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
    layout(&header, &rows)
}

fn row(job: &Job, now: Timestamp) -> Vec<Cell> {
    let resources = &job.spec.resources;
    let mem = if resources.mem == 0 { "-".to_owned() } else { format_bytes(resources.mem) };
    // Of what waits: since when.
    let begin = job.started.filter(|_| job.state != State::Queued).unwrap_or(job.submitted);
    let time = format_duration(job.ended.unwrap_or(now).since(begin));
    vec![
        Cell::plain(job.id.to_string()),
        Cell::plain(job.run.to_string()),
        Cell::state(job.state, job.outcome.as_ref()),
        Cell::plain(job.node.as_ref().map_or("-".to_owned(), ToString::to_string)),
        Cell::plain(resources.cpus.to_string()),
        Cell::plain(mem),
        Cell::plain(time),
        Cell::plain(job.usage.map_or("-".to_owned(), |usage| format_bytes(usage.max_rss))),
        Cell::plain(shortened(&job.spec.name, 24)),
        Cell::faint(shortened(&shell_line(&job.spec.argv), 120)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PoolStatus;
    use crate::{
        model::{Amount, Outcome},
        report::testing::job,
    };

    fn picture(running: u64, queued: u64, ended: u64) -> Picture {
        let ok = Outcome::Exited { exit_code: 0 };
        let all: Vec<_> = (2..2 + running + queued + ended)
            .map(|id| job(id, "map", 1_000, 2_000, ok.clone()))
            .collect();
        let live = |jobs: &[Job], state| -> Vec<Job> {
            let change =
                |job: &Job| Job { state, outcome: None, ended: None, usage: None, ..job.clone() };
            jobs.iter().map(change).collect()
        };
        let (first, rest) = all.split_at(running as usize);
        let (second, third) = rest.split_at(queued as usize);
        Picture {
            status: Status {
                version: "1".to_owned(),
                pid: 7,
                state_directory: String::new(),
                started: Timestamp(0),
                embedded: true,
                node: "node".to_owned(),
                capacity: crate::model::Resources::new(Amount::whole(4), 1 << 20),
                queued: queued as usize,
                running: running as usize,
                journal_problem: None,
            },
            running: live(first, State::Running),
            nodes: vec![NodeStatus {
                node: "here".to_owned(),
                state: NodeState::Up,
                address: None,
                problem: None,
                since: None,
                tags: Vec::new(),
                max_jobs: None,
                pools: vec![PoolStatus {
                    pool: "cpus".to_owned(),
                    capacity: 4.0,
                    used: 2.0,
                    origin: String::new(),
                }],
                running: running as usize,
            }],
            queued: live(second, State::Queued),
            ended: third.to_vec(),
        }
    }

    #[test]
    fn what_runs_waits_and_ended_is_listed() {
        let text = lines(&picture(1, 1, 1), Timestamp(3_000), 40).join("\n");
        let text = console::strip_ansi_codes(&text).into_owned();
        for part in ["1 running, 1 queued", "2 of 4", "\nqueued\n", "exited(0)", "2.0s"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn everything_has_some_room() {
        for rows in [12, 24, 25, 60] {
            for (running, queued, ended) in [(100, 100, 100), (1, 100, 0), (0, 3, 100), (100, 0, 0)]
            {
                let picture = picture(running, queued, ended);
                let lines = lines(&picture, Timestamp(3_000), rows);
                assert!(lines.len() <= rows, "{} of {rows}", lines.len());
                let text = lines.join("\n");
                for (count, title) in [(running, "running"), (queued, "queued"), (ended, "ended")] {
                    let title = Cell::strong(title).painted();
                    let is_shown = text.contains(&title);
                    assert!(is_shown == (count > 0) || rows < 24, "{title} of {rows}: {text}");
                }
            }
        }
        let text = lines(&picture(100, 0, 0), Timestamp(3_000), 24).join("\n");
        assert!(text.contains("87 more"), "{text}");
    }
}
