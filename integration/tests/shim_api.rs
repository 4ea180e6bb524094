//! `libshim.so` at work in real processes: each libc function that starts a program, what is
//! redirected, what is not, and what the program sees of it. A stand-in plays `redirector`.

mod shim_support;

use shim_support::{Stage, compile, run, said};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Functions that take a path, and whose environment the program gets.
const BY_PATH: [(&str, &str); 10] = [
    ("execve", "given"),
    ("execv", "own"),
    ("execl", "own"),
    ("execle", "given"),
    ("fexecve", "given"),
    ("execveat-fd", "given"),
    ("execveat-cwd", "given"),
    ("execveat-dir", "given"),
    ("posix_spawn", "given"),
    ("vfork", "given"),
];

/// Functions that look along `PATH`.
const BY_NAME: [(&str, &str); 4] =
    [("execvp", "own"), ("execvpe", "given"), ("execlp", "own"), ("posix_spawnp", "given")];

fn caller(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.preloaded(stage.program("caller"));
    command.args(arguments).env("MARK", "own");
    command
}

fn plain_caller(stage: &Stage, arguments: &[&str]) -> Command {
    let mut command = stage.plain(stage.program("caller"));
    command.args(arguments).env("MARK", "own");
    command
}

#[test]
fn every_function_is_redirected_and_keeps_argv_and_environment() {
    let stage = Stage::with(&["caller"]);
    let tool = stage.text("bin/tool");
    let by_path = BY_PATH.map(|(function, mark)| (function, tool.as_str(), mark));
    let by_name = BY_NAME.map(|(function, mark)| (function, "tool", mark));
    for (function, program, mark) in by_path.into_iter().chain(by_name) {
        let output =
            said(&mut caller(&stage, &[function, program, "another name", "", "two words"]));
        let child = match function {
            "posix_spawn" | "posix_spawnp" | "vfork" => "child ended with 0\n",
            _ => "",
        };
        assert_eq!(
            output,
            format!(
                "{}tool argc=3 [another name] [] [two words] MARK={mark}\n{child}",
                stage.redirected()
            ),
            "{function}"
        );
    }
}

#[test]
fn other_programs_are_started_as_they_are() {
    let stage = Stage::with(&["caller"]);
    fs::copy(stage.program("tool"), stage.program("other")).unwrap();
    let other = stage.text("bin/other");
    let by_path = BY_PATH.map(|(function, _)| (function, other.as_str()));
    let by_name = BY_NAME.map(|(function, _)| (function, "other"));
    for (function, program) in by_path.into_iter().chain(by_name) {
        let arguments = [function, program, "name", "argument"];
        assert_eq!(
            said(&mut caller(&stage, &arguments)),
            said(&mut plain_caller(&stage, &arguments)),
            "{function}"
        );
    }
}

#[test]
fn failures_are_those_of_the_plain_call() {
    let stage = Stage::with(&["caller"]);
    fs::create_dir_all(stage.path("plain")).unwrap();
    fs::write(stage.path("plain/tool"), "#!/bin/sh\n").unwrap();
    fs::write(stage.path("file"), "").unwrap();
    fs::create_dir_all(stage.path("directory/tool")).unwrap();
    fs::create_dir_all(stage.path("loop")).unwrap();
    std::os::unix::fs::symlink("tool", stage.path("loop/tool")).unwrap();
    stage.write_program("foreign/tool", "\x7fELF but not a program");
    stage.write_program("interpreter/tool", "#!/nowhere/interpreter\n");
    // Whitelisted by name everywhere: only what cannot run keeps it from being redirected.
    for place in ["missing", "plain", "file", "directory", "loop"] {
        let program = stage.text(&format!("{place}/tool"));
        for (function, _) in BY_PATH {
            let arguments = [function, program.as_str(), "tool"];
            let plain = run(&mut plain_caller(&stage, &arguments));
            let preloaded = run(&mut caller(&stage, &arguments));
            assert_eq!(preloaded, plain, "{function} {place}");
        }
        for (function, _) in BY_NAME {
            for (name, path) in [("tool", stage.text(place)), (program.as_str(), String::new())] {
                let arguments = [function, name, "tool"];
                let plain = run(plain_caller(&stage, &arguments).env("PATH", &path));
                let preloaded = run(caller(&stage, &arguments).env("PATH", &path));
                assert_eq!(preloaded, plain, "{function} {name} {path}");
            }
        }
    }
}

