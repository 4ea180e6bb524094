//! Options of rules reach the engine, and a job goes on to the next pool of its list when one
//! refuses it for good; each step is told.

use integration::{EngineLab, Job, Session, Way};

use crate::{
    pools::{PER_JOB, PILOT, assert_nothing_left, listed},
    pools_faults::{begin_script, wait_for, wait_until},
};

/// What makes a Slurm refuse all, with the words in which it does.
const NOWHERE: &str = "partition = \"nowhere\"";
const NO_PARTITION: &str = "invalid partition specified: nowhere";

/// Nothing starts, and nothing is refused.
const HELD: &str = "arguments = [\"--hold\"]";

/// What of a pool makes it refuse all jobs.
fn refusing(mode: &str) -> String {
    format!("{mode}\n{NOWHERE}")
}

/// A session with the pool `p`, and another one, `q`, of mode `per_job`.
fn with_two_pools(lab: &EngineLab, whitelist: &str, of_p: &str, of_q: &str) -> Session {
    let session = Session::on_engine(lab, whitelist, of_p);
    let variables = lab.variables();
    let variables = variables.iter().map(|(name, value)| format!("{name} = {value:?}, "));
    let (engine, variables) = (lab.engine(), variables.collect::<String>());
    session.append_configuration(&format!(
        "[[pools]]\nname = \"q\"\nengine = \"{engine}\"\nengine_env = {{ {variables} }}\n{PER_JOB}\n{of_q}\n"
    ));
    session
}

/// The only job of a rule with this program.
#[track_caller]
fn only(session: &Session, program: &str) -> Job {
    let mut jobs = session.commands().into_iter().filter(|job| job.argv[0].ends_with(program));
    let job = jobs.next().unwrap_or_else(|| panic!("no job of {program}"));
    assert!(jobs.next().is_none(), "several jobs of {program}");
    job
}

#[track_caller]
fn assert_has_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no '{part}' in:\n{text}");
    }
}

#[test]
fn options_of_a_rule_go_over_those_of_its_pool() {
    let Some(lab) = EngineLab::slurm(1, &["--set", "Licenses=matlab:2"]) else { return };
    lab.client("scontrol", &["create", "PartitionName=extra", "Nodes=ALL", "State=UP"]);
    let whitelist = "seq pool=p\n\
                     true pool=p partition=extra licenses=matlab:1 arguments=--nice=7\n";
    let session = Session::on_engine(
        &lab,
        whitelist,
        &format!("{PER_JOB}\npartition = \"main\"\narguments = [\"--nice=3\"]"),
    );
    session.bash(Way::Preloaded, "/bin/true; seq 1").expect_success("both");
    let option = "--engine-option=partition=extra";
    let submit = ["submit", "--wait", "--pool=p", option, "--", "/bin/echo"];
    session.ask(submit).expect_success("submit");
    let told = lab.client("scontrol", &["show", "jobs"]).text();
    let of = |name: &str| {
        let is_it = |job: &&str| job.lines().any(|line| line.ends_with(&format!(".{name}")));
        let job = told.split("\n\n").find(is_it);
        job.unwrap_or_else(|| panic!("no {name} in:\n{told}")).to_owned()
    };
    assert_has_all(&of("true"), &["Partition=extra", "Licenses=matlab:1", "Nice=7"]);
    assert_has_all(&of("seq"), &["Partition=main", "Licenses=(null)", "Nice=3"]);
    assert_has_all(&of("echo"), &["Partition=extra", "Nice=3"]);
    let rule = "pool=p partition=extra licenses=matlab:1 arguments=--nice=7";
    let shown = session.ask(["show", &only(&session, "true").id.to_string()]).text();
    assert_has_all(&shown, &[rule]);
    let explained = session.ask(["whitelist", "explain", "--", "/bin/true"]).text();
    assert_has_all(&explained, &[rule]);
    assert_nothing_left(&lab);
}

