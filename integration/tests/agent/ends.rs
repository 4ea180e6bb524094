//! How commands end, and where their output goes.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use crate::support::Agent;

#[test]
fn output_goes_to_the_files_and_is_appended() {
    let agent = Agent::start();
    fs::write(agent.directory().join("1.out"), "before\n").expect("our directory");
    let ended = agent.run(&["sh", "-c", "echo out; echo error >&2; exit 3"], &Value::Null);
    assert_eq!((&ended["outcome"], &ended["exit_code"]), (&json!("exited"), &json!(3)), "{ended}");
    assert_eq!(agent.text("1.out"), "before\nout\n");
    assert_eq!(agent.text("1.err"), "error\n");
    let mode = fs::metadata(agent.directory().join("1.err")).expect("just read").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_job_finds_what_its_assignment_says() {
    let agent = Agent::start();
    let script = "pwd; umask; echo \"$A\"; cat; cut -d ' ' -f 5-6 /proc/self/stat; echo $$";
    let more = json!({
        "umask": 0o027,
        "variables": [["A", "x y"]],
        "stdout": agent.directory().join("new/below/1.out").display().to_string(),
    });
    agent.run(&["sh", "-c", script], &more);
    let text = agent.text("new/below/1.out");
    let lines: Vec<_> = text.lines().collect();
    let [directory, umask, variable, session, pid] = lines[..] else { panic!("{text}") };
    assert_eq!(directory, agent.directory().display().to_string());
    assert_eq!((umask, variable), ("0027", "x y"));
    assert_eq!(session, format!("{pid} {pid}"), "a process group and session of its own");
}

#[test]
fn signals_are_at_their_defaults_and_descriptors_closed() {
    let agent = Agent::start();
    let script = "grep -E 'SigBlk|SigIgn' /proc/self/status; ls /proc/self/fd";
    agent.run(&["sh", "-c", script], &Value::Null);
    let text = agent.text("1.out");
    let mask = |name: &str| {
        let digits = text.lines().find_map(|line| line.strip_prefix(name));
        digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
    };
    assert_eq!(mask("SigBlk:"), Some(0), "{text}");
    // 32 and 33 are libc's own. Its posix_spawn, which started the agent, has them ignored.
    let libc_s_own = 0b11 << 31;
    assert_eq!(mask("SigIgn:").map(|mask| mask & !libc_s_own), Some(0), "{text}");
    // `ls` itself opens the fourth.
    assert!(text.ends_with("\n0\n1\n2\n3\n"), "{text}");
}

#[test]
fn a_job_keeps_to_its_cpus() {
    let agent = Agent::start();
    let script = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status"];
    agent.run(&script, &json!({"cpus": [0]}));
    assert_eq!(agent.text("1.out"), "Cpus_allowed_list:\t0\n");
    let ended = agent.run(&script, &json!({"cpus": [1023]}));
    assert_eq!(ended["outcome"], "lost");
    assert!(ended["reason"].as_str().is_some_and(|text| text.contains("[1023]")), "{ended}");
}

#[test]
fn a_signal_is_told_from_an_exit_status() {
    let agent = Agent::start();
    let ended = agent.run(&["sh", "-c", "kill -9 $$"], &Value::Null);
    assert_eq!((&ended["outcome"], &ended["signal"]), (&json!("signaled"), &json!(9)), "{ended}");
}

#[test]
fn what_cannot_be_started_ends_as_in_a_shell_with_a_word_in_its_output() {
    let agent = Agent::start();
    let unreadable = agent.directory().join("data");
    fs::write(&unreadable, "no program").expect("our directory");
    let without_interpreter = agent.directory().join("script");
    fs::write(&without_interpreter, "#!/no/such/shell\n").expect("our directory");
    fs::set_permissions(&without_interpreter, fs::Permissions::from_mode(0o755)).expect("ours");
    let path = |file: &std::path::Path| file.display().to_string();
    let cases = [
        ("/no/such/program".to_owned(), json!({}), 127, "cannot run /no/such/program: No such"),
        (path(&unreadable), json!({}), 126, "data: Permission denied"),
        (path(&without_interpreter), json!({}), 127, "its interpreter is missing"),
        ("true".to_owned(), json!({"directory": "/no/such"}), 126, "working directory /no/such"),
    ];
    for (program, more, status, message) in cases {
        let ended = agent.run(&[&program], &more);
        assert_eq!(ended["exit_code"], status, "{program}: {ended}");
        let text = agent.text("1.err");
        let last = text.lines().last().unwrap_or_default();
        assert!(last.starts_with("redirector: job 1: ") && last.contains(message), "{last}");
    }
}

#[test]
fn an_output_file_that_cannot_be_written_is_named() {
    let agent = Agent::start();
    for file in ["/proc/no/such", "/dev/full/1.out", "/"] {
        let ended = agent.run(&["true"], &json!({"stdout": file}));
        assert_eq!(ended["outcome"], "lost", "{ended}");
        let reason = ended["reason"].as_str().expect("a lost attempt has a reason");
        assert!(reason.starts_with(&format!("cannot open its output file {file}: ")), "{reason}");
    }
}

#[test]
fn what_no_program_can_be_given_is_named() {
    let agent = Agent::start();
    let ended = agent.run(&["echo", "a\0b"], &Value::Null);
    assert!(ended["reason"].as_str().is_some_and(|text| text.contains("zero byte")), "{ended}");
    let ended = agent.run(&["true"], &json!({"environment": "unheard of"}));
    assert!(ended["reason"].as_str().is_some_and(|text| text.contains("unheard of")), "{ended}");
}

#[test]
fn usage_is_that_of_all_processes_waited_for() {
    let agent = Agent::start();
    let ended =
        agent.run(&["sh", "-c", "head -c 64M /dev/zero | tail -c 64M >/dev/null; :"], &json!({}));
    let number = |field: &str| ended["usage"][field].as_u64().expect("usage is numbers");
    assert!(number("max_rss") > 64 << 20, "{ended}");
    assert!(number("user_us") + number("system_us") > 1000, "{ended}");
    assert!(ended["at"].as_u64() >= ended["started"].as_u64(), "{ended}");
}
