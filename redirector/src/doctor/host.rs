//! All that is looked at on a host.

use super::{
    Checkup, Finding,
    conversation::{Conversation, Error, Greeting},
    directory::{self, Probe},
    link, log_in,
    programs::{self, Found, Program},
    room,
};
use crate::{
    agent::{
        examine::{Computer, Ran},
        protocol,
    },
    config::{Host, Ssh, format_bytes, format_duration},
    model::Text,
    node::{self, mapping::Mapping},
};

/// What all hosts are looked at with.
pub(super) struct Visit {
    /// How they are reached.
    pub ssh: Ssh,
    /// What their agents are called.
    pub agent: String,
    /// The file by which the working directory is told.
    pub probe: Probe,
    /// The whitelisted programs.
    pub programs: Vec<Program>,
    /// Whether they are asked for their versions.
    pub versions: bool,
    /// This process's environment, which a job would have.
    pub environment: Vec<Text>,
}

/// Looks at `host`.
pub(super) async fn examine(visit: &Visit, host: Host, is_configured: bool) -> Checkup {
    let mut findings = Vec::new();
    if !is_configured {
        findings.push(Finding::warning(
            "configuration",
            "it is not among the hosts of redirector.toml; looked at with default settings",
            format!(
                "'redirector nodes add {}' adds it for now, a line in redirector.toml for good",
                host.address
            ),
        ));
    }
    match Conversation::begin(&host, &visit.ssh, &visit.agent).await {
        Ok((mut conversation, greeting)) => {
            findings.extend(look(visit, &host, greeting, &mut conversation).await);
            conversation.end().await;
        }
        Err(Error::LogIn(problem)) => findings.push(log_in::of_problem(&host.address, &problem)),
        Err(Error::Agent(reason)) => findings.push(Finding::failed(
            "agent",
            reason,
            "see agent.log below /tmp/redirector-UID there",
        )),
    }
    Checkup { computer: host.name.0, address: Some(host.address), findings }
}

async fn look(
    visit: &Visit,
    host: &Host,
    greeting: Greeting,
    conversation: &mut Conversation,
) -> Vec<Finding> {
    let mapping = Mapping::of(host);
    let here = Text::from(visit.probe.directory().to_owned());
    let there = mapping.directory(&here);
    let environment = mapping.environment(&visit.environment);
    let mut findings = vec![log_in::judge(greeting.took, greeting.copied_to.as_deref())];
    findings.extend(link::judge(&conversation.ping().await));
    let computer = conversation.computer(there.clone()).await;
    findings.extend(computer.as_ref().map(judge_agent));
    findings.extend(greeting.facts.map(|facts| judge_resources(&facts, host)));

    let names = visit.programs.iter().flat_map(|it| programs::names_there(it, &mapping));
    let probe = protocol::Probe { programs: names.collect(), directories: vec![there.clone()] };
    match conversation.probe(probe).await {
        Ok(probed) => {
            let found = probed.directories.first().copied().flatten();
            let facts =
                directory::look(&visit.probe, host, there.clone(), found, conversation).await;
            findings.push(directory::judge(&facts));
            findings.extend(of_computer(&computer));
            findings.extend(setup(host, &there, &environment, conversation).await);
            let mut found: Vec<_> = probed.programs.chunks(2).map(first).collect();
            if visit.versions {
                programs::ask_versions(&mut found, &environment, conversation).await;
            }
            let both = visit.programs.iter().zip(&found);
            findings.extend(both.filter_map(|(it, there)| programs::judge(it, there.as_ref())));
        }
        Err(reason) => {
            findings.extend(of_computer(&computer));
            findings.push(Finding::failed("directory", reason, "see whether 'df' hangs there"));
        }
    }
    findings
}

/// The first of the names of a program that there is.
fn first(names: &[Option<Text>]) -> Option<Found> {
    names.iter().flatten().next().map(|path| Found { path: path.clone(), version: None })
}

fn of_computer(computer: &Result<Computer, String>) -> Vec<Finding> {
    match computer {
        Ok(computer) => room::of_host(computer),
        Err(reason) => {
            vec![Finding::failed("disk", reason.clone(), "see whether 'df' hangs there")]
        }
    }
}

fn judge_agent(computer: &Computer) -> Finding {
    let Computer { system, version, program, .. } = computer;
    let found = format!("{system}, version {version} in {}", program.to_string_lossy());
    if version == env!("CARGO_PKG_VERSION") {
        return Finding::ok("agent", found);
    }
    Finding::warning("agent", found, "wait until it has no jobs any more: then it is replaced")
}