#[test]
fn what_the_first_pool_refuses_runs_in_the_next_or_here() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let whitelist = "seq pool=p,q\nwc pool=p,local\n";
    let session = with_two_pools(&lab, whitelist, &refusing(PER_JOB), "");
    let done = session.bash(Way::Preloaded, "seq 3 | wc -l").expect_success("the pipe");
    assert_eq!(done.text(), "3\n");
    let file = session.whitelist().display().to_string();
    let said = done.complaint();
    assert_has_all(
        &said,
        &[
            NO_PARTITION,
            &format!("'seq', rule 'seq' in {file}:1): pool 'p' refused it: "),
            "; it waits in pool 'q'",
            &format!("'wc', rule 'wc' in {file}:2): pool 'p' refused it: "),
            "; it waits for the gateway's own node ('local')",
        ],
    );
    let (seq, wc) = (only(&session, "seq"), only(&session, "wc"));
    assert!(seq.node.as_deref().is_some_and(|node| node.starts_with("q-")), "{seq:?}");
    assert_eq!(wc.node.as_deref(), Some(&*session.nodes()[0].node), "the gateway's own");
    let log = std::fs::read_to_string(session.state().join("gateway.log")).expect("its log");
    assert_has_all(&log, &["pool 'p' refused it: ", NO_PARTITION]);
    let lines = session.ask(["logs", "--lines", &seq.id.to_string()]).text();
    assert_has_all(&lines, &["pool 'p' refused it: ", NO_PARTITION]);

    let submit = ["submit", "--wait", "--pool=p,local", "--", "/bin/true"];
    session.ask(submit).expect_success("submit");
    let submitted = session.jobs().into_iter().find(|job| job.argv == ["/bin/true"]);
    assert_eq!(submitted.expect("it was accepted").node, wc.node);
    assert_nothing_left(&lab);
}

#[test]
fn a_job_that_all_its_pools_refuse_has_the_words_of_each() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let whitelist = "seq pool=p,q,other\ntrue pool=q,local cpus=64\n";
    let session = with_two_pools(&lab, whitelist, &refusing(PER_JOB), "constraint = \"strange\"");
    for (command, parts) in [
        (
            "seq 3",
            [
                &format!("pool 'p' refused it: sbatch: error: {NO_PARTITION}")[..],
                "; pool 'q' refused it: sbatch: error: ",
                "; pool 'other' refused it: redirector.toml has no pool of this name",
                "rule 'seq' in ",
            ],
        ),
        (
            "true",
            [
                "pool 'q' refused it: sbatch: error: ",
                "Invalid feature specification",
                "; the gateway's own node ('local') refused it: ",
                "rule 'true' in ",
            ],
        ),
    ] {
        let done = session.bash(Way::Preloaded, &format!("/usr/bin/env {command}"));
        assert_eq!(done.status.code(), Some(125), "{done}");
        let said = done.complaint();
        let last = said.lines().find(|line| line.contains("no pool of its list takes it"));
        let last = last.unwrap_or_else(|| panic!("no last word in:\n{said}"));
        assert_has_all(last, &parts);
    }
    for job in session.commands() {
        assert_eq!(job.ending(), "refused", "{job:?}");
    }
    assert_nothing_left(&lab);
}

#[test]
fn a_pilot_refuses_options_of_a_rule_and_says_what_to_do() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let whitelist = "seq pool=p qos=high\nwc pool=p,local qos=high\n";
    let session = Session::on_engine(&lab, whitelist, PILOT);
    let done = session.bash(Way::Preloaded, "seq 3 >/dev/null");
    assert_eq!(done.status.code(), Some(125), "{done}");
    assert_has_all(&done.complaint(), &["qos=high", "pool 'p'", "mode = \"per_job\""]);
    let done = session.bash(Way::Preloaded, "wc -c </dev/null").expect_success("here");
    assert_eq!(done.text(), "0\n");
    assert_has_all(&done.complaint(), &["qos=high", "it waits for the gateway's own node"]);
    assert_nothing_left(&lab);
}

