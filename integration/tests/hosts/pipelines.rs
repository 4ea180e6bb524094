//! Unmodified pipelines whose commands run on three hosts: every byte of their results is the same
//! as without a redirector.

use std::collections::BTreeSet;

use integration::{HostFiles, HostSettings, Lab, Pipeline, Way, assert_same_files};

use crate::cluster::Cluster;

#[test]
fn bash() {
    compare(Pipeline::Bash, Way::Preloaded);
}

#[test]
fn snakemake() {
    compare(Pipeline::Snakemake, Way::Run);
}

/// Every rule that makes jobs asks for a host of the lab.
fn whitelist() -> String {
    let is_rule = |line: &&str| !line.is_empty() && !line.starts_with(['#', '!']);
    let with_tag = |line: &str| {
        if is_rule(&line) { format!("{line} tags=lab\n") } else { format!("{line}\n") }
    };
    Pipeline::whitelist().lines().map(with_tag).collect()
}

fn compare(pipeline: Pipeline, way: Way) {
    if !pipeline.is_installed() {
        return;
    }
    let Some(lab) = Lab::start(3, HostFiles::Shared) else { return };
    let settings = HostSettings { cpus: 1, ..HostSettings::default() };
    let cluster = Cluster::of(lab, &whitelist(), &settings);
    let session = cluster.session();
    let data = session.directory().join("data");
    Pipeline::make_data(session, &data);
    let plain = pipeline.run(session, Way::Plain, &data, &session.directory().join("plain"));
    cluster.wait_until_up(&["h1", "h2", "h3"]);
    let redirected = pipeline.run(session, way, &data, &session.directory().join("redirected"));

    let what = format!("the {pipeline:?} pipeline, {way:?}");
    assert_same_files(&what, &plain.files, &redirected.files);
    assert_eq!(plain.verdict.stdout, redirected.verdict.stdout, "{what}: check.sh");
    Pipeline::assert_jobs(&what, session);
    let jobs = session.commands();
    let hosts: BTreeSet<_> = jobs.iter().map(|job| job.node.as_deref()).collect();
    let all = BTreeSet::from(["h1", "h2", "h3"].map(Some));
    assert_eq!(hosts, all, "{what}: on the hosts, and on each of them");
}
