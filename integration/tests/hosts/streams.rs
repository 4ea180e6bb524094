//! Open files, pipes and what flows through them, when the command is on another computer.

use std::{fs, io::Read, process::Stdio};

use integration::{Random, Way, finish, finish_with_input};

use crate::cluster::Cluster;

const WHITELIST: &str = "cat * tags=lab\ncat tags=lab\ntee * tags=lab\nyes tags=lab\n\
                         head * tags=lab\ndd * tags=lab\nsh * tags=lab\n";

fn random_bytes(count: usize) -> Vec<u8> {
    let mut random = Random::new(4);
    (0..count).map(|_| random.below(256) as u8).collect()
}

#[test]
fn shell_constructions() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    for (what, script, jobs) in [
        ("here document", "env cat <<<'a line'", 1),
        ("nothing to read", "env cat </dev/null; echo $?", 1),
        ("a job between", "printf abc | env cat | tr a-c A-C", 1),
        ("two jobs joined", "printf abc | env cat | env cat", 2),
        ("the reader leaves", "env yes | { read -r line; echo $line; }; echo ${PIPESTATUS[*]}", 1),
        ("the reader of a job's input leaves", "seq inf | env head -c 1; echo ${PIPESTATUS[*]}", 1),
        ("both leave", "env yes | env head -n 1; echo ${PIPESTATUS[*]}", 2),
        ("standard error", "env sh -c 'echo out; echo err >&2' 2>&1 >/dev/null", 1),
        ("both in one pipe", "env sh -c 'echo a; echo b >&2; echo c' 2>&1", 1),
        ("closed input", "env sh -c 'cat; echo $?' <&- 2>/dev/null", 1),
        ("closed output", "env sh -c 'echo x' >&-; echo $?", 1),
        ("process substitution, read", "env cat <(printf one) <(printf two)", 1),
        (
            "process substitution, written",
            "printf abc | env tee >(tr a a >copy) >/dev/null; \
          while ! [ -s copy ]; do :; done; tr a a <copy; rm copy",
            1,
        ),
        (
            "what a job leaves of a file is the next one's",
            "printf 0123456789 >digits; { env dd bs=4 count=1 status=none; echo; tr a a; } <digits",
            1,
        ),
        (
            "a loop over lines",
            "printf '1\\n2\\n3\\n' >lines; while read -r line; do env sh -c 'echo \"$0\"' $line; \
          done <lines",
            3,
        ),
        (
            "appended to a file",
            "rm -f log; for n in 1 2; do env sh -c 'echo $0' $n >>log; done; \
          tr a a <log",
            2,
        ),
    ] {
        cluster.assert_same(what, script, jobs);
    }
}

#[test]
fn every_byte_passes_in_both_directions() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let input = random_bytes(8 << 20);
    let mut command = cluster.session().command(Way::Preloaded, "env", ["tee", "/dev/stderr"]);
    let ended = finish_with_input(&mut command, input.clone()).expect_success("tee");
    assert!(ended.stdout == input, "stdout: {} bytes", ended.stdout.len());
    assert!(ended.stderr == input, "stderr: {} bytes", ended.stderr.len());
}

/// Whoever reads slowly holds up the writer, on whatever computer, and not the gateway.
#[test]
fn a_reader_that_waits_holds_up_its_writer_only() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let mut command = cluster.session().command(Way::Preloaded, "env", ["yes"]);
    let mut writer = command.stdout(Stdio::piped()).spawn().expect("env can be started");
    let mut output = writer.stdout.take().expect("piped above");
    let mut first = [0; 2];
    output.read_exact(&mut first).expect("it writes");
    assert_eq!(&first, b"y\n");
    // Its output would not fit into anything by now if it were not held up.
    for _ in 0..20 {
        let other = cluster.session().bash(Way::Preloaded, "printf x | env cat");
        assert_eq!(other.expect_success("another job").text(), "x");
    }
    let resident = resident_mebibytes(cluster.session().gateway().pid());
    assert!(resident < 200, "the gateway keeps {resident} MiB");
    drop(output);
    let status = writer.wait().expect("our child");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGPIPE));
}

fn resident_mebibytes(pid: nix::unistd::Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process");
    line.split_whitespace().next().and_then(|it| it.parse::<u64>().ok()).expect("a number") / 1024
}

/// A job that has ended, but whose child still writes: the pipe is open until that one ends, too.
#[test]
fn output_of_what_a_job_leaves_behind() {
    let Some(cluster) = Cluster::start(1, WHITELIST) else { return };
    let mut command = cluster.session().command(
        Way::Preloaded,
        "env",
        ["sh", "-c", "seq 200000; exec 1>&- 2>&-; exit 3"],
    );
    let ended = finish(&mut command);
    assert_eq!(ended.status.code(), Some(3), "{ended}");
    assert_eq!(ended.text().lines().count(), 200_000);
    assert_eq!(ended.text().lines().last(), Some("200000"));
}