#[test]
fn posix_spawn_returns_the_error_number() {
    let stage = Stage::with(&["caller"]);
    for function in ["posix_spawn", "posix_spawnp"] {
        let arguments = [function, "/nowhere/tool", "tool"];
        let output = said(&mut caller(&stage, &arguments));
        assert!(output.starts_with(&format!("{function} answered ENOENT,")), "{output}");
        assert_eq!(output, said(&mut plain_caller(&stage, &arguments)));
    }
}

#[test]
fn scripts_without_an_interpreter_line_stay_with_libc() {
    let stage = Stage::with(&["caller"]);
    stage.write_program("script/tool", "echo \"script $0 $*\"\n");
    let script = stage.text("script/tool");
    for function in ["execvp", "execlp", "execvpe", "posix_spawnp", "execve", "execv"] {
        let arguments = [function, script.as_str(), "tool", "argument"];
        assert_eq!(
            run(&mut caller(&stage, &arguments)),
            run(&mut plain_caller(&stage, &arguments)),
            "{function}"
        );
    }
    let output = said(&mut caller(&stage, &["execvp", &script, "tool", "argument"]));
    assert_eq!(output, format!("script {script} argument\n"));
}

#[test]
fn scripts_with_an_interpreter_line_are_redirected() {
    let stage = Stage::with(&["caller"]);
    stage.write_program("script/tool", "#!/bin/sh\necho \"script $*\"\n");
    let script = stage.text("script/tool");
    assert_eq!(
        said(&mut caller(&stage, &["execv", &script, "tool", "argument"])),
        format!("redirected {script}\nscript argument\n")
    );
}

#[test]
fn variadic_functions_pass_any_number_of_arguments() {
    let stage = Stage::with(&["caller"]);
    let tool = stage.text("bin/tool");
    for function in ["execl", "execlp", "execle"] {
        // A program without argv[0] is one argument that Linux adds itself.
        for count in 1..=20 {
            let values: Vec<String> = (0..count).map(|index| format!("value {index}")).collect();
            let mut arguments = vec![function, tool.as_str()];
            arguments.extend(values.iter().map(String::as_str));
            let expected: String = values.iter().flat_map(|value| [" [", value, "]"]).collect();
            let mark = if function == "execle" { "given" } else { "own" };
            assert_eq!(
                said(&mut caller(&stage, &arguments)),
                format!("{}tool argc={count}{expected} MARK={mark}\n", stage.redirected()),
                "{function}"
            );
        }
        let none = [function, "/nowhere/tool"];
        assert_eq!(
            said(&mut caller(&stage, &none)),
            said(&mut plain_caller(&stage, &none)),
            "{function}"
        );
    }
}

#[test]
fn pidfd_spawn_is_hooked_where_libc_has_it() {
    let stage = Stage::with(&["caller"]);
    for (function, program) in
        [("pidfd_spawn", stage.text("bin/tool")), ("pidfd_spawnp", "tool".to_owned())]
    {
        let arguments = [function, program.as_str(), "tool"];
        let plain = run(&mut plain_caller(&stage, &arguments));
        let preloaded = run(&mut caller(&stage, &arguments));
        assert_eq!(preloaded.status, plain.status);
        let plain = String::from_utf8(plain.stdout).unwrap();
        let expected = if plain == "not in this libc\n" {
            plain
        } else {
            format!("{}{plain}", stage.redirected())
        };
        assert_eq!(String::from_utf8(preloaded.stdout).unwrap(), expected);
    }
}

#[test]
fn the_path_that_counts_is_the_callers() {
    let stage = Stage::with(&["caller"]);
    stage.write_program("other/tool", "#!/bin/sh\necho other\n");
    for function in ["execvpe", "posix_spawnp"] {
        let output = said(
            caller(&stage, &[function, "tool", "tool"]).env("GIVEN_PATH", stage.text("other")),
        );
        assert!(output.starts_with(&stage.redirected()), "{function}: {output}");
    }
}

