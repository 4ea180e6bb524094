//! What an engine, its site or this computer does not give: the person reads their own words, with the
//! job and the rule, and the command ends with the status of a system that fails.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use integration::{EngineLab, Session, Way};

use crate::pools::{PER_JOB, PILOT, assert_nothing_left};

/// Exit status for "the system failed, not your command".
const SYSTEM_FAILURE: Option<i32> = Some(125);

/// A session whose rule asks for a pool `q`, the engine's programs of which have further variables.
fn session(lab: &EngineLab, variables: &[(&str, &str)], settings: &str) -> Session {
    let session = Session::on_engine(lab, "sleep pool=q\n", PER_JOB);
    let own = lab.variables();
    let all = own.iter().map(|(name, value)| (*name, &**value)).chain(variables.iter().copied());
    let all: Vec<_> = all.map(|(name, value)| format!("{name} = {value:?}")).collect();
    session.append_configuration(&format!(
        "[[pools]]\nname = \"q\"\nengine = \"{}\"\nengine_env = {{ {} }}\n{settings}\n",
        lab.engine(),
        all.join(", ")
    ));
    session
}

/// What Slurm says of a job that asks for more time than its partition allows depends on when it is
/// asked: `PartitionTimeLimit`, or as for any other limit, `PartitionConfig`. Both are told with this.
const BEYOND_PARTITION: &str = "partition allows";

/// Demands that `sleep 600` is refused in these words, which are the engine's or its site's.
#[track_caller]
fn assert_refused(session: &Session, words: &[&str]) {
    let done = session.bash(Way::Preloaded, "/bin/sleep 600");
    assert_eq!(done.status.code(), SYSTEM_FAILURE, "{done}");
    let said = done.complaint();
    let jobs = session.commands();
    let job = &jobs[0];
    assert_eq!(job.ending(), "refused", "{job:?}");
    let label = format!("job {} ('sleep') (rule 'sleep', ", job.id);
    let whitelist = session.whitelist();
    for part in [&label, whitelist.to_str().expect("UTF-8")].iter().chain(words) {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let explained = session.ask(["explain", &job.id.to_string()]).text();
    assert!(words.iter().all(|word| explained.contains(word)), "{explained}");
}

#[test]
fn an_engine_whose_programs_are_missing() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    for mode in [PER_JOB, PILOT] {
        let session = session(&lab, &[("PATH", "/nowhere")], mode);
        assert_refused(&session, &["'sbatch'", "slurm-client", "engine_env"]);
    }
}

#[test]
fn more_than_any_node_has() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2", "--mem", "1000"]) else { return };
    lab.client("scontrol", &["create", "PartitionName=short", "Nodes=ALL", "MaxTime=1"]);
    for (asked, settings, words) in [
        ("cpus=64", "", "PartitionConfig"),
        ("mem=1T", "", "configuration is not available"),
        ("time=1h", "partition = \"short\"", BEYOND_PARTITION),
    ] {
        let session = session(&lab, &[], &format!("{PER_JOB}\n{settings}"));
        fs::write(session.whitelist(), format!("sleep pool=q {asked}\n")).expect("it is there");
        assert_refused(&session, &[words]);
        assert_nothing_left(&lab);
    }
}

/// Slurm's own plugin for sites' filters.
const FILTER: &str = r#"
function slurm_job_submit(job, partitions, user)
    if job.partition == "closed" then
        slurm.log_user("closed until Monday, ask helpdesk@site")
        return slurm.ERROR
    end
    if job.partition == "elsewhere" then
        slurm.log_user("your job goes to partition main, for 5 minutes")
        job.partition = "main"
        job.time_limit = 5
    end
    return slurm.SUCCESS
end
function slurm_job_modify(job, record, partitions, user)
    return slurm.SUCCESS
end
"#;

fn with_filter() -> Option<EngineLab> {
    let lab = EngineLab::slurm(1, &["--cpus", "2"])?;
    lab.fault(&["stop-controller"]);
    let configuration = lab.state().join("slurm.conf");
    fs::write(configuration.with_file_name("job_submit.lua"), FILTER).expect("it is the lab's");
    let text = fs::read_to_string(&configuration).expect("the lab wrote it");
    fs::write(&configuration, format!("JobSubmitPlugins=lua\n{text}")).expect("as above");
    lab.fault(&["start-controller"]);
    Some(lab)
}

#[test]
fn a_filter_of_the_site_that_refuses() {
    let Some(lab) = with_filter() else { return };
    for mode in [PER_JOB, PILOT] {
        let session = session(&lab, &[], &format!("{mode}\npartition = \"closed\""));
        assert_refused(&session, &["closed until Monday, ask helpdesk@site"]);
    }
    assert_nothing_left(&lab);
}

/// What writes its text to standard output does so before the id.
#[test]
fn a_filter_of_the_site_that_changes_the_job_and_says_so() {
    let Some(lab) = with_filter() else { return };
    let directory = lab.directory().join("site");
    fs::create_dir(&directory).expect("a directory of this test");
    let real = integration::find_program("sbatch").expect("Slurm is installed");
    let wrapper = "echo Welcome to the cluster, 42 nodes are free";
    write_program(&directory.join("sbatch"), wrapper, &real);
    let path = std::env::var("PATH").expect("there is one");
    let path = format!("{}:{path}", directory.display());
    for variables in [vec![], vec![("PATH", &*path)]] {
        let session = session(&lab, &variables, &format!("{PER_JOB}\npartition = \"elsewhere\""));
        session.bash(Way::Preloaded, "/bin/sleep 0.1").expect_success("sleep");
        assert_eq!(session.commands()[0].ending(), "exited(0)");
        assert_nothing_left(&lab);
    }
}

fn write_program(file: &Path, says: &str, real: &Path) {
    let script = format!("#!/bin/sh\n{says}\nexec '{}' \"$@\"\n", real.display());
    fs::write(file, script).expect("a directory of this test");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("just written");
}

/// By Slurm's own accounting daemon, which enforces associations.
#[test]
fn an_account_that_is_not_the_users() {
    let options = ["--accounting", "--set", "AccountingStorageEnforce=associations"];
    let Some(lab) = EngineLab::slurm(1, &options) else { return };
    let session = session(&lab, &[], &format!("{PER_JOB}\naccount = \"nobody\""));
    assert_refused(&session, &["Invalid account or account/partition combination specified"]);
    assert_nothing_left(&lab);
}
