//! The subcommands: what they print for people and for scripts, and how they end.

use std::{fs, process::Stdio};

use integration::{Finished, Session, Terminal, Way, finish};
use serde_json::Value;

use crate::support::{ONE_CPU, SYSTEM_FAILURE, assert_says, queue_line, start_witness};

/// A finished run with jobs that exited with 0, 3 and 0.
fn session_with_jobs() -> Session {
    let session = Session::new("end *\nprobe * name=listed\n");
    session
        .bash(Way::Run, "env end exit 0; env end exit 3; env probe x; exit 6")
        .status
        .code()
        .filter(|code| *code == 6)
        .expect("the pipeline runs");
    session
}

#[track_caller]
fn json(finished: Finished) -> Value {
    let finished = finished.expect_success("a subcommand with --json");
    serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("not JSON: {error}: {finished}"))
}

#[track_caller]
fn ids(listing: &Value) -> Vec<u64> {
    let jobs = listing.as_array().expect("an array");
    jobs.iter().map(|job| job["id"].as_u64().expect("a number")).collect()
}

#[test]
fn jobs_lists_runs_first_and_all_on_request() {
    let session = session_with_jobs();
    assert_eq!(ids(&json(session.ask(["jobs", "--json"]))), [1]);
    assert_eq!(ids(&json(session.ask(["jobs", "--all", "--json"]))), [4, 3, 2, 1]);
    let text = session.ask(["jobs"]).expect_success("jobs").text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("ID") && lines[0].contains("COMMAND"), "{text}");
    assert!(lines[1].contains("bash") && lines[1].contains("exited(6)"), "{text}");
    let text = session.ask(["jobs", "--all"]).expect_success("jobs --all").text();
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn jobs_draws_a_tree() {
    let session = session_with_jobs();
    let text = session.ask(["jobs", "--tree"]).expect_success("jobs --tree").text();
    let lines: Vec<_> = text.lines().collect();
    let starts = ["1 run bash", "├─ 2 end", "├─ 3 end", "└─ 4 listed"];
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "'{start}' in {text}");
    }
}

#[test]
fn records_have_what_scripts_need() {
    let session = session_with_jobs();
    let listing = json(session.ask(["jobs", "--all", "--json"]));
    let job = &listing.as_array().expect("an array")[1];
    for (name, value) in [
        ("id", Value::from(3)),
        ("run", Value::from(1)),
        ("spawned_by", Value::from(1)),
        ("state", Value::from("finished")),
        ("outcome", Value::from("exited")),
        ("exit_code", Value::from(3)),
    ] {
        assert_eq!(job[name], value, "{name} in {job}");
    }
    assert_eq!(job["argv"], serde_json::json!(["end", "exit", "3"]));
    for name in ["submitted", "started", "ended", "usage", "node", "resources"] {
        assert!(!job[name].is_null(), "{name} in {job}");
    }
    assert_eq!(job["rule"]["line"], 1, "{job}");
    let shown = json(session.ask(["show", "3", "--json"]));
    assert_eq!(shown[0]["attempts"].as_array().map(Vec::len), Some(1), "{shown}");
}

#[test]
fn filters_of_jobs() {
    let session = session_with_jobs();
    session.bash(Way::Run, "env probe x").expect_success("a second run");
    let listed = |arguments: &[&str]| {
        let mut command = session.redirector(["jobs", "--json"]);
        ids(&json(finish(command.args(arguments))))
    };
    assert_eq!(listed(&[]), [5, 1]);
    assert_eq!(listed(&["--run", "1"]), [4, 3, 2, 1]);
    assert_eq!(listed(&["--run", "5"]), [6, 5]);
    assert_eq!(listed(&["--name", "listed"]), [6, 4]);
    assert_eq!(listed(&["--failed"]), [3, 1]);
    assert_eq!(listed(&["--outcome", "exited"]).len(), 6);
    assert_eq!(listed(&["--all", "--state", "finished"]).len(), 6);
    assert!(listed(&["--all", "--state", "running"]).is_empty());
    assert_eq!(listed(&["--all", "-n", "2"]), [6, 5]);
    assert_eq!(listed(&["-n", "1"]), [5]);
    assert_eq!(listed(&["--failed", "-n", "1"]), [3], "the newest that failed");
    assert!(listed(&["--name", "no such"]).is_empty());
}

