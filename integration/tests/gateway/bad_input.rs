//! Whitelists, requests and installations that are wrong: the pipeline runs, and says once why
//! something is not as it was meant.

use std::{fs, os::unix::fs::symlink, process::Command};

use integration::{Finished, Session, Way, assert_same, finish};

use crate::support::{SYSTEM_FAILURE, assert_says, only_command, write_script};

#[track_caller]
fn assert_silent(finished: &Finished) {
    assert!(finished.stderr.is_empty(), "{finished}");
}

/// A pipeline of three commands, of which a whitelist could make jobs.
const PIPELINE: &str = "env probe 1; env probe 2; env probe 3; exit 4";

#[test]
fn no_whitelist() {
    let session = Session::new("");
    let plain = session.bash(Way::Plain, PIPELINE);
    let pipeline = |way: Way| {
        let mut command = session.command(way, "bash", ["-c", PIPELINE]);
        finish(command.env_remove("REDIRECTOR_WHITELIST"))
    };
    let preloaded = pipeline(Way::Preloaded);
    assert_eq!((&preloaded.stdout, preloaded.status), (&plain.stdout, plain.status));
    let run = pipeline(Way::Run);
    assert_eq!((&run.stdout, run.status), (&plain.stdout, plain.status));
    assert_says(&run, &["no whitelist", "REDIRECTOR_WHITELIST", "/etc/redirector/whitelist"]);
}

/// A whitelist without rules is one that somebody wants to be like that.
#[test]
fn an_empty_whitelist() {
    let session = Session::new("# nothing yet\n");
    let plain = session.bash(Way::Plain, PIPELINE);
    for way in Way::REDIRECTED {
        assert_same("an empty whitelist", &plain, &session.bash(way, PIPELINE));
    }
    assert!(session.commands().is_empty());
}

/// Root may read everything, so what cannot be read here is a directory and a file that is missing.
#[test]
fn an_unreadable_whitelist() {
    let session = Session::new("");
    let plain = session.bash(Way::Plain, PIPELINE);
    for unreadable in [session.home(), session.directory().join("missing")] {
        let mut command = session.command(Way::Run, "bash", ["-c", PIPELINE]);
        let run = finish(command.env("REDIRECTOR_WHITELIST", &unreadable));
        assert_eq!((&run.stdout, run.status), (&plain.stdout, plain.status), "{run}");
        assert_says(&run, &["whitelist", unreadable.to_str().expect("plain")]);
    }
}

/// One of several, under a bare preload: the first client says so.
#[test]
fn an_unreadable_whitelist_beside_a_good_one() {
    let session = Session::new("probe *\n");
    let missing = session.directory().join("missing");
    let list = format!("{}:{}", missing.display(), session.whitelist().display());
    for way in Way::REDIRECTED {
        let mut command = session.command(way, "bash", ["-c", PIPELINE]);
        let finished = finish(command.env("REDIRECTOR_WHITELIST", &list));
        assert_eq!(finished.status.code(), Some(4), "{finished}");
        assert_says(&finished, &["whitelist", missing.to_str().expect("plain")]);
    }
    assert_eq!(session.commands().len(), 6, "the good one counts");
}

#[test]
fn a_bad_rule_is_reported_once_a_run_and_the_rest_works() {
    let session = Session::new("probe *\nprobe cpus=many\ntell nope=1\n");
    let whitelist = session.whitelist();
    let whitelist = whitelist.to_str().expect("plain");
    for way in Way::REDIRECTED {
        for _ in 0..2 {
            let finished = session.bash(way, PIPELINE);
            assert_eq!(finished.status.code(), Some(4), "{finished}");
            assert_says(&finished, &[&format!("{whitelist}:2:12:"), "skipped"]);
            assert_says(&finished, &[&format!("{whitelist}:3:6:"), "nope", "skipped"]);
        }
    }
    assert_eq!(session.commands().len(), 12);
}

/// Jobs under a job are still the same run.
#[test]
fn a_bad_rule_is_reported_once_under_nested_jobs() {
    let session = Session::new("bash nested\nprobe *\ntell nope=1\n");
    let script = "bash -c 'env probe 1; env probe 2'; bash -c 'env probe 3'";
    let finished = session.bash(Way::Run, script).expect_success("the pipeline");
    assert_says(&finished, &["nope", "skipped"]);
    assert_eq!(session.commands().len(), 5);
}

#[test]
fn an_expression_that_does_not_evaluate() {
    let session = Session::new("probe cpus=-t mem=-m:1G\n");
    let script = "env probe -t many; env probe -t 1 -m lots";
    let plain = session.bash(Way::Plain, script);
    let finished = session.bash(Way::Preloaded, script);
    assert_eq!((&finished.stdout, finished.status), (&plain.stdout, plain.status), "{finished}");
    let place = format!("{}:1", session.whitelist().display());
    assert_says(&finished, &[&place, "'cpus'", "-t"]);
    assert_says(&finished, &[&place, "'mem'", "-m"]);
    assert_eq!(session.commands().len(), 2);
}

