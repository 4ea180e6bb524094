//! Open files, pipes and what flows through them.

use std::fs;

use integration::{Session, Way, assert_same, finish_with_input};

use crate::situations::{Situation, try_all};

#[test]
fn open_descriptors() {
    let session = Session::new("tell\n");
    try_all(
        &session,
        &[
            Situation { name: "the three", jobs: 1, script: "tell descriptors" },
            Situation {
                name: "more than three",
                jobs: 1,
                script: "exec 7</dev/null 9>>log 50<>both 200<.; tell descriptors",
            },
            Situation {
                name: "standard input closed",
                jobs: 1,
                script: "tell --to out descriptors <&-; cat out",
            },
            Situation {
                name: "standard output closed",
                jobs: 1,
                script: "tell --to out descriptors >&-; cat out",
            },
            Situation {
                name: "all three closed",
                jobs: 1,
                script: "tell --to out descriptors <&- >&- 2>&-; cat out",
            },
            Situation {
                name: "flags of shared descriptors afterwards",
                jobs: 1,
                script: "{ tell descriptors; grep flags /proc/self/fdinfo/0; } </dev/zero | cat",
            },
        ],
    );
}

#[test]
fn what_flows_through_them() {
    let session = Session::new("cat\npaste\ntee\ndd\nhead\nsort\nwc\n");
    try_all(
        &session,
        &[
            Situation {
                name: "process substitution, read",
                jobs: 1,
                script: "paste <(printf '1\\n2\\n') <(printf 'a\\nb\\n')",
            },
            Situation {
                name: "process substitution of a job for a job",
                jobs: 2,
                script: "paste <(sort -r <<<$'1\\n2') <(printf 'a\\nb\\n')",
            },
            Situation {
                name: "process substitution, written",
                jobs: 2,
                script: "mkfifo count; printf hello | tee >(wc -c >count) & \
                         read -r count <count; wait $!; echo \" $count\"; rm count",
            },
            Situation {
                name: "a descriptor far up",
                jobs: 1,
                script: "exec 200<<<'from 200'; cat /dev/fd/200",
            },
            Situation {
                name: "input that several commands share",
                jobs: 3,
                script: "printf abcdefghijkl | { dd bs=1 count=5 status=none; echo; \
                         dd bs=1 count=3 status=none; echo; read -r rest; echo \"$rest\" | cat -; }",
            },
            Situation {
                name: "position in a shared file",
                jobs: 2,
                script: "seq 9 >numbers; { head -n 2; echo -; head -n 1; } <numbers",
            },
            Situation {
                name: "output of several commands in one file",
                jobs: 2,
                script: "{ echo 1; cat <<<2; echo 3; cat - <<<4; } >out; while read -r line; do \
                         echo \"$line\"; done <out",
            },
            Situation { name: "a here-document", jobs: 1, script: "cat - <<END\nline\nEND\n" },
            Situation {
                name: "standard output and error apart",
                jobs: 2,
                script: "cat numbers missing-file; cat missing-file 2>&1",
            },
        ],
    );
}

const MEGABYTE: usize = 1 << 20;

/// Bytes in which every value and every sequence of newlines and zeros turns up.
fn random_bytes(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}

#[test]
fn sixty_four_megabytes_unharmed() {
    let session = Session::new("cat\n");
    let data = random_bytes(64 * MEGABYTE);
    for (name, script) in [
        ("through one job", "exec cat"),
        ("through three jobs", "cat | cat - | cat"),
        ("by way of files", "cat >file && cat file"),
    ] {
        for way in [Way::Plain, Way::Preloaded] {
            let mut command = session.command(way, "bash", ["-c", script]);
            let finished = finish_with_input(&mut command, data.clone());
            assert!(finished.status.success() && finished.stderr.is_empty(), "{name}: {finished}");
            assert!(finished.stdout == data, "{name}, {way:?}: the bytes were changed");
        }
    }
    let mut command = session.command(Way::Preloaded, "bash", ["-c", "exec cat >&2"]);
    let finished = finish_with_input(&mut command, data.clone());
    assert!(finished.stderr == data, "standard error: the bytes were changed");
    assert_eq!(session.commands().len(), 7);
}

/// A make that is a job takes part in the job server of the make that started it. Both recipes of
/// the inner one wait for each other, so with a single one at a time they would never end.
#[test]
fn job_server_of_make() {
    let session = Session::new("make -s -f inner.mk\n");
    let directory = session.directory();
    fs::write(directory.join("outer.mk"), "all:\n\t+@make -s -f inner.mk\n").expect("writable");
    let inner = "all: a b\na:\n\t@echo met >meeting\nb:\n\t@read word <meeting; echo $$word\n";
    fs::write(directory.join("inner.mk"), inner).expect("writable");
    let script = "rm -f meeting; mkfifo meeting; make -s -j2 -f outer.mk";

    let plain = session.bash(Way::Plain, script).expect_success("make -j2");
    assert_eq!(plain.text(), "met\n");
    assert_same("make's job server", &plain, &session.bash(Way::Preloaded, script));
    assert_eq!(session.commands().len(), 1);
}

/// What a pipeline is piped into sees its end although the gateway that it started lives on.
#[test]
fn the_gateway_keeps_no_pipe_open() {
    let session = Session::new("cat\n");
    let script = "{ echo line | cat; } 2>&1 | tee log >/dev/null; wc -l <log";
    let plain = session.bash(Way::Plain, script);
    assert_same("pipeline | tee log", &plain, &session.bash(Way::Preloaded, script));
}
