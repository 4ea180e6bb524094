//! What a person sees of a run: how far it is, what became of it, and not one byte more.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{net::UnixStream, process::ExitStatusExt},
    process::{Child, Command},
};

use integration::{DEADLINE, Listener, Session, Terminal, Way, begin, finish};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{ONE_CPU, queue_line, start_witness, until};

/// Margins of a window of 24 rows with one row reserved, and of 30.
const MARGINS: &str = "\x1b[1;23r";
const LARGER_MARGINS: &str = "\x1b[1;29r";

/// What a terminal is told when all of its rows scroll again.
const NO_MARGINS: &str = "\x1b[r";

/// What the gateway answers to `GET path`.
#[track_caller]
fn get(session: &Session, path: &str) -> Value {
    let mut stream = UnixStream::connect(session.state().join("gateway.sock")).expect("a gateway");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline that is not zero");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: redirector\r\nConnection: close\r\n\r\n")
        .expect("the gateway listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the gateway answers in time");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a header and a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// `redirector run … -- sh -c SCRIPT`, for a terminal that can be drawn on.
fn run(session: &Session, options: &[&str], script: &str) -> Command {
    let mut command = session.redirector(["run"]);
    command.args(options).args(["--", "sh", "-c", script]).env("TERM", "xterm");
    command
}

/// A run on a terminal of 24 rows, with a job that waits for orders.
fn run_on_terminal(session: &Session, options: &[&str]) -> (Terminal, Child, integration::Witness) {
    let listener = Listener::new(&session.directory(), "socket");
    let script = format!("echo begin; witness {}; echo end", listener.path());
    let (terminal, child) = Terminal::start_sized(&mut run(session, options, &script), 24, 80);
    let witness = listener.accept();
    (terminal, child, witness)
}

#[test]
fn a_run_is_watched_by_waiting_for_changes() {
    let session = Session::with_settings("witness cpus=1\nsh cpus=1 name=line\n", ONE_CPU);
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let first = get(&session, "/v1/runs/1/progress");
    let version = first["version"].as_u64().expect("a number");
    assert_eq!(first["rules"].as_array().map(Vec::len), Some(1), "{first}");
    assert_eq!((&first["rules"][0]["running"], &first["finished"]), (&1.into(), &false.into()));
    witness.order("exit 3");
    let next = get(&session, &format!("/v1/runs/1/progress?seen={version}"));
    assert_eq!(next["rules"][0]["failed"], 1, "{next}");
    assert_eq!(next["rules"][0]["ran"], 1, "{next}");
    assert!(next["version"].as_u64() > Some(version), "{next}");
    assert_eq!(client.finish().status.code(), Some(3));
    let wrong = get(&session, "/v1/runs/99/progress");
    assert!(wrong["error"].as_str().is_some_and(|error| error.contains("no run 99")), "{wrong}");
}

/// The counts of a run are the same whoever counted them: a gateway that saw each job, or the next
/// one, from the journal.
#[test]
fn a_new_gateway_counts_on() {
    let session = Session::with_settings("witness cpus=1\nsh cpus=1 name=line\n", ONE_CPU);
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let waiting = queue_line(&session, 1);
    let runs = session.jobs().into_iter().filter(|job| job.rule.is_none()).count();
    let counts = || {
        let of = |run: usize| get(&session, &format!("/v1/runs/{run}/progress"))["rules"].clone();
        let mut all = vec![of(1), of(3)];
        for rule in all.iter_mut().flat_map(|rules| rules.as_array_mut().expect("rules")) {
            rule["running_ms"].take();
        }
        all
    };
    assert_eq!(runs, 2, "a session each");
    let before = counts();
    let gateway = session.gateway();
    gateway.kill();
    gateway.wait_for_end();
    until("the clients have another gateway", || {
        session.gateway_if_running().is_some_and(|next| next.pid() != gateway.pid())
            && UnixStream::connect(session.state().join("gateway.sock")).is_ok()
    });
    assert_eq!(counts(), before);
    witness.order("exit 0");
    client.finish().expect_success("the witness");
    waiting.finish().expect_success("the line");
    assert_eq!(counts()[1][0]["succeeded"], 1);
}

#[test]
fn a_terminal_shows_how_far_the_run_is() {
    let session = Session::new("witness\n");
    let (mut terminal, mut child, mut witness) = run_on_terminal(&session, &[]);
    terminal.wait_for("begin");
    terminal.wait_for(MARGINS);
    terminal.wait_for("0/1");
    terminal.wait_for("1 running");
    terminal.resize(30, 100);
    terminal.wait_for(NO_MARGINS);
    terminal.wait_for(LARGER_MARGINS);
    terminal.wait_for("\x1b[30;1H");
    witness.order("exit 0");
    let rest = terminal.wait_for_end();
    let (_, after) = rest.rsplit_once(NO_MARGINS).expect("the rows are given back");
    assert!(!after.contains(LARGER_MARGINS), "and not taken again: {after:?}");
    assert!(after.contains("run 1 (sh) exited(0)") && after.contains("witness"), "{after}");
    assert!(child.wait().expect("our child").success());
}