#[test]
fn the_first_executable_of_the_path_is_the_one_that_is_redirected() {
    let stage = Stage::with(&["caller"]);
    fs::create_dir_all(stage.path("plain")).unwrap();
    fs::write(stage.path("plain/tool"), "").unwrap();
    fs::create_dir_all(stage.path("directory/tool")).unwrap();
    stage.write_program("last/tool", "#!/bin/sh\necho last\n");
    let all = ["missing", "plain", "directory", "bin", "last"].map(|name| stage.text(name));
    for function in ["execvp", "execlp", "execvpe", "posix_spawnp"] {
        let output = said(
            caller(&stage, &[function, "tool", "tool"])
                .env("PATH", all.join(":"))
                .env("GIVEN_PATH", "/nowhere"),
        );
        assert!(output.starts_with(&stage.redirected()), "{function}: {output}");
    }
}

#[test]
fn relative_programs_are_named_by_their_absolute_path() {
    let stage = Stage::with(&["caller"]);
    let in_bin = |function: &str, program: &str, path: &str| {
        let mut command = caller(&stage, &[function, program, "tool"]);
        said(command.current_dir(stage.path("bin")).env("PATH", path))
    };
    for (function, program, path) in [
        ("execv", "./tool", "/bin"),
        ("execv", "tool", "/bin"),
        ("execvp", "tool", ""),
        ("execvp", "tool", "/nowhere:"),
        ("posix_spawnp", "tool", "."),
        ("execveat-cwd", "./tool", "/bin"),
    ] {
        let output = in_bin(function, program, path);
        assert!(output.starts_with(&stage.redirected()), "{function} {program}: {output}");
    }
}

#[test]
fn a_relative_program_behind_a_chdir_action_is_left_to_libc() {
    let stage = Stage::with(&["caller"]);
    stage.write_program("there/tool", "#!/bin/sh\necho there\n");
    let mut command = caller(&stage, &["posix_spawn-chdir", "./tool", "tool"]);
    command.current_dir(stage.path("bin")).env("DIRECTORY", stage.path("there"));
    assert_eq!(said(&mut command), "there\nchild ended with 0\n");
}

#[test]
fn arguments_near_the_limit_still_start_programs() {
    let stage = Stage::with(&["big_arguments"]);
    fs::copy(stage.program("tool"), stage.program("other")).unwrap();
    for program in ["tool", "other"] {
        for spare in ["2048", "64"] {
            let arguments = [stage.text(&format!("bin/{program}")), spare.to_owned()];
            let plain = stage.program("big_arguments");
            // The same environment in both, so that both leave the same room.
            let mut off = stage.preloaded(&plain);
            let off = said(off.args(&arguments).env("REDIRECTOR_OFF", "1"));
            let mut on = stage.preloaded(&plain);
            let on = said(on.args(&arguments).env("REDIRECTOR_OFF", "0"));
            assert!(off.starts_with("tool argc="), "{program} {spare}: {off}");
            let expected = match (program, spare) {
                ("tool", "2048") => format!("{}{off}", stage.redirected()),
                _ => off,
            };
            assert_eq!(on, expected, "{program} {spare}");
        }
    }
}

#[test]
fn container_runtimes_get_an_environment_without_us() {
    let stage = Stage::with(&["caller"]);
    compile("cc", "competitor.c", &stage.path("lib/competitor.so"), &["-shared", "-fPIC"]);
    fs::write(stage.path("whitelist"), "docker\nlaunch\ntool\n").unwrap();
    for (name, strip) in [("docker", ""), ("apptainer", ""), ("launch", "start:launch")] {
        stage.write_program(&format!("bin/{name}"), "#!/usr/bin/env -S sh -c env\n");
        let program = stage.text(&format!("bin/{name}"));
        for (function, program) in [("execv", program.as_str()), ("posix_spawnp", name)] {
            let mut command = caller(&stage, &[function, program, name]);
            let output = said(command.env("REDIRECTOR_STRIP", strip).env("REDIRECTOR_TOKEN", "t"));
            assert!(output.contains("MARK="), "{name}: {output}");
            assert!(!output.contains("LD_PRELOAD"), "{name}: {output}");
            assert!(!output.contains("REDIRECTOR_"), "{name}: {output}");
        }
    }
    let preload = format!("{}:{}", stage.text("lib/competitor.so"), stage.text("lib/libshim.so"));
    let mut command = caller(&stage, &["execv", &stage.text("bin/docker"), "docker"]);
    let output = run(command.env("LD_PRELOAD", preload));
    let output = String::from_utf8(output.stdout).unwrap();
    let kept = format!("LD_PRELOAD={}\n", stage.text("lib/competitor.so"));
    assert!(output.contains(&kept), "{output}");
}

