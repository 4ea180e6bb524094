//! What is looked at on this computer.

use std::process::{Command, Stdio};

use super::{Finding, room};
use crate::{
    agent::examine::{Made, OpenFiles, Room},
    client::api::{Client, Error},
    config::{self, Config},
    place::StateDirectory,
    preload, protocol,
    protocol::{NodeState, NodeStatus},
    random,
};

/// Looks at all that no gateway is needed for; `config` is what was read.
pub(super) fn examine(config: &Result<Config, config::Error>) -> Vec<Finding> {
    let mut findings = vec![configuration(config), shim()];
    findings.extend(state());
    findings.push(room::judge_open_files_of_gateway(OpenFiles::of_this_process()));
    findings
}

fn configuration(config: &Result<Config, config::Error>) -> Finding {
    const CHECK: &str = "configuration";
    match config {
        Ok(config) if config.files.is_empty() => {
            Finding::ok(CHECK, "no file: everything is at its default, and there are no hosts")
        }
        Ok(config) => {
            let files: Vec<_> = config.files.iter().map(|it| it.display().to_string()).collect();
            Finding::ok(CHECK, format!("{}: {} hosts", files.join(", "), config.hosts.len()))
        }
        Err(error) => {
            let advice = "correct it; hosts are not looked at until then";
            Finding::failed(CHECK, error.to_string(), advice)
        }
    }
}