/// A shell with job control, on a terminal that stops background jobs which write to it.
#[test]
fn a_run_in_the_background_draws_nothing_and_goes_on() {
    let session = Session::new("witness\n");
    let listener = Listener::new(&session.directory(), "socket");
    let mut shell = session.command(Way::Plain, "bash", ["--norc", "--noprofile", "-i"]);
    session.add_session(&mut shell).env("TERM", "xterm").env("PS1", "prompt> ");
    let (mut terminal, mut child) = Terminal::start_sized(&mut shell, 24, 80);
    let redirector = session.artefacts().redirector.display().to_string();
    terminal.wait_for("prompt> ");
    terminal.press("stty tostop\n");
    terminal.wait_for("prompt> ");
    terminal.press(&format!("'{redirector}' run -- sh -c 'witness {}; :'\n", listener.path()));
    let mut witness = listener.accept();
    terminal.wait_for(MARGINS);
    terminal.wait_for("1 running");
    terminal.press("\x1a");
    terminal.wait_for(NO_MARGINS);
    terminal.press("fg\n");
    terminal.wait_for(MARGINS);
    terminal.press("\x1a");
    terminal.wait_for(NO_MARGINS);
    terminal.press("bg\n");
    witness.order("exit 0");
    let before = terminal.wait_for("run 1 (sh) exited(0)");
    assert!(!before.contains(MARGINS), "{before:?}");
    terminal.press("wait; echo over $((40 + 2))\n");
    terminal.wait_for("over 42");
    terminal.press("exit\n");
    child.wait().expect("our child");
}

#[test]
fn a_terminal_is_given_back_however_the_run_ends() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let session = Session::new("witness\n");
        let (mut terminal, mut child, mut witness) = run_on_terminal(&session, &[]);
        terminal.wait_for(MARGINS);
        terminal.wait_for("1 running");
        kill(Pid::from_raw(child.id() as i32), signal).expect("the client is there");
        let status = child.wait().expect("our child");
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
        if signal == Signal::SIGTERM {
            // It has lost its shell and not its own client; a killed run takes it along.
            witness.order("exit 0");
        }
        let rest = terminal.wait_for_end();
        let (_, after) =
            rest.rsplit_once(NO_MARGINS).unwrap_or_else(|| panic!("{signal}: {rest:?}"));
        assert!(!after.contains(MARGINS), "{signal}: {after:?}");
    }
}

/// A program that reads keys one by one has the screen for itself.
#[test]
fn nothing_is_drawn_over_an_editor() {
    let session = Session::new("witness\n");
    let edited = Listener::new(&session.directory(), "edited");
    let (first, second) = (edited.path(), edited.path());
    let script =
        format!("stty -icanon; witness {first}; echo edited; stty icanon; witness {second}");
    let (mut terminal, mut child) = Terminal::start_sized(&mut run(&session, &[], &script), 24, 80);
    let mut editor = edited.accept();
    // Whatever is drawn at all is drawn while another terminal's clock goes from 0 to 3.
    let (mut clock, mut other, mut witness) = run_on_terminal(&session, &[]);
    clock.wait_for("3.0s");
    editor.order("exit 0");
    let before = terminal.wait_for("edited");
    assert!(!before.contains('\x1b'), "{before:?}");
    let mut after = edited.accept();
    terminal.wait_for(MARGINS);
    for witness in [&mut after, &mut witness] {
        witness.order("exit 0");
    }
    for child in [&mut child, &mut other] {
        assert!(child.wait().expect("our child").success());
    }
}