#[test]
fn without_redirector_the_program_runs_here_and_one_line_says_why() {
    let stage = Stage::with(&["caller"]);
    fs::remove_file(stage.path("lib/redirector")).unwrap();
    let tool = stage.text("bin/tool");
    for function in ["execv", "posix_spawn", "fexecve"] {
        let output = run(&mut caller(&stage, &[function, &tool, "tool"]));
        assert!(String::from_utf8(output.stdout).unwrap().starts_with("tool argc=1"));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            format!(
                "redirector: binary not found next to {}; running 'tool' here; set \
                 REDIRECTOR_BIN\n",
                stage.text("lib/libshim.so")
            )
        );
    }
}

#[test]
fn redirector_is_found_by_its_variable_beside_us_and_in_bin() {
    let stage = Stage::with(&["caller"]);
    let tool = stage.text("bin/tool");
    let elsewhere = stage.path("elsewhere");
    fs::rename(stage.path("lib/redirector"), &elsewhere).unwrap();
    let redirects = |binary: &str| {
        let mut command = caller(&stage, &["execv", &tool, "tool"]);
        let output = run(command.env("REDIRECTOR_BIN", binary));
        output.stdout.starts_with(stage.redirected().as_bytes())
    };
    assert!(redirects(elsewhere.to_str().unwrap()));
    assert!(!redirects("/nowhere"));
    fs::rename(&elsewhere, stage.path("bin/redirector")).unwrap();
    assert!(redirects("/nowhere"));
}

#[test]
fn a_redirector_that_cannot_run_leaves_the_program_here() {
    let stage = Stage::with(&["caller"]);
    stage.write_program("lib/redirector", "\x7fELF but not a program");
    let tool = stage.text("bin/tool");
    for function in ["execv", "posix_spawn"] {
        let output = said(&mut caller(&stage, &[function, &tool, "tool"]));
        assert!(output.starts_with("tool argc=1"), "{function}: {output}");
    }
}

#[test]
fn shells_of_libc_are_seen_though_the_program_removed_us() {
    let stage = Stage::with(&["caller"]);
    for unset in [false, true] {
        for function in ["system", "popen", "_IO_popen"] {
            let mut command = caller(&stage, &[function, "tool; exit 7"]);
            if unset {
                command.env("UNSET", "1");
            }
            let closing = if function == "system" { "system" } else { "pclose" };
            assert_eq!(
                said(&mut command),
                format!(
                    "{}tool argc=1 [tool] MARK=own\n{closing} answered {}\n",
                    stage.redirected(),
                    7 << 8
                ),
                "{function} {unset}"
            );
        }
        let mut command = caller(&stage, &["wordexp", "$(tool | head -n 1)"]);
        if unset {
            command.env("UNSET", "1");
        }
        let output = said(&mut command);
        assert_eq!(
            output,
            format!("word redirected\nword {}\nwordexp answered 0\n", stage.text("bin/tool"))
        );
    }
}

