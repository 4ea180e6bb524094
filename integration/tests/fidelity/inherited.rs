//! What a process gets from whoever starts it.

use std::{os::unix::process::CommandExt, process::Command};

use integration::{Finished, Session, Way, assert_same, finish, programs_directory};

use crate::situations::{Situation, try_all};

#[test]
fn arguments_and_attributes() {
    let session = Session::new("tell\n");
    // Cpus of its own are what a job asks for, and not what its pipeline has.
    session.configure_node("pin = false\n");
    try_all(
        &session,
        &[
            Situation {
                name: "arguments",
                jobs: 1,
                script: "tell arguments 'a b' '' $'c\\nd' -- é",
            },
            Situation {
                name: "arguments that are not UTF-8",
                jobs: 1,
                script: "tell arguments $'caf\\xe9' $'\\xff\\xfe'",
            },
            Situation {
                name: "argv[0]",
                jobs: 1,
                script: "(exec -a another-name tell arguments); true",
            },
            Situation { name: "an empty argv[0]", jobs: 1, script: "exec -a '' tell arguments" },
            Situation {
                name: "as many arguments as xargs gives",
                jobs: 1,
                script: "seq 100000 | xargs -n 25000 -s 131072 echo | head -n 1 >words; \
                         tell arguments $(cat words) | cksum",
            },
            Situation { name: "directory", jobs: 1, script: "mkdir -p d; cd d; tell directory" },
            Situation {
                name: "directory behind a link",
                jobs: 1,
                script: "mkdir -p d; ln -sfn d link; cd link; tell directory",
            },
            Situation {
                name: "directory that was removed",
                jobs: 1,
                script: "mkdir -p gone; cd gone; rmdir ../gone; tell directory",
            },
            Situation {
                name: "program by a relative path",
                jobs: 1,
                script: "cp \"$(command -v tell)\" .; ./tell arguments",
            },
            Situation { name: "umask", jobs: 1, script: "umask 027; tell umask" },
            Situation {
                name: "file made under the caller's umask",
                jobs: 1,
                script: "umask 077; rm -f out; tell --to out umask; stat -c %a out",
            },
            Situation { name: "limits as they are", jobs: 1, script: "tell limits" },
            Situation {
                name: "lowered limits",
                jobs: 1,
                script: "ulimit -S -n 100 -s 4096 -t 500; ulimit -H -n 200; tell limits",
            },
            Situation { name: "nice", jobs: 1, script: "nice -n 7 tell scheduling" },
            Situation { name: "affinity", jobs: 1, script: "taskset -c 0 tell scheduling" },
        ],
    );
}

/// The environment of a program without the session, which is the redirector's own affair.
fn without_session(finished: Finished) -> Finished {
    let kept = finished
        .stdout
        .split_inclusive(|byte| *byte == 0)
        .filter(|entry| !entry.starts_with(b"REDIRECTOR_"))
        .flatten()
        .copied();
    Finished { stdout: kept.collect(), ..finished }
}

#[test]
fn environment() {
    let session = Session::new("tell\n");
    let tell = programs_directory().join("tell");
    let tell = tell.to_str().expect("the paths of these tests are UTF-8");
    let starts: [&[&str]; 4] = [
        &["env", "tell", "environment"],
        &["env", "-u", "HOME", "EMPTY=", "A NAME=a value", "tell", "environment"],
        &["crowded", tell, "environment"],
        &["bash", "-c", "export BASH_EXPORT=1; f() { :; }; export -f f; tell environment; exit 3"],
    ];
    for start in starts {
        let run = |way| without_session(finish(&mut session.command(way, start[0], &start[1..])));
        let plain = run(Way::Plain);
        assert!(plain.text().contains("PATH="), "{start:?}: no environment in {plain}");
        for way in Way::REDIRECTED {
            assert_same(&format!("environment by {start:?}, {way:?}"), &plain, &run(way));
        }
    }
    assert_eq!(session.commands().len(), starts.len() * Way::REDIRECTED.len());
}

/// Who preloads something else gets it, in the job too, with our library before or behind it.
#[test]
fn other_preloads_stay() {
    let session = Session::new("tell\n");
    let library = programs_directory().join("libbystander.so");
    let bystander = library.to_str().expect("the paths of these tests are UTF-8");
    let libshim = session.artefacts().libshim.to_str().expect("as above").to_owned();
    let tell = |command: &mut Command, preload: &str| {
        without_session(finish(command.env("LD_PRELOAD", preload)))
    };
    let start = |way| session.command(way, "env", ["tell", "environment"]);

    let plain = tell(&mut start(Way::Plain), bystander);
    assert!(plain.text().contains(&format!("LD_PRELOAD={bystander}\0")), "{plain}");
    for preload in [
        format!("{bystander}:{libshim}"),
        format!("{libshim}:{bystander}"),
        format!("{bystander} {libshim}"),
    ] {
        let redirected = tell(&mut start(Way::Preloaded), &preload);
        assert_same(&format!("LD_PRELOAD='{preload}'"), &plain, &redirected);
    }
    assert_eq!(session.commands().len(), 3);
}

/// `argv[0]` as a caller that is no shell gives it to the program that becomes the client.
#[test]
fn login_shell_style_name() {
    let session = Session::new("tell\n");
    let run = |way| {
        let mut command =
            session.command(way, "perl", ["-e", "exec {'tell'} '-tell', 'arguments'"]);
        finish(command.arg0("perl"))
    };
    let plain = run(Way::Plain);
    assert!(plain.text().starts_with("argv[0]=-tell\n"), "{plain}");
    assert_same("argv[0] with a dash", &plain, &run(Way::Preloaded));
    assert_eq!(session.commands().len(), 1);
}
