//! How a job ended is how its client ends.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
};

use integration::{Session, Way, assert_same, finish};
use object::{
    Endianness,
    elf::{FileHeader64, NT_PRPSINFO},
    read::elf::{FileHeader, ProgramHeader},
};

/// Signals that do not end a process which leaves them alone: `SIGCHLD`, `SIGURG` and `SIGWINCH` are
/// ignored, `SIGCONT` continues, the others stop.
const HARMLESS: [i32; 8] = [
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
    libc::SIGWINCH,
];

#[test]
fn every_exit_code() {
    let session = Session::new("end *\n");
    let script = "for code in {0..255}; do end exit $code; echo $?; done";
    let plain = session.bash(Way::Plain, script).expect_success("the sweep");
    assert_eq!(plain.text().lines().count(), 256);
    assert_same("exit codes 0 to 255", &plain, &session.bash(Way::Preloaded, script));

    let jobs = session.commands();
    assert_eq!(jobs.len(), 256);
    for job in jobs {
        let outcome = format!("exited({})", job.argv[2]);
        assert_eq!(job.ending(), outcome, "{job:?}");
    }
}

/// 125 is what the client itself ends with when the system fails, the others mean something to shells.
#[test]
fn exit_codes_with_a_meaning_elsewhere() {
    let session = Session::new("end *\n");
    for code in [0, 1, 2, 124, 125, 126, 127, 128, 137, 255] {
        let run =
            |way| finish(&mut session.command(way, "env", ["end", "exit", &code.to_string()]));
        let plain = run(Way::Plain);
        assert_eq!(plain.status.code(), Some(code));
        for way in Way::REDIRECTED {
            assert_same(&format!("exit code {code}, {way:?}"), &plain, &run(way));
        }
    }
}

#[test]
fn death_by_every_signal() {
    let session = Session::new("end *\n");
    let first_realtime = libc::SIGRTMIN();
    let deadly = (1..32).filter(|signal| !HARMLESS.contains(signal));
    for signal in deadly.chain([first_realtime, first_realtime + 5]) {
        let number = signal.to_string();
        let run = |way| finish(&mut session.command(way, "env", ["end", "signal", &number]));
        let plain = run(Way::Plain);
        assert_eq!(plain.status.signal(), Some(signal));
        for way in Way::REDIRECTED {
            assert_same(&format!("death by signal {signal}, {way:?}"), &plain, &run(way));
        }
        let outcome = format!("signaled({signal})");
        for job in session.commands().iter().filter(|job| job.argv[2] == number) {
            assert_eq!(job.ending(), outcome, "{job:?}");
        }
    }
}

/// The flag that a core was dumped is passed on, and the core in the working directory is that of
/// the job and not that of a client which ended in the same way.
#[test]
fn core_dumps() {
    let session = Session::new("end *\n");
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("/proc is mounted");
    let cores_are_files_here = !pattern.starts_with('|') && !pattern.contains('/');

    for signal in ["6", "11"] {
        let crash = |way: Way| {
            let directory = session.directory().join(format!("{way:?}-{signal}"));
            fs::create_dir(&directory).expect("the session's directory is writable");
            let script = format!("ulimit -c unlimited; exec end signal {signal}");
            let mut command = session.command(way, "bash", ["-c", &script]);
            let finished = finish(command.current_dir(&directory));
            if cores_are_files_here {
                let cores = files_in(&directory);
                assert_eq!(cores.len(), 1, "{way:?}: one core dump: {cores:?}");
                assert_eq!(crashed_program(&cores[0]), "end", "{way:?}: whose core this is");
            }
            finished
        };
        let plain = crash(Way::Plain);
        if cores_are_files_here {
            assert!(plain.status.core_dumped(), "this machine dumps cores: {plain}");
        }
        for way in Way::REDIRECTED {
            assert_same(&format!("core dump by signal {signal}, {way:?}"), &plain, &crash(way));
        }
    }
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the test made it");
    entries.map(|entry| entry.expect("nobody changes it").path()).collect()
}

/// The name of the process that a core file was dumped for.
fn crashed_program(core: &Path) -> String {
    /// Where `struct elf_prpsinfo` of a 64-bit machine has its `pr_fname`.
    const NAME: std::ops::Range<usize> = 40..56;

    let data = fs::read(core).expect("just listed");
    let header = FileHeader64::<Endianness>::parse(data.as_slice()).expect("a core is an ELF file");
    let endian = header.endian().expect("a core of this machine");
    let segments = header.program_headers(endian, data.as_slice()).expect("a core has segments");
    for segment in segments {
        let notes = segment.notes(endian, data.as_slice()).expect("whole notes");
        let Some(mut notes) = notes else { continue };
        while let Some(note) = notes.next().expect("whole notes") {
            if note.n_type(endian) == NT_PRPSINFO {
                let name = &note.desc()[NAME];
                let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                return String::from_utf8_lossy(&name[..length]).into_owned();
            }
        }
    }
    panic!("{} does not say which program it is of", core.display());
}