#[test]
fn cleared_environments_are_repaired() {
    let stage = Stage::with(&["caller"]);
    let tool = stage.text("bin/tool");
    let mut command = stage.preloaded("/usr/bin/env");
    let output = said(command.args(["-i", "dash", "-c", &tool]).env("REDIRECTOR_TOKEN", "t"));
    assert!(output.starts_with(&stage.redirected()), "{output}");
    let output = said(&mut caller(&stage, &["execve-null", &tool, "tool"]));
    assert!(output.starts_with(&stage.redirected()), "{output}");

    let mut command = stage.preloaded("/usr/bin/env");
    let output = said(command.args(["-i", "env"]).env("REDIRECTOR_TOKEN", "secret"));
    let mut names: Vec<&str> = output.lines().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "LD_PRELOAD",
            "REDIRECTOR_HOME",
            "REDIRECTOR_RUN",
            "REDIRECTOR_TOKEN",
            "REDIRECTOR_WHITELIST"
        ]
    );
    assert!(output.contains("REDIRECTOR_TOKEN=secret\n"));
}

#[test]
fn a_complete_environment_is_not_touched() {
    let stage = Stage::new();
    let mut command = stage.preloaded("/usr/bin/env");
    command.args(["REDIRECTOR_RUN=r1", "REDIRECTOR_HOME=/h", "env"]);
    let first = said(&mut command);
    let mut command = stage.preloaded("/usr/bin/env");
    command.env("REDIRECTOR_RUN", "r1").env("REDIRECTOR_HOME", "/h").args(["env", "env"]);
    let second = said(&mut command);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&first), sorted(&second));
    assert_eq!(sorted(&second).len(), 6, "{second}");
}

