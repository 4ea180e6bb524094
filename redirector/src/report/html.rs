//! A run as one page that fetches nothing: it can be mailed, archived and opened from a disk.
//!
//! The figures are plain HTML and readable without scripts; the timeline is drawn by `page.js`
//! from data in the page, on a canvas, because ten thousand elements would make a browser slow.

use std::fmt::Write;

use serde::Serialize;

use super::{FailedJob, Figures, Report, RuleFigures, timeline::Timeline};
use crate::{
    config::{format_bytes, format_duration},
    model::{Timestamp, shell_line},
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Characters of a command that the page shows on hovering over a bar.
const COMMAND: usize = 160;

/// Failed jobs that the page lists.
const FAILED: usize = 200;

/// The whole page. `day` writes a time for people.
pub fn page(report: &Report, timeline: &Timeline, day: impl Fn(Timestamp) -> String) -> String {
    let name = escaped(&report.name);
    let mut body = String::new();
    header(&mut body, report, &day);
    tiles(&mut body, report, timeline);
    rules(&mut body, report);
    body += "<section><h2>Timeline</h2>\
        <p class=hint>One row for each job that runs at the same time on a node. \
        Wheel: zoom; drag: move; double click: all.</p>\
        <div id=legend></div><div id=chart><canvas></canvas><div id=tip hidden></div></div></section>";
    failures(&mut body, report);
    let (run, data) = (report.run, Data::new(report, timeline).text());
    format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=Content-Security-Policy \
         content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>Run {run}: {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n\
         <script type=application/json id=data>{data}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    )
}

/// `text` as it may stand in an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            other => safe.push(other),
        }
    }
    safe
}

fn add(body: &mut String, text: std::fmt::Arguments) {
    // A String takes everything.
    let _never_fails = body.write_fmt(text);
}

fn header(body: &mut String, report: &Report, day: impl Fn(Timestamp) -> String) {
    let state = match (report.ended, report.is_failed) {
        (None, _) => "live",
        (Some(_), true) => "bad",
        (Some(_), false) => "good",
    };
    add(
        body,
        format_args!(
            "<header><h1>{} <small>run {}</small> <span class=\"badge {state}\">{}</span></h1>\
             <pre>{}</pre><p class=hint>in {} · submitted {}{}</p></header>",
            escaped(&report.name),
            report.run,
            escaped(&report.outcome),
            escaped(&report.command),
            escaped(&report.directory),
            escaped(&day(report.submitted)),
            report.ended.map_or(String::new(), |at| format!(" · ended {}", escaped(&day(at)))),
        ),
    );
}

fn tiles(body: &mut String, report: &Report, timeline: &Timeline) {
    let total = &report.total;
    let efficiency = total.efficiency().map_or("–".to_owned(), percent);
    let nodes: Vec<_> = timeline.nodes.iter().map(|node| escaped(node.name)).collect();
    let most: usize = timeline.nodes.iter().map(|node| node.lanes).sum();
    let tiles = [
        ("jobs", total.jobs.to_string(), String::new()),
        (
            "failed",
            total.failed.to_string(),
            (if total.failed > 0 { "bad" } else { "" }).to_owned(),
        ),
        ("wall time", time(report.wall_ms), String::new()),
        ("jobs' wall time", time(total.wall_ms), String::new()),
        ("cpu time", time(total.cpu_ms), String::new()),
        ("cpu efficiency", efficiency, String::new()),
        ("at once, at most", most.to_string(), String::new()),
        (
            "nodes",
            if nodes.len() > 2 { nodes.len().to_string() } else { nodes.join(", ") },
            String::new(),
        ),
    ];
    *body += "<dl class=tiles>";
    for (name, value, class) in tiles {
        add(body, format_args!("<div><dt>{name}</dt><dd class=\"{class}\">{value}</dd></div>"));
    }
    *body += "</dl>";
}

fn rules(body: &mut String, report: &Report) {
    *body += "<section><h2>Rules</h2><div class=wide><table id=rules><thead><tr>";
    let columns = [
        ("rule", "text"),
        ("jobs", ""),
        ("failed", ""),
        ("retries", ""),
        ("queued, mean", ""),
        ("wall, sum", ""),
        ("mean", ""),
        ("longest", ""),
        ("cpu used of held", "bar"),
        ("memory used of asked", "bar"),
    ];
    for (name, class) in columns {
        add(body, format_args!("<th class=\"{class}\"><button>{name}</button></th>"));
    }
    *body += "</tr></thead><tbody>";
    for rule in &report.rules {
        rule_row(body, rule);
    }
    *body += "</tbody></table></div></section>";
}

fn rule_row(body: &mut String, rule: &RuleFigures) {
    let figures = &rule.figures;
    let name = escaped(&rule.name);
    let started = (figures.jobs).max(1);
    let cell = |value: u64, text: &str| format!("<td data-value={value}>{text}</td>");
    let count =
        |value: u64| cell(value, &if value == 0 { "–".to_owned() } else { value.to_string() });
    let failed = match figures.failed {
        0 => count(0),
        failed => format!("<td data-value={failed} class=bad>{failed}</td>"),
    };
    let duration = |ms: u64| cell(ms, &time(ms));
    add(
        body,
        format_args!(
            "<tr><td class=text data-value=\"{name}\"><i data-rule=\"{name}\"></i>{name}</td>{}{failed}{}{}{}{}{}{}{}</tr>",
            cell(figures.jobs, &figures.jobs.to_string()),
            count(figures.retries),
            duration(figures.waited_ms / started),
            duration(figures.wall_ms),
            duration(figures.wall_ms / started),
            duration(figures.longest_ms),
            efficiency(figures),
            memory(figures),
        ),
    );
}

