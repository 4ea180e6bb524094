//! A state directory on a disk that has no room left.
//!
//! The disk is a small tmpfs in a mount namespace of the test's own, so each test is one script
//! that ends before that namespace does.

use integration::{Finished, Missing, Session, Way, finish, skip};

use crate::support::assert_says;

/// Runs `script` with a disk of one megabyte under the state directory. `job` starts what follows
/// as a preloaded pipeline would, `fill` leaves no room, `free` gives it back. None where this user
/// may not mount anything.
#[track_caller]
fn on_a_small_disk(session: &Session, script: &str) -> Option<Finished> {
    if !nix::unistd::geteuid().is_root() {
        skip("full disk", "the right to mount a file system", Missing::Skip);
        return None;
    }
    let script = format!(
        r#"set -u
        mount -t tmpfs -o size=1m,mode=700 none "$REDIRECTOR_STATE_DIR" || exit 99
        job() {{ LD_PRELOAD=$LIBSHIM env "$@"; }}
        fill() {{ cat /dev/zero >"$REDIRECTOR_STATE_DIR/ballast" 2>/dev/null; }}
        free() {{ rm "$REDIRECTOR_STATE_DIR/ballast"; }}
        {script}"#
    );
    let mut command = session.command(
        Way::Plain,
        "unshare",
        ["--mount", "--propagation", "private", "bash", "-c", &script],
    );
    command.env("LIBSHIM", &session.artefacts().libshim);
    command.env("REDIRECTOR", &session.artefacts().redirector);
    Some(finish(session.add_session(&mut command)))
}

#[test]
fn full_before_the_gateway_starts() {
    let session = Session::new("probe *\n");
    let script = "fill
        job probe x >/dev/null; echo status $?
        REDIRECTOR_ON_FAILURE=fail job probe x; echo status $?";
    let Some(finished) = on_a_small_disk(&session, script) else { return };
    assert_eq!(finished.text(), "status 0\nstatus 125\n", "{finished}");
    let reason = "No space left on device";
    assert_says(&finished, &["running 'probe' here", reason]);
    assert_says(&finished, &["'probe' was not run", reason]);
    assert_eq!(finished.complaint().matches(reason).count(), 2, "said twice: {finished}");
}

/// The gateway must survive it, too: its log is on the same disk.
#[test]
fn full_under_a_running_gateway() {
    let session = Session::new("probe *\n");
    let script = r#"job probe x >/dev/null; echo status $?
        gateway=$(cat "$REDIRECTOR_STATE_DIR/gateway.lock")
        fill
        for number in {1..100}; do
            REDIRECTOR_ON_FAILURE=fail job probe not-run; echo $?
        done | sort | uniq -c | tr -s ' '
        job probe x >/dev/null; echo status $?
        [[ $gateway = $(cat "$REDIRECTOR_STATE_DIR/gateway.lock") ]] && kill -0 $gateway && echo same gateway
        free
        REDIRECTOR_ON_FAILURE=fail job probe x >/dev/null; echo status $?
        "$REDIRECTOR" jobs --all --json | grep -c '"kind": "command"'
        "$REDIRECTOR" stop"#;
    let Some(finished) = on_a_small_disk(&session, script) else { return };
    let expected = "status 0\n 100 125\nstatus 0\nsame gateway\nstatus 0\n2\n";
    assert_eq!(finished.text(), expected, "{finished}");
    assert_says(&finished, &["running 'probe' here", "full"]);
}

/// A job that ends on a full disk is not lost: its client says what it waits for, and ends as the
/// job did once there is room.
#[test]
fn full_while_a_job_runs() {
    let session = Session::new("cat\n");
    let script = r#"mkfifo gate warnings
        job cat gate 2>warnings & client=$!
        exec 8<warnings
        exec 9>gate
        fill
        exec 9>&-
        read -r warning <&8; echo "$warning"
        free
        wait $client; echo status $?
        "$REDIRECTOR" jobs --all --json | grep -c '"outcome": "exited"'
        "$REDIRECTOR" stop"#;
    let Some(finished) = on_a_small_disk(&session, script) else { return };
    let text = finished.text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{finished}");
    assert!(
        lines[0].contains("journal cannot be written") && lines[0].contains("full"),
        "{finished}"
    );
    assert_eq!(lines[1..], ["status 0", "1"], "{finished}");
}

/// Listing, cancelling and stopping answer on a full disk instead of waiting for room.
#[test]
fn full_while_somebody_asks() {
    let session = Session::new("cat\n");
    let script = r#"mkfifo gate
        job cat gate 2>/dev/null & client=$!
        exec 9>gate
        fill
        ask() { timeout -k 1 15 "$REDIRECTOR" "$@" >/dev/null 2>&1; echo "$1 $?"; }
        ask jobs
        ask show 1
        ask status
        ask cancel 2
        ask stop --force
        free
        wait $client; echo job $?
        ask stop --force"#;
    let Some(finished) = on_a_small_disk(&session, script) else { return };
    let text = finished.text();
    assert!(!text.contains(" 124") && !text.contains(" 137"), "something hangs: {finished}");
    assert!(text.contains("jobs 0\nshow 0\n"), "{finished}");
    // The disk is the gateway's trouble and not the job's: it can be cancelled.
    assert!(text.contains("cancel 0\n") && text.contains("job 143\n"), "{finished}");
}

#[test]
fn a_read_only_one() {
    let session = Session::new("probe *\n");
    let script = r#"mount -o remount,ro "$REDIRECTOR_STATE_DIR" || exit 99
        job probe x >/dev/null; echo status $?
        REDIRECTOR_ON_FAILURE=fail job probe x; echo status $?"#;
    let Some(finished) = on_a_small_disk(&session, script) else { return };
    assert_eq!(finished.text(), "status 0\nstatus 125\n", "{finished}");
    let state = session.state();
    let state = state.to_str().expect("plain");
    assert_says(&finished, &["running 'probe' here", state, "Read-only"]);
    assert_says(&finished, &["'probe' was not run", state, "Read-only"]);
}
