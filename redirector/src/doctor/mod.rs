//! `redirector doctor`: what is wrong with this computer and with the hosts, and what to do.
//!
//! ```text
//!   [`here`]  configuration, whitelists, libshim.so, state directory, gateway
//!   [`pool`]  one each, after the hosts: its engine, and a probe job through the gateway
//!   [`host`]  one each, all at the same time:
//!               ssh ══ link ── /v1/orders:  what it has, where programs are, as for jobs
//!                           └─ /v1/examine: everything else ([`crate::agent::examine`])
//!               facts ─► [`Finding`]s: pure functions beside the facts that they judge
//! ```
//!
//! It logs in by itself and has an agent of its own on each host, which leaves with it: what the
//! gateway has on the hosts is left alone, and no gateway is needed for them.

mod conversation;
mod directory;
mod finding;
mod here;
mod host;
mod link;
mod log_in;
mod pool;
mod programs;
mod room;
mod whitelists;

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::PathBuf, rc::Rc, sync::Arc};

use nix::fcntl::{Flock, FlockArg};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, LocalSet},
};

pub use self::finding::{Checkup, Finding, Verdict};
use self::{directory::Probe, host::Visit, programs::Program};
use crate::{
    config::{Config, Host, ListedHost, Pool},
    model::Text,
    place::{self, StateDirectory},
    random,
};

/// Hosts that are looked at at the same time: each is an ssh, which costs time to start.
const AT_ONCE: usize = 16;

/// What is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// These hosts and pools; all that are configured if none is named.
    pub hosts: Vec<ListedHost>,
    /// Whether each whitelisted program is run with `--version`.
    pub versions: bool,
}

/// Looks at this computer and then at the hosts; this computer's result comes first.
pub async fn examine(wishes: Wishes) -> Vec<Checkup> {
    let config = Config::load();
    let mut own = here::examine(&config);
    let whitelists = whitelists::read(place::whitelists());
    own.extend(whitelists.findings);
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    own.push(room::of_directory(&directory));
    let programs = programs::look_here(whitelists.programs, wishes.versions).await;
    own.extend(programs::judge_here(&programs));
    let (mut hosts, mut pools) = (Vec::new(), Vec::new());
    if let Ok(config) = &config {
        let (wanted_hosts, wanted_pools) = chosen(config, wishes.hosts);
        hosts = look_at_hosts(config, wanted_hosts, wishes.versions, programs, directory).await;
        pools = wanted_pools;
    }
    // Last: a gateway that starts logs in to the hosts as well.
    let gateway = here::gateway().await;
    own.push(gateway.finding);
    for checkup in &mut hosts {
        checkup.findings.extend(here::seen_by_gateway(&checkup.computer, gateway.nodes.as_deref()));
    }
    let mut checkups = vec![Checkup { computer: place::host_name(), address: None, findings: own }];
    checkups.append(&mut hosts);
    for pool in pools {
        checkups.push(pool::examine(pool).await);
    }
    checkups
}

async fn look_at_hosts(
    config: &Config,
    hosts: Vec<(Host, bool)>,
    versions: bool,
    programs: Vec<Program>,
    directory: PathBuf,
) -> Vec<Checkup> {
    if hosts.is_empty() {
        return Vec::new();
    }
    let name = AgentName::new();
    let visit = Rc::new(Visit {
        ssh: config.ssh.clone(),
        agent: name.name.clone(),
        probe: Probe::make(directory),
        programs,
        versions,
        environment: std::env::vars_os().map(entry).collect(),
    });
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let here = LocalSet::new();
    let mut results: Vec<_> = here
        .run_until(async {
            let mut tasks = JoinSet::new();
            for (index, (host, is_configured)) in hosts.into_iter().enumerate() {
                let (visit, room) = (Rc::clone(&visit), Arc::clone(&room));
                tasks.spawn_local(async move {
                    // Never closed, so that there is always one to be had.
                    let _permit = room.acquire_owned().await;
                    (index, host::examine(&visit, host, is_configured).await)
                });
            }
            tasks.join_all().await
        })
        .await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, checkup)| checkup).collect()
}

fn entry((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Text {
    Text([name.as_encoded_bytes(), b"=", value.as_encoded_bytes()].concat())
}

/// The hosts to look at, with whether each is configured, and the pools. A host that is not configured
/// is looked at as `redirector nodes add` would take it.
fn chosen(config: &Config, wanted: Vec<ListedHost>) -> (Vec<(Host, bool)>, Vec<&Pool>) {
    if wanted.is_empty() {
        let hosts = config.hosts.iter().map(|host| (host.clone(), true)).collect();
        return (hosts, config.pools.iter().collect());
    }
    let (mut hosts, mut pools) = (Vec::new(), Vec::new());
    for listed in wanted {
        if let Some(pool) = config.pools.iter().find(|pool| pool.name == listed.name.0) {
            pools.push(pool);
            continue;
        }
        hosts.push(match config.hosts.iter().find(|it| it.name == listed.name) {
            Some(host) => {
                let mut host = host.clone();
                listed.set(&mut host);
                (host, true)
            }
            None => (Host::from(listed), false),
        });
    }
    (hosts, pools)
}

/// What the agents of a doctor are called: the same each time, so that their directories on the
/// hosts do not become ever more.
struct AgentName {
    name: String,
    /// A second doctor of that name would take the first one's links away.
    _lock: Option<Flock<std::fs::File>>,
}

impl AgentName {
    fn new() -> Self {
        let locked = StateDirectory::locate().ok().and_then(|state| {
            let mut options = OpenOptions::new();
            let file = options.create(true).truncate(false).write(true).mode(0o600);
            let file = file.open(state.doctor_lock()).ok()?;
            let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
            let place = format!("{}\0{}", place::host_name(), state.path().display());
            Some((lock, random::hex(&blake3::hash(place.as_bytes()).as_bytes()[..8])))
        });
        let (lock, name) = match locked {
            Some((lock, name)) => (Some(lock), name),
            // One more directory there is better than two doctors of one name.
            None => (None, random::hex(&random::bytes::<8>())),
        };
        Self { name: format!("doctor-{name}"), _lock: lock }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Engine, PoolMode, parse_host_list};

    #[test]
    fn hosts_and_pools_are_those_of_the_configuration_unless_some_are_named() {
        let mut big = Host::from(parse_host_list("ann@big").unwrap().remove(0));
        big.stage = true;
        let small = Host::from(parse_host_list("small").unwrap().remove(0));
        let engine = Engine::Slurm { rest: None };
        let config = Config {
            hosts: vec![big.clone(), small],
            pools: vec![Pool::minimal("long", engine, PoolMode::PerJob)],
            ..Config::default()
        };
        let counts = |text: &str| {
            let wanted = if text.is_empty() { Vec::new() } else { parse_host_list(text).unwrap() };
            let (hosts, pools) = chosen(&config, wanted);
            (hosts.len(), pools.len())
        };
        assert_eq!([counts(""), counts("long"), counts("long,small")], [(2, 1), (0, 1), (1, 1)]);
        let (found, _) = chosen(&config, parse_host_list("big,ann@new:22").unwrap());
        assert_eq!(found[0], (big, true));
        assert_eq!((found[1].0.address.as_str(), found[1].1), ("ann@new:22", false));
    }
}
