//! Unmodified pipelines whose commands run on hosts, with the pipeline's files or without: every
//! byte of their results is the same as without a redirector.

use std::collections::BTreeSet;

use integration::{HostFiles, HostSettings, Lab, Pipeline, Way, assert_same_files};

use crate::cluster::Cluster;

#[test]
fn bash() {
    on_three_hosts(Pipeline::Bash, Way::Preloaded);
}

#[test]
fn snakemake() {
    on_three_hosts(Pipeline::Snakemake, Way::Run);
}

#[test]
fn bash_on_a_host_without_its_files() {
    on_a_host_without_files(Pipeline::Bash, Way::Preloaded);
}

#[test]
fn snakemake_on_a_host_without_its_files() {
    on_a_host_without_files(Pipeline::Snakemake, Way::Run);
}

/// Every rule that makes jobs asks for a host of the lab.
fn whitelist() -> String {
    let is_rule = |line: &&str| !line.is_empty() && !line.starts_with(['#', '!']);
    let with_tag = |line: &str| {
        if is_rule(&line) { format!("{line} tags=lab\n") } else { format!("{line}\n") }
    };
    Pipeline::whitelist().lines().map(with_tag).collect()
}

fn on_three_hosts(pipeline: Pipeline, way: Way) {
    if !pipeline.is_installed() {
        return;
    }
    let Some(lab) = Lab::start(3, HostFiles::Shared) else { return };
    let settings = HostSettings { cpus: 1, ..HostSettings::default() };
    let cluster = Cluster::of(lab, &whitelist(), &settings);
    compare(pipeline, way, &cluster, &["h1", "h2", "h3"]);
}

/// What each command reads is copied there, and what it makes is brought back.
fn on_a_host_without_files(pipeline: Pipeline, way: Way) {
    if !pipeline.is_installed() {
        return;
    }
    let settings = HostSettings { each: "stage = true", ..HostSettings::default() };
    let Some(cluster) = Cluster::without_files(1, &whitelist(), &settings) else { return };
    compare(pipeline, way, &cluster, &["h1"]);
    let directory = cluster.session().directory();
    let seen =
        cluster.lab.on("h1", "sh", &["-c", &format!("ls -d {} || true", directory.display())]);
    assert_eq!(seen.text(), "", "the host has none of the files");
}

fn compare(pipeline: Pipeline, way: Way, cluster: &Cluster, hosts: &[&str]) {
    let session = cluster.session();
    let data = session.directory().join("data");
    Pipeline::make_data(session, &data);
    let plain = pipeline.run(session, Way::Plain, &data, &session.directory().join("plain"));
    cluster.wait_until_up(hosts);
    let redirected = pipeline.run(session, way, &data, &session.directory().join("redirected"));

    let what = format!("the {pipeline:?} pipeline, {way:?}");
    assert_same_files(&what, &plain.files, &redirected.files);
    assert_eq!(plain.verdict.stdout, redirected.verdict.stdout, "{what}: check.sh");
    Pipeline::assert_jobs(&what, session);
    let jobs = session.commands();
    let used: BTreeSet<_> = jobs.iter().map(|job| job.node.as_deref()).collect();
    let all = hosts.iter().map(|host| Some(*host)).collect();
    assert_eq!(used, all, "{what}: on the hosts, and on each of them");
}