/// The value of a variable in the output of `env`.
fn value<'a>(output: &'a str, name: &str) -> Option<&'a str> {
    output.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn what_a_root_process_starts_is_one_run() {
    let stage = Stage::new();
    let script = "env; cd /; exec /usr/bin/env -i /usr/bin/env HOME=/other /bin/sh -c env";
    let runs: Vec<String> = (0..2)
        .map(|_| {
            let output = said(stage.preloaded("sh").args(["-c", script]));
            let ids: Vec<&str> =
                output.lines().filter_map(|line| line.strip_prefix("REDIRECTOR_RUN=")).collect();
            assert_eq!(ids.len(), 2, "{output}");
            assert_eq!(ids[0], ids[1]);
            assert_eq!(ids[0].len(), 26);
            assert!(ids[0].bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
            let home = format!("REDIRECTOR_HOME={}", stage.text("home"));
            assert_eq!(output.lines().filter(|line| *line == home).count(), 2, "{output}");
            ids[0].to_owned()
        })
        .collect();
    assert_ne!(runs[0], runs[1]);
}

#[test]
fn the_whitelist_is_searched_once_by_the_root_process() {
    let stage = Stage::new();
    let env = |directory: &str| {
        let mut command = stage.preloaded("sh");
        command.env_remove("REDIRECTOR_WHITELIST").current_dir(stage.path(directory));
        said(command.args(["-c", "exec env -i sh -c 'cd /; exec env -i /usr/bin/env'"]))
    };
    fs::create_dir_all(stage.path("cwd/deep/er")).unwrap();
    let found = |directory| value(&env(directory), "REDIRECTOR_WHITELIST").map(str::to_owned);
    let none = found("cwd").expect("searched and none found is said, too");
    assert!(none.is_empty() || !none.starts_with(&stage.text("")), "{none}");

    let user = stage.path("home/.config/redirector/whitelist");
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    fs::write(&user, "tool\n").unwrap();
    assert_eq!(found("cwd/deep/er").as_deref(), user.to_str());

    let project = stage.path("cwd/.redirector/whitelist");
    fs::create_dir_all(project.parent().unwrap()).unwrap();
    fs::write(&project, "").unwrap();
    assert_eq!(found("cwd/deep/er").as_deref(), project.to_str());
    assert_eq!(found("bin").as_deref(), user.to_str());
}

#[test]
fn an_edited_whitelist_applies_to_the_next_start() {
    let stage = Stage::new();
    let edit = "tool; echo '!tool' >> \"$REDIRECTOR_WHITELIST\"; tool; rm \
                \"$REDIRECTOR_WHITELIST\"; tool";
    let line = "tool argc=1 [tool] MARK=(unset)\n";
    assert_eq!(
        said(stage.preloaded("sh").args(["-c", edit])),
        format!("{}{line}{line}{line}", stage.redirected())
    );
}

#[test]
fn children_get_an_absolute_preload_whatever_the_root_was_given() {
    let stage = Stage::new();
    let absolute = stage.text("lib/libshim.so");
    for (spelling, directory, search) in [
        ("./libshim.so", "lib", ""),
        ("lib/libshim.so", "", ""),
        ("../lib/libshim.so", "bin", ""),
        ("libshim.so", "bin", "lib"),
    ] {
        let mut command = stage.preloaded("sh");
        command.env("LD_PRELOAD", spelling).current_dir(stage.path(directory));
        if !search.is_empty() {
            command.env("LD_LIBRARY_PATH", stage.path(search));
        }
        let output = said(command.args(["-c", "cd /; tool; exec env"]));
        assert!(output.starts_with(&stage.redirected()), "{spelling}: {output}");
        let handed = value(&output, "LD_PRELOAD").unwrap();
        let resolved = fs::canonicalize(handed).unwrap();
        assert!(handed.starts_with('/'), "{spelling}: {handed}");
        assert_eq!(resolved.to_str().unwrap(), absolute, "{spelling}");
    }
}

#[test]
fn a_directory_that_ld_preload_cannot_name_still_starts_programs() {
    let stage = Stage::new();
    fs::create_dir(stage.path("my lib")).unwrap();
    fs::copy(stage.library(), stage.path("my lib/libshim.so")).unwrap();
    let mut command = stage.preloaded("sh");
    command.env("LD_PRELOAD", "./libshim.so").current_dir(stage.path("my lib"));
    assert_eq!(said(command.args(["-c", "exec /bin/echo started"])), "started\n");
}

#[test]
fn other_preload_libraries_keep_working() {
    let stage = Stage::with(&["caller"]);
    let competitor = stage.path("lib/competitor.so");
    compile("cc", "competitor.c", &competitor, &["-shared", "-fPIC"]);
    let (competitor, library) = (stage.text("lib/competitor.so"), stage.text("lib/libshim.so"));
    let tool = stage.text("bin/tool");
    for preload in [format!("{competitor}:{library}"), format!("{library} {competitor}")] {
        for function in ["execve", "posix_spawn"] {
            let mut command = caller(&stage, &[function, &tool, "tool"]);
            let output = run(command.env("LD_PRELOAD", &preload));
            let errors = String::from_utf8(output.stderr).unwrap();
            assert_eq!(errors, "competitor\n", "{function} {preload}");
            assert!(output.stdout.starts_with(stage.redirected().as_bytes()));
        }
    }
    // Cleared environments get us back, behind whatever the program preloads itself.
    let mut command = stage.preloaded("/usr/bin/env");
    command.args(["-i", &format!("LD_PRELOAD={competitor}"), "/usr/bin/env"]);
    let output = run(&mut command);
    let output = String::from_utf8(output.stdout).unwrap();
    assert_eq!(value(&output, "LD_PRELOAD"), Some(&*format!("{competitor}:{library}")));
}

#[test]
fn the_switch_makes_every_hook_a_plain_call() {
    let stage = Stage::with(&["caller"]);
    let tool = stage.text("bin/tool");
    let mut command = caller(&stage, &["execv", &tool, "tool"]);
    let output = said(command.env("REDIRECTOR_OFF", "1"));
    assert_eq!(output, "tool argc=1 [tool] MARK=own\n");
    // For one command of a shell, and with an untouched environment.
    let output = said(stage.preloaded("sh").args(["-c", "REDIRECTOR_OFF=1 tool; tool"]));
    assert!(output.starts_with("tool argc=1"), "{output}");
    assert!(output.contains(&stage.redirected()), "{output}");
    let mut command = stage.preloaded("/usr/bin/env");
    let output = said(command.env("REDIRECTOR_OFF", "1").args(["-i", "A=1", "/usr/bin/env"]));
    assert_eq!(output, "A=1\n");
}

/// Runs all starts of `small_stack`, of which five are redirected.
fn start_on_the_smallest_stack(stage: &Stage, command: &mut Command, program: &str) {
    for index in 0..300 {
        command.env(format!("VARIABLE_{index}"), "a value of usual length");
    }
    let output = run(command.args([program, "tool"]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}: {text}", output.status);
    assert_eq!(text.matches("redirected /").count(), 5, "{text}");
    assert!(text.contains(&stage.redirected()), "{text}");
    for what in
        ["posix_spawn", "posix_spawn in an empty environment", "posix_spawnp", "vfork", "system"]
    {
        let status = if what == "system" { "0 -1" } else { "0 0" };
        assert!(text.contains(&format!("\n{what} {status}\n")), "{what}: {text}");
    }
}

#[test]
fn the_smallest_thread_stack_is_enough() {
    let stage = Stage::with(&["small_stack"]);
    let mut command = stage.preloaded(stage.program("small_stack"));
    start_on_the_smallest_stack(&stage, &mut command, &stage.text("bin/tool"));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "the frames of unoptimised code are larger")]
fn the_smallest_thread_stack_is_enough_far_down_and_without_a_whitelist_named() {
    let stage = Stage::with(&["small_stack"]);
    let mut directory = stage.path("cwd");
    fs::create_dir(directory.join(".redirector")).unwrap();
    fs::write(directory.join(".redirector/whitelist"), "tool\n").unwrap();
    directory.extend(["d"; 8].map(|name| name.repeat(120)));
    fs::create_dir_all(&directory).unwrap();
    fs::copy(stage.program("tool"), directory.join("tool")).unwrap();
    let mut command = stage.preloaded(stage.program("small_stack"));
    command.env_remove("REDIRECTOR_WHITELIST").current_dir(&directory);
    start_on_the_smallest_stack(&stage, &mut command, "./tool");
}

#[test]
fn a_thousand_vfork_children_leave_nothing_in_the_parent() {
    let stage = Stage::with(&["vfork_growth"]);
    let output = said(stage.preloaded(stage.program("vfork_growth")).arg("/bin/true"));
    let growth: i64 = output.trim().parse().unwrap();
    assert!(growth <= 64, "the parent grew by {growth} KiB");
}

#[test]
fn main_finds_errno_zero() {
    let stage = Stage::with(&["first_errno"]);
    assert_eq!(said(&mut stage.preloaded(stage.program("first_errno"))), "0\n");
}

#[test]
fn loading_costs_few_system_calls() {
    const MOST: usize = 9;
    let stage = Stage::new();
    let calls = |preload: bool| {
        let trace = stage.path("trace");
        let mut command = stage.plain("strace");
        command.arg("-o").arg(&trace);
        if preload {
            command.arg("-E").arg(format!("LD_PRELOAD={}", stage.library().display()));
        }
        said(command.arg("/bin/true"));
        let trace = fs::read_to_string(trace).unwrap();
        trace.lines().filter(|line| line.contains('(')).count()
    };
    let (plain, preloaded) = (calls(false), calls(true));
    println!("system calls of /bin/true: {plain} plain, {preloaded} preloaded");
    assert!(plain > 0 && preloaded > plain, "{plain} plain, {preloaded} preloaded");
    assert!(preloaded - plain <= MOST, "{plain} plain, {preloaded} preloaded");
}

#[test]
fn musl_programs_load_the_library_and_are_redirected() {
    let stage = Stage::new();
    let program = stage.program("musl");
    compile("musl-gcc", "musl.c", &program, &[]);
    let line = "tool argc=2 [tool] [argument] MARK=(unset)\n";
    let expected = format!("{}{line}", stage.redirected());
    assert_eq!(said(stage.preloaded(&program).arg("tool")), expected);
    assert_eq!(said(stage.preloaded(&program).args(["", "tool argument"])), expected);
    let mut command = stage.preloaded(&program);
    command.env("LD_PRELOAD", "./libshim.so").current_dir(stage.path("lib"));
    assert_eq!(said(command.args(["", "cd /; tool argument"])), expected);
}

#[test]
fn programs_that_may_be_executed_but_not_read_are_redirected() {
    let stage = Stage::with(&["caller"]);
    let tool = stage.program("tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o111)).unwrap();
    let output = said(&mut caller(&stage, &["execv", tool.to_str().unwrap(), "tool"]));
    assert!(output.starts_with(&stage.redirected()), "{output}");
}