/// How much of what was held is used, as a bar; sorted by that share.
fn share(share: Option<f64>, label: &str) -> String {
    let Some(share) = share else {
        return format!("<td class=bar data-value=-1><span>{label}</span></td>");
    };
    let class = match share {
        share if share > 1.0 => "over",
        share if share < 0.3 => "low",
        _ => "fine",
    };
    format!(
        "<td class=bar data-value={share:.4}><b><i class={class} style=\"width:{:.1}%\"></i></b><span>{label}</span></td>",
        share.min(1.0) * 100.0
    )
}

fn efficiency(figures: &Figures) -> String {
    let used = figures.efficiency();
    share(used, &used.map_or("–".to_owned(), percent))
}

fn memory(figures: &Figures) -> String {
    let used =
        if figures.mem_used == 0 { "–".to_owned() } else { format_bytes(figures.mem_used) };
    if figures.mem_asked == 0 {
        return share(None, &format!("{used}, none asked"));
    }
    let label = format!("{used} of {}", format_bytes(figures.mem_asked));
    let known = figures.mem_used > 0;
    share(known.then(|| figures.mem_used as f64 / figures.mem_asked as f64), &label)
}

fn failures(body: &mut String, report: &Report) {
    if report.failed.is_empty() {
        return;
    }
    *body += "<section><h2>Failed jobs</h2><ul class=failed>";
    for FailedJob { id, name, outcome, reason, command } in report.failed.iter().take(FAILED) {
        let reason = reason
            .as_deref()
            .map_or(String::new(), |reason| format!("<span>{}</span>", escaped(reason)));
        let (outcome, name, command) = (escaped(outcome), escaped(name), escaped(command));
        add(
            body,
            format_args!(
                "<li><span class=\"badge bad\">{outcome}</span><strong>{name} {id}</strong>{reason}<pre>{command}</pre></li>"
            ),
        );
    }
    *body += "</ul>";
    let more = report.failed.len().saturating_sub(FAILED);
    if more > 0 {
        let run = report.run;
        add(
            body,
            format_args!("<p class=hint>and {more} more: redirector jobs --failed --run {run}</p>"),
        );
    }
    *body += "</section>";
}

fn time(milliseconds: u64) -> String {
    format_duration(std::time::Duration::from_millis(milliseconds))
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// What `page.js` draws.
#[derive(Serialize)]
struct Data<'a> {
    rules: Vec<&'a str>,
    /// Milliseconds since 1970.
    begin: u64,
    /// Milliseconds from the beginning to the end.
    length: u64,
    nodes: Vec<NodeData<'a>>,
}

#[derive(Serialize)]
struct NodeData<'a> {
    name: &'a str,
    lanes: usize,
    bars: Vec<BarData>,
}

/// Rule, lane, start and end in milliseconds since the beginning, whether it failed, number,
/// attempt, outcome, cpus, command.
#[derive(Serialize)]
struct BarData(usize, usize, u64, u64, bool, u64, u32, String, String, String);

impl<'a> Data<'a> {
    fn new(report: &'a Report, timeline: &Timeline<'a>) -> Self {
        let rules: Vec<&str> = report.rules.iter().map(|rule| &*rule.name).collect();
        let numbers: std::collections::HashMap<_, _> =
            rules.iter().enumerate().map(|(number, rule)| (*rule, number)).collect();
        let since = |at: Timestamp| at.since(timeline.begin).as_millis() as u64;
        let nodes = timeline.nodes.iter().map(|node| NodeData {
            name: node.name,
            lanes: node.lanes,
            bars: node
                .bars
                .iter()
                .map(|bar| {
                    let spec = &bar.job.spec;
                    let command: String = shell_line(&spec.argv).chars().take(COMMAND).collect();
                    BarData(
                        numbers.get(&*spec.name).copied().unwrap_or(0),
                        bar.lane,
                        since(bar.start),
                        since(bar.end),
                        bar.is_failed(),
                        bar.job.id.0,
                        bar.attempt,
                        bar.state(),
                        spec.resources.cpus.to_string(),
                        command,
                    )
                })
                .collect(),
        });
        let nodes = nodes.collect();
        Self { rules, begin: timeline.begin.0, length: since(timeline.end), nodes }
    }

    /// As JSON that cannot end the element in which it stands.
    fn text(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        json.replace('<', "\\u003c")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{job, run},
        *,
    };
    use crate::model::Outcome;

    fn page_of(name: &str) -> String {
        let failed = Outcome::Cancelled { reason: "</script><b>why</b>".to_owned() };
        let jobs = [job(2, name, 1_000, 2_000, failed)];
        let report = Report::new(&run(), &jobs, Timestamp(9_000));
        let all: Vec<_> = jobs.iter().collect();
        page(&report, &Timeline::new(&all, Timestamp(9_000)), |at| at.0.to_string())
    }

    #[test]
    fn what_people_name_things_stays_text() {
        let page = page_of("</script><img src=x onerror='alert(1)'>\"");
        assert!(!page.contains("<img") && !page.contains("<b>why"), "{page}");
        assert_eq!(page.matches("</script>").count(), 2, "the page's own: {page}");
        assert!(page.contains("&lt;input&gt; &amp; co"), "{page}");
    }

    #[test]
    fn the_page_fetches_nothing() {
        let page = page_of("map");
        for reference in ["http://", "https://", "src=", "href=", "@import", "url(", "fetch("] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn the_data_reads_back() {
        let page = page_of("a<b");
        let (_, rest) = page.split_once("id=data>").unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["rules"][0], "a<b");
        let bar = &data["nodes"][0]["bars"][0];
        let shown = (bar[2].as_u64(), bar[3].as_u64(), bar[4].as_bool());
        assert_eq!(shown, (Some(100), Some(1_100), Some(true)));
    }
}