/// `libshim.so` copied somewhere, without the program that belongs to it.
#[test]
fn a_missing_redirector() {
    let session = Session::new("probe *\n");
    let library = session.directory().join("libshim.so");
    fs::copy(&session.artefacts().libshim, &library).expect("writable");
    let plain = session.bash(Way::Plain, "env probe x");
    let mut command = session.command(Way::Preloaded, "bash", ["-c", "env probe x"]);
    let finished = finish(command.env("LD_PRELOAD", &library));
    assert_eq!((&finished.stdout, finished.status), (&plain.stdout, plain.status), "{finished}");
    assert_says(&finished, &["'probe'", library.to_str().expect("plain"), "REDIRECTOR_BIN"]);
    assert_eq!(finished.complaint().lines().count(), 1, "{finished}");

    let mut command = session.command(Way::Preloaded, "bash", ["-c", "env probe x"]);
    command.env("LD_PRELOAD", &library).env("REDIRECTOR_BIN", &session.artefacts().redirector);
    assert_silent(&finish(&mut command).expect_success("with REDIRECTOR_BIN"));
    assert_eq!(session.commands().len(), 1);
}

/// Root may write everywhere, but nobody has a directory below a file.
#[test]
fn an_unusable_state_directory() {
    let session = Session::new("probe *\n");
    let file = session.directory().join("file");
    fs::write(&file, "").expect("writable");
    let below_a_file = file.join("state");
    let too_long = session.directory().join("a".repeat(108));
    let foreign = session.directory().join("foreign");
    fs::create_dir(&foreign).expect("writable");
    let mut cases = vec![(below_a_file, "Not a directory"), (too_long.clone(), "too long")];
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&foreign, Some(65534), None).expect("root may");
        cases.push((foreign, "belongs to user 65534"));
    }
    for (directory, reason) in cases {
        let start = || {
            let mut command = session.command(Way::Preloaded, "env", ["probe", "x"]);
            command.env("REDIRECTOR_STATE_DIR", &directory);
            command
        };
        let parts = [directory.to_str().expect("plain"), reason, "set REDIRECTOR_STATE_DIR"];
        let ran = finish(&mut start()).expect_success("run-here");
        assert!(!ran.stdout.is_empty(), "the command ran: {ran}");
        assert_says(&ran, &parts);
        let failed = finish(start().env("REDIRECTOR_ON_FAILURE", "fail"));
        assert_eq!(failed.status.code(), SYSTEM_FAILURE, "{failed}");
        assert!(failed.stdout.is_empty(), "the command did not run: {failed}");
        assert_says(&failed, &parts);
        let mut asked = session.redirector(["jobs"]);
        let asked = finish(asked.env("REDIRECTOR_STATE_DIR", &directory));
        assert_eq!(asked.status.code(), SYSTEM_FAILURE, "{asked}");
    }
    assert!(!too_long.exists(), "nothing is made that cannot be used");
}

#[test]
fn on_failure_by_the_configuration() {
    let session = Session::new("probe *\n");
    fs::write(session.configuration(), "[client]\non_failure = \"fail\"\n").expect("writable");
    let mut command = session.command(Way::Preloaded, "env", ["probe", "x"]);
    let failed = finish(command.env("REDIRECTOR_STATE_DIR", "/dev/null/state"));
    assert_eq!(failed.status.code(), SYSTEM_FAILURE, "{failed}");
    assert_says(&failed, &["on_failure"]);
}

#[test]
fn a_configuration_that_is_wrong() {
    for content in ["[gateway]\nidle_time = \"1m\"\n", "[node]\ncpus = \"many\"\n", "not toml"] {
        let session = Session::new("probe *\n");
        fs::write(session.configuration(), content).expect("writable");
        let configuration = session.configuration();
        let name = configuration.to_str().expect("plain");
        let ran = session.bash(Way::Preloaded, "env probe x").expect_success("the pipeline");
        assert!(!ran.stdout.is_empty(), "the command ran: {ran}");
        assert!(ran.complaint().contains(name), "{ran}");
        let asked = session.ask(["config"]);
        assert_eq!(asked.status.code(), SYSTEM_FAILURE, "{asked}");
        assert!(asked.complaint().contains(name), "{asked}");
    }
}

#[test]
fn a_request_that_can_never_be_met() {
    let session = Session::new("probe cpus=64\ntell mem=900G\n");
    for (program, parts) in
        [("probe", ["64 cpus", "has 2 cpus"]), ("tell", ["900G of memory", "has 4G of memory"])]
    {
        let refused = finish(&mut session.command(Way::Preloaded, "env", [program, "x"]));
        assert_eq!(refused.status.code(), SYSTEM_FAILURE, "{refused}");
        assert!(refused.stdout.is_empty(), "it did not run: {refused}");
        assert_says(&refused, &parts);
    }
    for job in session.commands() {
        assert_eq!(job.ending(), "refused", "{job:?}");
        assert!(session.show(&job).attempts.is_empty());
    }
}