/// Judges what the host has, by what a person says that jobs may have of it.
fn judge_resources(found: &node::Facts, host: &Host) -> Finding {
    let resources = found.resources();
    let (cpus, mem) = (resources.cpus, resources.mem);
    let text = format!("{cpus} cpus, {} memory", format_bytes(mem));
    let mut given = found.clone();
    given.override_with(host);
    let given = given.resources();
    let for_jobs = format!("{} cpus, {} for jobs", given.cpus, format_bytes(given.mem));
    if given.cpus > cpus || given.mem > mem {
        return Finding::warning(
            "resources",
            format!("{text}, but {for_jobs}"),
            "correct 'cpus' and 'mem' of this host, unless its jobs are to share them",
        );
    }
    Finding::ok("resources", format!("{text}; {for_jobs}"))
}

async fn setup(
    host: &Host,
    there: &Text,
    environment: &[Text],
    conversation: &mut Conversation,
) -> Option<Finding> {
    let lines = host.setup.clone()?;
    Some(judge_setup(&conversation.setup(lines, there.clone(), environment.to_vec()).await))
}

/// Judges how the lines fared that prepare a host for a command.
fn judge_setup(ran: &Result<Ran, String>) -> Finding {
    const ADVICE: &str = "correct 'setup' of this host: no command is started there as it is";
    let ran = match ran {
        Ok(ran) => ran,
        Err(reason) => return Finding::failed("setup", reason.clone(), ADVICE),
    };
    let took = format_duration(std::time::Duration::from_millis(ran.milliseconds));
    let said = match (ran.complaint.trim(), ran.output.trim()) {
        ("", "") => "it wrote nothing",
        ("", output) => output,
        (complaint, _) => complaint,
    };
    match &ran.status {
        Some(_) if ran.is_success => Finding::ok("setup", format!("ran in {took}")),
        Some(status) => Finding::failed("setup", format!("{status} after {took}: {said}"), ADVICE),
        None => Finding::failed("setup", format!("not done after {took}: {said}"), ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{self, parse_host_list},
        doctor::Verdict,
        model::Amount,
    };

    #[test]
    fn a_setup_is_judged_by_its_end_and_what_it_said() {
        let ran = |status: Option<&str>, is_success, complaint: &str| {
            judge_setup(&Ok(Ran {
                status: status.map(str::to_owned),
                is_success,
                milliseconds: 1500,
                output: "loading".to_owned(),
                complaint: complaint.to_owned(),
            }))
        };
        let good = ran(Some("exit status: 0"), true, "warning");
        assert_eq!((good.verdict, &*good.found), (Verdict::Ok, "ran in 1.5s"));
        let bad = ran(Some("exit status: 1"), false, "no such module\n");
        assert_eq!(
            (bad.verdict, &*bad.found),
            (Verdict::Failed, "exit status: 1 after 1.5s: no such module")
        );
        let slow = ran(None, false, "");
        assert_eq!((slow.verdict, &*slow.found), (Verdict::Failed, "not done after 1.5s: loading"));
        assert_eq!(judge_setup(&Err("gone".to_owned())).verdict, Verdict::Failed);
    }

    #[test]
    fn more_is_not_given_out_than_there_is() {
        let mut settings = config::Config::default().node;
        settings.cpus.value = Some(Amount::whole(4));
        settings.mem.value = Some(8 << 30);
        let facts = node::Facts::detect(&settings);
        let mut host = Host::from(parse_host_list("h1").unwrap().remove(0));
        let finding = judge_resources(&facts, &host);
        assert_eq!(
            (finding.verdict, &*finding.found),
            (Verdict::Ok, "4 cpus, 8G memory; 4 cpus, 8G for jobs")
        );
        host.cpus = Some(Amount::whole(2));
        assert_eq!(judge_resources(&facts, &host).verdict, Verdict::Ok);
        host.cpus = Some(Amount::whole(5));
        assert_eq!(judge_resources(&facts, &host).verdict, Verdict::Warning);
    }

    #[test]
    fn a_program_is_where_the_gateway_finds_it_first() {
        let [path, name] = ["/opt/bwa", "/usr/bin/bwa"].map(Text::from);
        let found = first(&[Some(path.clone()), Some(name.clone())]).unwrap();
        assert_eq!(found.path, path);
        assert_eq!(first(&[None, Some(name.clone())]).unwrap().path, name);
        assert_eq!(first(&[None, None]), None);
    }
}
