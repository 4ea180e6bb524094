//! How a job on a host ended is how its client ends.

use std::os::unix::process::ExitStatusExt;

use integration::{Way, assert_same, finish};

use crate::cluster::Cluster;

/// 255 is what ssh ends with when there is no connection, 125 what the client ends with when the
/// system failed.
#[test]
fn every_exit_code() {
    let Some(cluster) = Cluster::start(1, "end * tags=lab\n") else { return };
    let script = "for code in {0..255}; do env end exit $code; echo $?; done";
    let session = cluster.session();
    let plain = session.bash(Way::Plain, script).expect_success("the sweep");
    assert_eq!(plain.text().lines().count(), 256);
    assert_same("exit codes 0 to 255", &plain, &session.bash(Way::Preloaded, script));
    let jobs = session.commands();
    assert_eq!(jobs.len(), 256);
    for job in jobs {
        assert_eq!(job.ending(), format!("exited({})", job.argv[2]), "{job:?}");
    }
}

#[test]
fn death_by_a_signal() {
    let Some(cluster) = Cluster::start(1, "end * tags=lab\n") else { return };
    let session = cluster.session();
    for signal in [1, 2, 3, 6, 8, 9, 11, 13, 14, 15, 31, libc::SIGRTMIN() + 5] {
        let number = signal.to_string();
        let run = |way| finish(&mut session.command(way, "env", ["end", "signal", &number]));
        let plain = run(Way::Plain);
        assert_eq!(plain.status.signal(), Some(signal));
        let redirected = run(Way::Preloaded);
        // Whether a core was dumped is the other computer's affair.
        assert_eq!(redirected.status.signal(), Some(signal), "{redirected}");
        assert_eq!((plain.stdout, plain.stderr), (redirected.stdout, redirected.stderr));
    }
    for job in session.commands() {
        assert_eq!(job.ending(), format!("signaled({})", job.argv[2]), "{job:?}");
    }
}

#[test]
fn a_program_that_cannot_be_run() {
    let Some(cluster) = Cluster::start(1, "broken tags=lab\n") else { return };
    let broken = cluster.session().directory().join("broken");
    crate::cluster::write_script(&broken, "#!/no/such/interpreter\n");
    let ended = finish(&mut cluster.session().command(Way::Preloaded, "env", ["./broken"]));
    assert!(matches!(ended.status.code(), Some(126 | 127)), "{ended}");
    assert!(ended.complaint().contains("broken"), "says which: {ended}");
}