fn shim() -> Finding {
    let path = match preload::shim() {
        Ok(path) => path,
        Err(error) => {
            let advice = "install libshim.so and redirector together, without blanks or colons \
                          in the path";
            return Finding::failed(preload::SHIM, error.to_string(), advice);
        }
    };
    // A program that is asked which files it has in memory tells whether it was loaded.
    let mut witness = Command::new("cat");
    witness.arg("/proc/self/maps").env("LD_PRELOAD", &path).env("REDIRECTOR_OFF", "1");
    let output = witness.stdin(Stdio::null()).output();
    let (maps, complaint) = match output {
        Ok(output) => (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => (Vec::new(), format!("cat: {error}")),
    };
    judge_shim(&path.display().to_string(), &maps, &complaint)
}

/// Judges the library at `path` by what a program that was to load it has in memory.
fn judge_shim(path: &str, maps: &[u8], complaint: &str) -> Finding {
    let name = preload::SHIM.as_bytes();
    if maps.windows(name.len()).any(|window| window == name) {
        return Finding::ok(preload::SHIM, format!("{path}, can be preloaded"));
    }
    Finding::failed(
        preload::SHIM,
        format!("{path} is not loaded by programs here: {}", complaint.trim()),
        "install a build for this computer's architecture, and see that its file can be read",
    )
}

fn state() -> Vec<Finding> {
    const CHECK: &str = "state directory";
    let usable = StateDirectory::locate().and_then(|state| state.create().map(|()| state));
    let state = match usable {
        Ok(state) => state,
        // It says itself what to do.
        Err(error) => {
            let advice = "set REDIRECTOR_STATE_DIR to a directory of yours on a local disk";
            return vec![Finding::failed(CHECK, error.to_string(), advice)];
        }
    };
    let directory = state.path().display().to_string();
    let name = format!("doctor-{}", random::hex(&random::bytes::<8>()));
    let finding = match Made::new(&state.path().join(name), "probe") {
        Ok(_made) => Finding::ok(CHECK, directory),
        Err(error) => Finding::failed(
            CHECK,
            format!("no file can be made in {directory}: {error}"),
            "make room, or set REDIRECTOR_STATE_DIR to a directory of yours on a local disk",
        ),
    };
    let room = Room::of(state.path()).map_err(|error| error.to_string());
    vec![finding, room::judge("state's disk", &room)]
}

/// What the gateway says.
pub(super) struct Gateway {
    pub finding: Finding,
    /// As it sees them; `None` if there is no gateway to ask.
    pub nodes: Option<Vec<NodeStatus>>,
}

/// Asks the gateway, which is started if none is running, as by any redirected command.
pub(super) async fn gateway() -> Gateway {
    let answer = ask_gateway().await;
    let (asked, nodes) = match answer {
        Ok((status, was_running, nodes)) => (Ok((status, was_running)), Some(nodes)),
        Err(error) => (Err(error.to_string()), None),
    };
    Gateway { finding: judge_gateway(asked), nodes }
}

async fn ask_gateway() -> Result<(protocol::Status, bool, Vec<NodeStatus>), Error> {
    let state = StateDirectory::locate()?;
    let client = Client::new(&state)?;
    match client.status().await {
        Ok(status) => Ok((status, true, client.nodes().await?)),
        Err(Error::NotRunning { .. }) => {
            let client = Client::starting(&state)?;
            Ok((client.status().await?, false, client.nodes().await?))
        }
        Err(error) => Err(error),
    }
}

fn judge_gateway(asked: Result<(protocol::Status, bool), String>) -> Finding {
    const CHECK: &str = "gateway";
    let (status, was_running) = match asked {
        Ok(asked) => asked,
        Err(reason) => {
            let advice = "see gateway.log in the state directory";
            return Finding::failed(CHECK, reason, advice);
        }
    };
    let protocol::Status { pid, version, .. } = &status;
    let how = if was_running { "runs" } else { "was started just now, and leaves when idle" };
    let found = format!("process {pid}, version {version}, {how}");
    if let Some(problem) = &status.journal_problem {
        let advice = "make room on the disk of the state directory; jobs wait until then";
        return Finding::failed(CHECK, format!("{found}; journal: {problem}"), advice);
    }
    if version != env!("CARGO_PKG_VERSION") {
        let found = format!("{found}; this program is {}", env!("CARGO_PKG_VERSION"));
        let advice = "'redirector stop' when no job runs: the next command starts the new one";
        return Finding::warning(CHECK, found, advice);
    }
    Finding::ok(CHECK, found)
}

/// Judges what the gateway says of the node `name`, if it was asked.
pub(super) fn seen_by_gateway(name: &str, nodes: Option<&[NodeStatus]>) -> Option<Finding> {
    const CHECK: &str = "gateway's view";
    let Some(node) = nodes?.iter().find(|node| node.node == name) else {
        let advice = "'redirector nodes reload' has it read redirector.toml again, 'redirector \
                      nodes add' adds a host that is not there";
        return Some(Finding::warning(CHECK, "the gateway does not know this host", advice));
    };
    let problem = node.problem.as_deref().unwrap_or(node.state.word());
    Some(match node.state {
        NodeState::Up | NodeState::Connecting => Finding::ok(CHECK, node.state.word()),
        NodeState::Draining => Finding::warning(
            CHECK,
            "draining: no jobs are started there",
            format!("'redirector nodes resume {name}'"),
        ),
        NodeState::Unreachable | NodeState::Lost => Finding::warning(
            CHECK,
            format!("{}: {problem}", node.state.word()),
            "it tries again by itself every half minute or sooner",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doctor::Verdict,
        model::{Resources, Timestamp},
        place,
    };

    fn status() -> protocol::Status {
        protocol::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: 7,
            state_directory: "/state".to_owned(),
            started: Timestamp::now(),
            embedded: true,
            node: place::host_name(),
            capacity: Resources::NONE,
            queued: 0,
            running: 0,
            journal_problem: None,
        }
    }

    #[test]
    fn a_gateway_has_to_be_of_this_version_and_able_to_write() {
        let judge = |status| judge_gateway(Ok((status, true)));
        assert_eq!(judge(status()).verdict, Verdict::Ok);
        let other = protocol::Status { version: "0.0.0".to_owned(), ..status() };
        assert_eq!(judge(other).verdict, Verdict::Warning);
        let full = protocol::Status { journal_problem: Some("full".to_owned()), ..status() };
        assert_eq!(judge(full).verdict, Verdict::Failed);
        assert_eq!(judge_gateway(Err("no".to_owned())).verdict, Verdict::Failed);
    }

    #[test]
    fn a_library_is_loaded_or_not() {
        let maps = b"7f00-7f01 r-xp 00000000 00:1f 7 /opt/lib/libshim.so\n";
        assert_eq!(judge_shim("/opt/lib/libshim.so", maps, "").verdict, Verdict::Ok);
        let complaint = "ERROR: ld.so: object cannot be preloaded (wrong ELF class): ignored.";
        let finding = judge_shim("/opt/lib/libshim.so", b"", complaint);
        assert_eq!(finding.verdict, Verdict::Failed);
        assert!(finding.found.contains("wrong ELF class"));
    }

    #[test]
    fn what_the_gateway_says_of_a_host_is_repeated() {
        let node = |state| NodeStatus {
            node: "h1".to_owned(),
            state,
            address: None,
            problem: Some("cut".to_owned()),
            since: None,
            tags: Vec::new(),
            max_jobs: None,
            running: 0,
            pools: Vec::new(),
        };
        let verdict = |state| seen_by_gateway("h1", Some(&[node(state)])).unwrap().verdict;
        assert_eq!(verdict(NodeState::Up), Verdict::Ok);
        assert_eq!(verdict(NodeState::Draining), Verdict::Warning);
        assert_eq!(verdict(NodeState::Unreachable), Verdict::Warning);
        let unknown = seen_by_gateway("h2", Some(&[node(NodeState::Up)])).unwrap();
        assert_eq!(unknown.verdict, Verdict::Warning);
        assert_eq!(seen_by_gateway("h1", None), None);
    }
}