#[test]
fn live_jobs_by_their_state() {
    let session = Session::with_settings("witness cpus=1\nsh cpus=1\n", ONE_CPU);
    let (running, mut witness) = start_witness(&session, "socket", &[]);
    let waiting = queue_line(&session, 1);
    let listed = |state| {
        let listing = json(session.ask(["jobs", "--all", "--json", "--state", state]));
        let jobs = listing.as_array().expect("an array").clone();
        let commands = jobs.iter().filter(|job| job["kind"] == "command");
        commands.map(|job| job["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("running"), ["witness"]);
    assert_eq!(listed("queued"), ["sh"]);
    let status = session.ask(["status"]).expect_success("status").text();
    assert!(status.contains("1 running, 1 queued"), "{status}");
    let wrong = session.ask(["jobs", "--state", "sleeping"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong}");
    assert!(wrong.complaint().contains("queued, running or finished"), "{wrong}");
    witness.order("exit 0");
    running.finish().expect_success("the running job");
    waiting.finish().expect_success("the waiting job");
}

#[test]
fn before_the_first_job() {
    let session = Session::new("");
    let listing = session.ask(["jobs", "--json"]).expect_success("jobs before the first job");
    assert_eq!(listing.text().trim(), "[]");
    session.ask(["jobs"]).expect_success("jobs before the first job");
    assert!(session.gateway_if_running().is_none(), "nothing is started only to say so");
}

#[test]
fn show_for_people() {
    let session = session_with_jobs();
    let text = session.ask(["show", "3"]).expect_success("show").text();
    for part in ["3 (end", "end exit 3", "exited(3)", "end * ", "1 cpus", "attempt"] {
        assert!(text.contains(part), "'{part}' in {text}");
    }
}

#[test]
fn wait_ends_with_the_status_of_the_first_that_failed() {
    let session = session_with_jobs();
    for (arguments, status) in
        [(&["2"][..], 0), (&["3"], 3), (&["2", "3", "1"], 3), (&["1", "3"], 6)]
    {
        let mut command = session.redirector(["wait"]);
        let waited = finish(command.args(arguments));
        assert_eq!(waited.status.code(), Some(status), "wait {arguments:?}: {waited}");
    }
    finish(&mut session.command(Way::Run, "end", ["signal", "9"]));
    let waited = session.ask(["wait", "5"]);
    assert_eq!(waited.status.code(), Some(128 + 9), "{waited}");
}

#[test]
fn wait_waits() {
    let session = Session::new("witness\n");
    let (client, mut witness) = start_witness(&session, "socket", &[]);
    let job = crate::support::only_command(&session);
    let waiting = integration::begin(&mut session.redirector(["wait", &job.id.to_string()]));
    witness.order("exit 11");
    assert_eq!(waiting.finish().status.code(), Some(11));
    assert_eq!(client.finish().status.code(), Some(11));
}

#[test]
fn config_tells_where_each_value_is_from() {
    let session = Session::new("");
    let mut command = session.redirector(["config", "--json"]);
    let rows = json(finish(command.env("REDIRECTOR_MEM", "3G")));
    let row = |name: &str| {
        let rows = rows.as_array().expect("an array");
        let row = rows.iter().find(|row| row["setting"] == name).expect("every setting is listed");
        (
            row["value"].as_str().expect("text").to_owned(),
            row["origin"].as_str().expect("text").to_owned(),
        )
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(row("gateway.durability"), pair("process", "default"));
    assert_eq!(row("node.cpus"), pair("2", session.configuration().to_str().expect("plain")));
    assert_eq!(row("node.mem"), pair("3G", "REDIRECTOR_MEM"));
}

#[test]
fn a_configuration_per_host() {
    let session = Session::new("");
    let host = nix::unistd::gethostname().expect("it has a name").to_string_lossy().into_owned();
    let host = host.split('.').next().expect("text before the first dot").to_owned();
    let own = session.configuration().with_file_name(format!("redirector.{host}.toml"));
    fs::write(&own, "[node]\ncpus = 7\n").expect("writable");
    let text = session.ask(["config"]).expect_success("config").text();
    let line = text.lines().find(|line| line.starts_with("node.cpus")).expect("it is listed");
    assert!(line.contains('7') && line.ends_with(own.to_str().expect("plain")), "{text}");
}

/// What `redirector config` shows in a directory is what the gateway started from there has.
#[test]
fn a_configuration_in_the_projects_directory() {
    let session = Session::new("probe *\n");
    let project = session.directory().join(".redirector");
    fs::create_dir(&project).expect("writable");
    fs::write(project.join("redirector.toml"), "[node]\ncpus = 13\n").expect("writable");
    let mut config = session.redirector(["config"]);
    let shown = finish(config.env_remove("REDIRECTOR_CONFIG")).expect_success("config").text();
    assert!(
        shown.lines().any(|line| line.starts_with("node.cpus") && line.contains("13")),
        "{shown}"
    );
    let mut job = session.command(Way::Preloaded, "env", ["probe", "x"]);
    finish(job.env_remove("REDIRECTOR_CONFIG")).expect_success("a job");
    let status = session.ask(["status"]).expect_success("status").text();
    assert!(status.contains("13 cpus"), "the gateway goes by another configuration:\n{status}");
}

#[test]
fn whitelist_subcommands() {
    let session = Session::new("probe * cpus=-t:1 mem=2G\n!probe quiet\nprobe nope=1\n");
    let file = session.whitelist();
    let file = file.to_str().expect("plain");

    let checked = session.ask(["whitelist", "check"]);
    assert_eq!(checked.status.code(), Some(1), "{checked}");
    assert!(checked.text().contains(&format!("{file}:3:7:")), "{checked}");
    let missing = session.ask(["whitelist", "check", "/no/such/whitelist"]);
    assert_eq!(missing.status.code(), SYSTEM_FAILURE, "{missing}");
    assert_says(&missing, &["/no/such/whitelist", "No such file"]);

    let explained = session.ask(["whitelist", "explain", "--", "probe", "x", "-t", "4"]);
    let text = explained.expect_success("explain").text();
    for part in ["becomes a job", &format!("{file}:1"), "4 cpus", "2G"] {
        assert!(text.contains(part), "'{part}' in {text}");
    }
    let text = session.ask(["whitelist", "explain", "--", "probe", "quiet"]).text();
    assert!(text.contains("runs here") && text.contains(&format!("{file}:2")), "{text}");
    let text = session.ask(["whitelist", "explain", "--", "ls"]).text();
    assert!(text.contains("no rule matches"), "{text}");
    let answer =
        json(session.ask(["whitelist", "explain", "--json", "--", "probe", "x", "-t", "4"]));
    assert_eq!(answer["redirected"], true, "{answer}");
    assert_eq!(answer["rule"]["line"], 1, "{answer}");
    let none = json(session.ask(["whitelist", "explain", "--json", "--", "ls"]));
    assert!(none.is_null(), "{none}");

    assert_eq!(session.ask(["whitelist", "path"]).expect_success("path").text().trim(), file);
    let mut path = session.redirector(["whitelist", "path"]);
    let path = finish(path.env("REDIRECTOR_WHITELIST", ""));
    assert_eq!(path.status.code(), Some(1), "{path}");
    assert!(path.text().contains("/etc/redirector/whitelist"), "{path}");
}

#[test]
fn every_preset_is_a_good_whitelist() {
    let session = Session::new("");
    let names = session.ask(["whitelist", "preset"]).expect_success("preset").text();
    assert!(names.lines().any(|name| name == "bioinformatics"), "{names}");
    for name in names.lines() {
        let preset = session.ask(["whitelist", "preset", name]).expect_success("preset");
        let file = session.directory().join(name);
        fs::write(&file, preset.stdout).expect("writable");
        let checked = session.ask(["whitelist", "check", file.to_str().expect("plain")]);
        checked.expect_success("check of a preset");
    }
    let wrong = session.ask(["whitelist", "preset", "astronomy"]);
    assert_eq!(wrong.status.code(), SYSTEM_FAILURE, "{wrong}");
    assert_says(&wrong, &["astronomy", "bioinformatics"]);
}

#[test]
fn status_without_a_gateway() {
    let session = Session::new("");
    let status = session.ask(["status"]);
    assert_eq!(status.status.code(), Some(1), "{status}");
    let state = session.state();
    assert!(status.text().contains(state.to_str().expect("plain")), "{status}");
    assert_eq!(session.ask(["status", "--json"]).text().trim(), "null");
    assert!(session.gateway_if_running().is_none(), "asking starts none");
}

#[test]
fn status_with_a_gateway() {
    let session = session_with_jobs();
    let status = json(session.ask(["status", "--json"]));
    let pid = i64::from(session.gateway().pid().as_raw());
    assert_eq!(status["pid"], pid, "{status}");
    assert_eq!(status["state_directory"], session.state().to_str().expect("plain"), "{status}");
    let text = session.ask(["status"]).expect_success("status").text();
    assert!(text.contains(&pid.to_string()) && text.contains("2 cpus"), "{text}");
}

#[test]
fn completions_are_scripts_of_their_shell() {
    let session = Session::new("");
    let script = session.ask(["completions", "bash"]).expect_success("completions");
    fs::write(session.directory().join("completion"), &script.stdout).expect("writable");
    let check = "source completion && complete -p redirector";
    let completes = session.bash(Way::Plain, check).expect_success("bash reads the script");
    assert!(completes.text().contains("redirector"), "{completes}");
    for shell in ["zsh", "fish"] {
        let script = session.ask(["completions", shell]).expect_success("completions").text();
        assert!(script.contains("whitelist"), "{shell}: {script}");
    }
}

#[test]
fn help_names_every_subcommand() {
    let session = Session::new("");
    let help = session.ask(["--help"]).expect_success("help").text();
    for subcommand in [
        "run",
        "submit",
        "exec",
        "jobs",
        "show",
        "explain",
        "logs",
        "wait",
        "cancel",
        "hold",
        "release",
        "retry",
        "purge",
        "nodes",
        "whitelist",
        "config",
        "status",
        "serve",
        "stop",
        "completions",
    ] {
        assert!(help.contains(&format!("\n  {subcommand}")), "{subcommand} in {help}");
        session.ask([subcommand, "--help"]).expect_success("help of a subcommand");
    }
    let wrong = session.ask(["jbos"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong}");
    assert!(wrong.complaint().contains("jobs"), "suggests what was meant: {wrong}");
}

#[test]
fn colours_only_on_a_terminal() {
    let session = session_with_jobs();
    let piped = session.ask(["jobs", "--all"]).expect_success("jobs").text();
    assert!(!piped.contains('\x1b'), "{piped}");
    let on_terminal = |variable: &str, value: &str| {
        let mut command = session.redirector(["jobs", "--all"]);
        let (terminal, mut child) =
            Terminal::start(command.env("TERM", "xterm-256color").env(variable, value));
        let shown = terminal.wait_for_end();
        assert!(child.wait().expect("our child").success(), "{shown}");
        shown
    };
    assert!(on_terminal("UNUSED", "1").contains("\x1b["), "colours on a terminal");
    assert!(!on_terminal("NO_COLOR", "1").contains("\x1b["), "NO_COLOR is respected");
}

/// More than a pipe holds, to a reader that has left.
#[test]
fn a_reader_that_leaves_is_no_error() {
    let session = session_with_jobs();
    let redirector = session.artefacts().redirector.to_str().expect("plain").to_owned();
    for arguments in [
        "jobs --all",
        "jobs --all --json",
        "jobs --tree",
        "show 1 2 3 4",
        "config",
        "status",
        "whitelist path",
        "whitelist preset bioinformatics",
        "completions bash",
        "config --json",
        "whitelist explain -- probe x",
        "--help",
    ] {
        // The reader has left before the first byte is written.
        let script = format!(
            "exec 3> >(:); wait $!; \"$0\" {arguments} >&3; echo $?;
             trap '' PIPE; \"$0\" {arguments} >&3; echo $?"
        );
        let mut command = session.command(Way::Plain, "bash", ["-c", &script, &redirector]);
        session.add_session(&mut command).stdin(Stdio::null());
        let finished = finish(&mut command);
        let text = finished.text();
        let statuses: Vec<_> = text.lines().collect();
        assert_eq!(statuses.len(), 2, "{arguments}: {finished}");
        assert_eq!(statuses[0], "141", "{arguments} dies of SIGPIPE as any tool: {finished}");
        assert_ne!(statuses[1], "134", "{arguments}, SIGPIPE ignored, must not abort: {finished}");
        assert!(!finished.complaint().contains("panicked"), "{arguments}: {finished}");
    }
}