#[test]
fn a_pool_that_only_takes_its_time_is_waited_for() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let session = with_two_pools(&lab, "sleep pool=m,q,local\n", PER_JOB, HELD);
    session.append_configuration(&format!(
        "[[pools]]\nname = \"m\"\nengine = \"slurm\"\nengine_env = {{ PATH = \"/nowhere\" }}\n{PER_JOB}\n"
    ));
    let waits = begin_script(&session, "sleep 600");
    wait_for(&lab, "PENDING", 1);
    let explained = || session.ask(["explain", &only(&session, "sleep").id.to_string()]).text();
    let steps = ["pool 'm' refused it: cannot run 'sbatch'", "; it waits in pool 'q'"];
    assert_has_all(&explained(), &steps);
    assert_has_all(&explained(), &["allocation q-"]);
    let before = listed(&lab);

    // Another gateway begins with the list's first pool again, and leaves nothing of the old one.
    session.gateway().kill();
    wait_until(|| {
        let now = listed(&lab);
        now != before && now.lines().filter(|line| line.contains("PENDING")).count() == 1
    });
    assert_has_all(&explained(), &steps);
    session.ask(["cancel", &only(&session, "sleep").id.to_string()]).expect_success("cancel");
    assert!(!waits.finish().status.success());
    assert_nothing_left(&lab);
}

#[test]
fn another_attempt_begins_where_the_last_one_was() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let whitelist = "timeout pool=p,q,local retries=exit:2\n";
    let session = with_two_pools(&lab, whitelist, &refusing(PER_JOB), "");
    // What has used a pipe is not tried again.
    let runs = begin_script(&session, "timeout 2 sleep 600 >out 2>&1");
    wait_until(|| session.commands().iter().any(|job| job.state == "running"));
    session.gateway().kill();
    let done = runs.finish();
    assert_eq!(done.status.code(), Some(124), "{done}");
    let job = session.show(&only(&session, "timeout"));
    let nodes: Vec<_> = job.attempts.iter().map(|attempt| attempt.node.clone()).collect();
    assert_eq!(nodes.len(), 3, "{job:?}");
    assert!(nodes.iter().all(|node| node.starts_with("q-")), "{nodes:?}");
    assert_eq!(refusals(&session), 1, "it was asked once");
    // An allocation whose attempt has failed stays for half a minute, unless the gateway leaves.
    session.ask(["stop"]).expect_success("stop");
    assert_nothing_left(&lab);
}

#[test]
fn all_that_wait_for_a_pilot_that_never_comes_go_on() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2"]) else { return };
    let session = with_two_pools(&lab, "tee pool=p,q\n", &refusing(PILOT), "");
    let script = "for i in 1 2 3 4 5; do tee $i </dev/null & done; wait";
    session.bash(Way::Preloaded, script).expect_success("all");
    let jobs = session.commands();
    assert_eq!(jobs.len(), 5);
    for job in jobs {
        assert!(job.node.as_deref().is_some_and(|node| node.starts_with("q-")), "{job:?}");
    }
    assert_eq!(refusals(&session), 5, "each was told once");
    assert_nothing_left(&lab);
}

#[test]
fn grid_engine_has_options_of_its_own() {
    let Some(lab) = EngineLab::grid_engine(4) else { return };
    let whitelist = "seq pool=p cpus=2 parallel_environment=smp engine_resources=arch=lx-amd64\n\
                     wc pool=p gres=nvme:1\n";
    let session = Session::on_engine(&lab, whitelist, PER_JOB);
    session.bash(Way::Preloaded, "seq 3 >/dev/null").expect_success("seq");
    assert_eq!(only(&session, "seq").node.as_deref(), Some("p-1"));
    let done = session.bash(Way::Preloaded, "wc -l </dev/null");
    assert_eq!(done.status.code(), Some(125), "{done}");
    assert_has_all(&done.complaint(), &["gres=nvme:1", "Grid Engine of pool 'p' does not take"]);
    assert_nothing_left(&lab);
}

/// How often the gateways' log has it that a pool of a list has refused a job.
fn refusals(session: &Session) -> usize {
    let log = std::fs::read_to_string(session.state().join("gateway.log")).expect("its log");
    log.lines().filter(|line| line.contains("' refused it: ")).count()
}
