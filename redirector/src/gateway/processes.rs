//! Processes that are not the gateway's children but that it depends on: the root
//! of a run, and the client of a job from before a restart.

use std::{fs, path::Path, time::Duration};

use crate::{agent, model::Text, program};

/// The process at the root of a preloaded tree.
#[derive(Debug)]
pub(super) struct Root {
    pub pid: i32,
    pub argv: Vec<Text>,
    pub directory: Text,
}

/// Finds the root of run `run` above its client `pid`: the nearest ancestor that was
/// not handed the run's id, if libshim.so is preloaded there, because it made the
/// id; else the last one that was handed it.
pub(super) fn root_of_run(pid: i32, run: &str) -> Root {
    let handed_down = format!("REDIRECTOR_RUN={run}");
    let mut last = pid;
    let mut next = Some(pid);
    while let Some(process) = next {
        let environment = read(process, "environ");
        let entries = || environment.split(|byte| *byte == 0);
        if !entries().any(|entry| entry == handed_down.as_bytes()) {
            let preloads = |entry: &[u8]| {
                let shim = crate::preload::SHIM.as_bytes();
                entry.starts_with(b"LD_PRELOAD=")
                    && entry.windows(shim.len()).any(|window| window == shim)
            };
            if entries().any(preloads) {
                last = process;
            }
            break;
        }
        last = process;
        next = parent(process);
    }
    let argv = read(last, "cmdline");
    let argv = argv.strip_suffix(b"\0").unwrap_or(&argv);
    Root {
        pid: last,
        argv: argv.split(|byte| *byte == 0).map(Text::from).collect(),
        directory: fs::read_link(format!("/proc/{last}/cwd")).map(Text::from).unwrap_or_default(),
    }
}

/// Whether `pid` is a redirector process: the client that a job had before.
pub(super) fn is_client(pid: i32) -> bool {
    let own = std::env::current_exe().unwrap_or_default();
    let file = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program::is_same(&own, &file)
}

/// Returns when process `pid` has ended.
pub(super) async fn ended(pid: i32) {
    if agent::process_ended(pid).await {
        return;
    }
    // An old kernel does not report it; /proc tells, when asked.
    while Path::new(&format!("/proc/{pid}")).exists() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn parent(pid: i32) -> Option<i32> {
    let stat = read(pid, "stat");
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    let parent = std::str::from_utf8(after_name).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    (parent > 1).then_some(parent)
}

fn read(pid: i32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
}