/// Redirecting it would tell the caller of a success, or of 127, and not of ENOENT.
#[test]
fn a_program_that_does_not_exist() {
    let session = Session::new("missing *\nnot-executable *\n");
    fs::write(session.directory().join("not-executable"), "").expect("writable");
    symlink("nowhere", session.directory().join("missing-target")).expect("writable");
    let script = "import subprocess, os
for start in (lambda: subprocess.run(['missing', 'x']),
              lambda: subprocess.run(['./missing-target']),
              lambda: subprocess.run(['./not-executable']),
              lambda: os.posix_spawnp('missing', ['missing'], {}),
              lambda: os.execvp('missing', ['missing'])):
    try:
        start()
    except OSError as error:
        print(type(error).__name__, error.errno)
";
    let run = |way| finish(&mut session.command(way, "python3", ["-c", script]));
    let plain = run(Way::Plain).expect_success("the script");
    assert_eq!(plain.text().matches("FileNotFoundError 2").count(), 4, "{plain}");
    assert_same("missing programs", &plain, &run(Way::Preloaded));
    let shell = "missing x; echo $?; ./not-executable; echo $?";
    let plain = session.bash(Way::Plain, shell);
    assert_same("missing programs, in a shell", &plain, &session.bash(Way::Preloaded, shell));
    assert!(session.gateway_if_running().is_none(), "nobody asked for a job");
}

#[test]
fn a_program_that_redirector_run_does_not_find() {
    let session = Session::new("");
    let finished = session.ask(["run", "--", "no-such-program"]);
    assert_eq!(finished.status.code(), SYSTEM_FAILURE, "{finished}");
    assert_says(&finished, &["no-such-program", "nothing was run"]);
}

/// A whitelisted script whose interpreter is missing, and a file that is no program at all.
#[test]
fn programs_that_cannot_be_started() {
    let session = Session::new("*.script *\n");
    write_script(&session.directory().join("a.script"), "#!/no/such/interpreter\n");
    write_script(&session.directory().join("b.script"), "\u{7f}ELF");
    let script = "./a.script; echo $?; ./b.script; echo $?";
    let plain = session.bash(Way::Plain, script);
    let redirected = session.bash(Way::Preloaded, script);
    assert_eq!(redirected.text(), plain.text(), "{redirected}");
}

#[test]
fn a_token_that_is_not_this_gateways() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    let job = only_command(&session);
    for token in [&format!("{}.{}", job.id, "0".repeat(32)), "99.abc", "nonsense"] {
        let start = || {
            let mut command = session.command(Way::Preloaded, "env", ["probe", "x"]);
            command.env("REDIRECTOR_TOKEN", token);
            command
        };
        let ran = finish(&mut start()).expect_success("run-here");
        assert!(!ran.stdout.is_empty(), "the command ran: {ran}");
        assert_says(&ran, &["REDIRECTOR_TOKEN", "REDIRECTOR_STATE_DIR"]);
        let failed = finish(start().env("REDIRECTOR_ON_FAILURE", "fail"));
        assert_eq!(failed.status.code(), SYSTEM_FAILURE, "{failed}");
        assert!(failed.stdout.is_empty(), "the command did not run: {failed}");
    }
    assert_eq!(session.commands().len(), 1, "nothing was accepted under them");
}

#[test]
fn numbers_of_jobs_that_are_not_there() {
    let session = Session::new("probe *\n");
    session.bash(Way::Preloaded, "env probe x").expect_success("a job");
    for subcommand in ["show", "cancel", "wait"] {
        let finished = session.ask([subcommand, "4711"]);
        assert_eq!(finished.status.code(), SYSTEM_FAILURE, "{finished}");
        assert!(finished.stdout.is_empty(), "{finished}");
        assert_says(&finished, &["no job 4711", "redirector jobs --all"]);
        let finished = session.ask([subcommand, "many"]);
        assert_eq!(finished.status.code(), Some(2), "{finished}");
        assert!(finished.complaint().contains("many"), "{finished}");
    }
}

/// Whoever is at the socket, it is no gateway.
#[test]
fn a_socket_of_another_program() {
    let session = Session::new("probe *\n");
    let socket = session.state().join("gateway.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("nothing is there yet");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        std::io::Write::write_all(&mut stream, b"220 mail ready\r\n").expect("the client reads");
    });
    let mut command: Command = session.command(Way::Preloaded, "env", ["probe", "x"]);
    let ran = finish(&mut command).expect_success("run-here");
    answering.join().expect("the other program");
    assert!(!ran.stdout.is_empty(), "the command ran: {ran}");
}