/// Not one byte where nobody looks, and none where nobody wants to.
#[test]
fn nothing_is_shown_where_nobody_looks() {
    let session = Session::new("probe\n");
    let script = "env probe x; echo out; echo err >&2";
    let plain = finish(session.command(Way::Plain, "sh", ["-c", script]).env("TERM", "xterm"));
    let run = |options: &[&str]| finish(&mut run(&session, options, script));
    for options in [&[][..], &["--quiet"], &["--no-progress"]] {
        let redirected = run(options);
        assert_eq!(plain.complaint(), redirected.complaint(), "{options:?}");
        assert_eq!(plain.text(), redirected.text(), "{options:?}");
    }
    let reported = run(&["--report"]).complaint();
    assert!(reported.starts_with("err\nrun ") && reported.contains("\nprobe "), "{reported}");
    assert!(!reported.contains('\x1b'), "{reported:?}");
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_is_left_alone() {
    let session = Session::new("probe\n");
    let shown = |terminal: &str, rows, options: &[&str]| {
        let mut command = run(&session, options, "env probe x >/dev/null; echo end");
        let (terminal, mut child) = Terminal::start_sized(command.env("TERM", terminal), rows, 80);
        let shown = terminal.wait_for_end();
        assert!(child.wait().expect("our child").success());
        shown
    };
    assert_eq!(shown("dumb", 24, &[]), "end\r\n");
    assert_eq!(shown("xterm", 4, &[]), "end\r\n");
    assert_eq!(shown("xterm", 24, &["--quiet"]), "end\r\n");
    let reported = shown("xterm", 24, &["--no-progress"]);
    assert!(reported.starts_with("end\r\nrun ") && !reported.contains(NO_MARGINS), "{reported:?}");
}

#[test]
fn the_report_tells_what_the_records_tell() {
    let session = Session::new("end * mem=64M\nprobe * name=listed\n");
    session.bash(Way::Run, "env end exit 0; env end exit 3; env probe x; exit 6");
    let report = session.ask(["report", "1", "--json"]).expect_success("report --json");
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    let rules = report["rules"].as_array().expect("an array");
    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["end exit", "listed"]);
    assert_eq!((&rules[0]["jobs"], &rules[0]["failed"]), (&2.into(), &1.into()), "{report}");
    assert_eq!(rules[0]["mem_asked"], 64 << 20);
    assert!(rules[0]["mem_used"].as_u64() > Some(0), "{report}");
    let wall = |name: &str| -> u64 {
        let jobs = session.commands();
        let jobs = jobs.iter().filter(|job| job.name == name);
        jobs.map(|job| job.ended.expect("over") - job.started.expect("it ran")).sum()
    };
    assert_eq!(rules[0]["wall_ms"], wall("end exit"));
    assert_eq!(rules[1]["wall_ms"], wall("listed"));
    assert_eq!(report["failed"][0]["outcome"], "exited(3)");

    let text = session.ask(["report"]).expect_success("report").text();
    assert!(text.starts_with("run 1 (bash) exited(6) in "), "{text}");
    assert!(text.contains("3 jobs, 1 failed") && text.contains("asked 64M, used "), "{text}");
    let wrong = session.ask(["report", "2"]);
    assert!(wrong.complaint().contains("job 2 is not a run; it came out of run 1"), "{wrong}");

    session.ask(["report", "--html", "--chrome-trace", "trace.json"]).expect_success("files");
    let page = fs::read_to_string(session.directory().join("report.html")).expect("written");
    assert!(page.contains("<title>Run 1: bash</title>") && page.contains("exited(3)"), "{page}");
    let trace = fs::read(session.directory().join("trace.json")).expect("written");
    let trace: Value = serde_json::from_slice(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("an array");
    assert_eq!(events.iter().filter(|event| event["ph"] == "X").count(), 3, "{trace}");
    let nowhere = session.ask(["report", "--html=/no/such/directory/page.html"]);
    assert!(nowhere.complaint().contains("cannot write /no/such"), "{nowhere}");
}

#[test]
fn top_shows_what_runs_and_leaves_the_terminal_as_it_was() {
    let session = Session::new("witness name=watched\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let once = session.ask(["top"]).expect_success("top").text();
    assert!(once.contains("1 running, 0 queued") && once.contains("watched"), "{once}");
    assert!(!once.contains('\x1b'), "{once:?}");
    for key in ["q", "\x03"] {
        let mut command = session.redirector(["top"]);
        let (mut terminal, mut child) =
            Terminal::start_sized(command.env("TERM", "xterm"), 24, 100);
        terminal.wait_for("\x1b[?1049h");
        terminal.wait_for("watched");
        terminal.press(key);
        let rest = terminal.wait_for_end();
        assert!(rest.ends_with("\x1b[?25h\x1b[?1049l"), "{key:?}: {rest:?}");
        assert!(child.wait().expect("our child").success());
    }
    witness.order("exit 0");
    client.finish().expect_success("the witness");
}

#[test]
fn wait_shows_a_bar_on_a_terminal_only() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let silent = begin(&mut session.redirector(["wait", "2"]));
    let mut command = session.redirector(["wait", "2"]);
    let (mut terminal, mut child) = Terminal::start_sized(command.env("TERM", "xterm"), 24, 80);
    terminal.wait_for("0/1 ended");
    witness.order("exit 0");
    client.finish().expect_success("the witness");
    assert!(child.wait().expect("our child").success());
    assert_eq!(silent.finish().expect_success("wait").complaint(), "");
}
