//! Programs whose purpose is to start another.

use integration::{Missing, find_program, programs_directory};

use crate::rows::{Rows, text};

#[test]
fn find_and_xargs() {
    Rows::of("find and xargs")
        .file("a-file", "", "")
        .row("find-exec", ["find", ".", "-name", "a-file", "-exec", "probe", "LABEL", "{}", ";"])
        .row("find-plus", ["find", ".", "-name", "a-file", "-exec", "probe", "LABEL", "{}", "+"])
        .row("find-execdir", ["find", ".", "-name", "a-file", "-execdir", "probe", "LABEL", ";"])
        .row_of_jobs(3, "xargs", ["sh", "-c", "printf '7 8 9' | xargs -n1 probe LABEL; echo $?"])
        .row_of_jobs(
            2,
            "xargs-parallel",
            ["sh", "-c", "printf '1 2' | xargs -P2 -n1 probe LABEL | sort"],
        )
        .try_all();
}

#[test]
fn one_after_the_other() {
    Rows::of("coreutils and util-linux")
        .row("env", ["env", "PROBE_MARK=changed", "probe", "LABEL", "7"])
        .row("env-unset", ["env", "-u", "PROBE_MARK", "probe", "LABEL"])
        .row("nice", ["nice", "-n", "5", "probe", "LABEL", "7"])
        .row("nohup", ["nohup", "probe", "LABEL", "7"])
        .row("timeout", ["timeout", "50", "probe", "LABEL", "7"])
        .row("setsid", ["setsid", "--wait", "probe", "LABEL", "7"])
        .row("stdbuf", ["stdbuf", "-oL", "probe", "LABEL", "7"])
        .row("flock", ["sh", "-c", "flock lock probe LABEL"])
        .row("script", ["script", "-qec", "probe LABEL 7", "/dev/null"])
        .row("time", ["bash", "-c", "TIMEFORMAT=; time probe LABEL"])
        .try_all();
}

/// What tools such as cwltool, `SCons` and Bazel do: the session is not in the environment any more.
#[test]
fn cleared_environment() {
    let probe = programs_directory().join("probe");
    let probe = text(&probe);
    Rows::of("cleared environment")
        .row("env-i", ["env", "-i", probe, "LABEL"])
        .row("env-i-sh", ["env", "-i", "/bin/sh", "-c", &format!("{probe} LABEL; exit 7")])
        .row("env-i-bash", ["env", "-i", "/bin/bash", "-c", &format!("{probe} LABEL 7")])
        .row("unset", ["bash", "-c", "unset LD_PRELOAD; probe LABEL"])
        .row("emptied", ["bash", "-c", "LD_PRELOAD= probe LABEL"])
        .try_all();
}

#[test]
fn gnu_parallel() {
    let Some(rows) = Rows::of_installed("parallel", &["parallel"], Missing::FailAfterSetup) else {
        return;
    };
    rows.row_of_jobs(
        3,
        "parallel",
        ["parallel", "--will-cite", "-k", "-j2", "probe", "LABEL", ":::", "7", "8", "9"],
    )
    .try_all();
}

/// `sort` starts its compressor by `execlp`, without arguments for the first, `-d` for the second.
#[test]
fn sort_with_compressor() {
    let Some(gzip) = find_program("gzip") else {
        return integration::skip("runtime sort", "gzip", Missing::FailAfterSetup);
    };
    let session = integration::Session::new("packer\n");
    let packer = session.directory().join("packer");
    std::os::unix::fs::symlink(gzip, packer).expect("the session's directory is writable");
    let script = "PATH=$PWD:$PATH; seq 100000 | sort -S 64k --compress-program=packer | md5sum";
    let plain = session.bash(integration::Way::Plain, script).expect_success("sort");
    let redirected = session.bash(integration::Way::Preloaded, script);
    integration::assert_same("sort --compress-program", &plain, &redirected);
    let jobs = session.commands();
    assert!(jobs.len() > 2, "sort spills more than once: {jobs:?}");
    assert!(jobs.iter().any(|job| job.argv.iter().any(|word| word == "-d")), "{jobs:?}");
}
