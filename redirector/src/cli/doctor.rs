//! `redirector doctor`

use tokio::signal::unix::{SignalKind, signal};

use super::{
    FAILURE, Outcome, SUCCESS, block_on,
    output::{self, Cell, shortened},
    table::{Align, layout},
};
use crate::{
    config::{ListedHost, parse_host_list},
    doctor::{self, Checkup, Finding, Verdict, Wishes},
};

/// Find out what is wrong with this computer, the hosts and the pools, and what to do about it
///
/// Logs in to each host as the gateway does and looks at all that jobs need there, and sends a probe
/// job to each pool; for the working directory, run it where the pipeline is to run. Ends with status 0 if all is well or there are
/// only warnings, and with 1 if something failed.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Hosts, by their names or as 'redirector nodes add' takes them, and pools by their names
    /// [default: all that are configured]
    #[arg(value_parser = parse_hosts, value_name = "HOST")]
    hosts: Vec<Hosts>,
    /// A JSON array with an object for each computer, this one first
    #[arg(long)]
    json: bool,
    /// Run each whitelisted program with --version, here and there, for 2 seconds at most
    #[arg(long)]
    versions: bool,
}

/// The hosts of one argument.
#[derive(Clone, Debug)]
struct Hosts(Vec<ListedHost>);

fn parse_hosts(text: &str) -> Result<Hosts, String> {
    parse_host_list(text).map(Hosts)
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let hosts = arguments.hosts.iter().flat_map(|hosts| hosts.0.clone()).collect();
    let wishes = Wishes { hosts, versions: arguments.versions };
    let examined = block_on(async {
        tokio::select! {
            // First, so that signals are caught before there is anything to be removed.
            biased;
            number = interrupted() => Err(number),
            checkups = doctor::examine(wishes) => Ok(checkups),
        }
    })?;
    let checkups = match examined {
        Ok(checkups) => checkups,
        Err(signal) => return Ok(128 + signal),
    };
    if arguments.json {
        output::json(&checkups)?;
    } else {
        output::text(&checkups.iter().map(text).collect::<Vec<_>>().join("\n"))?;
    }
    let has_failed = checkups.iter().any(|checkup| checkup.verdict() == Verdict::Failed);
    Ok(if has_failed { FAILURE } else { SUCCESS })
}

/// The number of the signal by which a person ends this program.
async fn interrupted() -> i32 {
    let next = async |kind: SignalKind| {
        if let Ok(mut signals) = signal(kind) {
            signals.recv().await;
            return kind.as_raw_value();
        }
        std::future::pending().await
    };
    tokio::select! {
        number = next(SignalKind::interrupt()) => number,
        number = next(SignalKind::terminate()) => number,
        number = next(SignalKind::hangup()) => number,
    }
}

/// A table for one computer: a row for each check, and below it what to do.
fn text(checkup: &Checkup) -> String {
    let Checkup { computer, address, findings } = checkup;
    let title = Cell::strong(computer.as_str()).painted();
    let mut text = match address.as_ref().filter(|address| *address != computer) {
        Some(address) => with_end(&format!("{title}  {address}")),
        None if address.is_none() => with_end(&format!("{title}  this computer")),
        None => with_end(&title),
    };
    let header = [("  CHECK", Align::Left), ("VERDICT", Align::Left), ("FOUND", Align::Left)];
    let rows: Vec<_> = findings.iter().map(row).collect();
    let table = layout(&header, &rows);
    let mut lines = table.lines();
    text += &lines.next().map(with_end).unwrap_or_default();
    for (line, finding) in lines.zip(findings) {
        text += &with_end(line);
        if let Some(advice) = &finding.advice {
            text += &with_end(&format!("    -> {}", shortened(advice, usize::MAX)));
        }
    }
    text
}

fn with_end(line: &str) -> String {
    format!("{line}\n")
}

fn row(finding: &Finding) -> Vec<Cell> {
    let word = finding.verdict.word();
    let verdict = match finding.verdict {
        Verdict::Ok => Cell::good(word),
        Verdict::Warning => Cell::doubtful(word),
        Verdict::Failed => Cell::bad(word),
    };
    let found = Cell::plain(shortened(&finding.found, usize::MAX));
    vec![Cell::plain(format!("  {}", shortened(&finding.check, usize::MAX))), verdict, found]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, verdict: Verdict, found: &str, advice: Option<&str>) -> Finding {
        let (check, found, advice) = (check.into(), found.into(), advice.map(str::to_owned));
        Finding { check, verdict, found, advice }
    }

    #[test]
    fn each_check_has_its_row_and_what_to_do_a_line() {
        let checkup = Checkup {
            computer: "node7".to_owned(),
            address: Some("ann@node7".to_owned()),
            findings: vec![
                finding("log-in", Verdict::Ok, "250ms", None),
                finding("setup", Verdict::Failed, "no\nmodule", Some("load it")),
            ],
        };
        let plain = anstream::adapter::strip_str(&text(&checkup)).to_string();
        assert_eq!(
            plain,
            "node7  ann@node7\n\
             \x20 CHECK   VERDICT  FOUND\n\
             \x20 log-in  ok       250ms\n\
             \x20 setup   failed   no module\n\
             \x20   -> load it\n"
        );
    }
}
