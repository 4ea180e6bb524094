//! Slurm: each way in which a job can end is told from the others.

use std::{fs, time::Duration};

use integration::EngineLab;
use redirector::engine::batch::{End, Status, out_of_memory};

use crate::support::{
    engine, on_head, request, slurm, start, wait_for, wait_for_end, wait_for_start,
};

#[test]
fn ends_by_signal_node_and_administrator() {
    let Some(lab) = EngineLab::slurm(2, &[]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let dies = start(&*engine, &request(&lab, "a", "kill -SEGV $$")).await;
        assert_eq!(wait_for_end(&*engine, &dies).await, Status::Ended(End::Signal(11)));

        let mut nowhere = request(&lab, "b", "true");
        nowhere.directory = "/no/such/directory".into();
        nowhere.output = "/no/such/directory/output".into();
        let nowhere = start(&*engine, &nowhere).await;
        let ended = wait_for_end(&*engine, &nowhere).await;
        let Status::Ended(End::Failed(why)) = ended else { panic!("{ended:?}") };
        assert!(why.contains("working directory"), "{why}");

        let cancelled = start(&*engine, &request(&lab, "c", "exec sleep 600")).await;
        wait_for_start(&*engine, &cancelled).await;
        lab.client("scancel", &[&cancelled.0]);
        let ended = wait_for_end(&*engine, &cancelled).await;
        assert_eq!(ended, Status::Ended(End::Cancelled { by: None }));

        let mut on_second = request(&lab, "d", "exec sleep 600");
        on_second.options.arguments = vec!["--nodelist=n2".to_owned()];
        let on_second = start(&*engine, &on_second).await;
        let running = wait_for_start(&*engine, &on_second).await;
        let Status::Running { host, started } = running else { panic!("{running:?}") };
        assert_eq!(host.as_deref(), Some("n2"));
        assert!(started.is_some());
        lab.fault(&["down", "n2"]);
        let ended = wait_for_end(&*engine, &on_second).await;
        assert_eq!(ended, Status::Ended(End::NodeFailure));
        lab.fault(&["resume", "n2"]);
        // It is not started once more.
        let listed = lab.client("squeue", &["-h", "-t", "pending,running"]).text();
        assert_eq!(listed, "");
    });
}

#[test]
fn a_job_that_takes_too_long_reaches_its_limit() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let mut wanted = request(&lab, "a", "exec sleep 600");
        wanted.walltime = Some(Duration::from_secs(20));
        let id = start(&*engine, &wanted).await;
        wait_for_start(&*engine, &id).await;
        // A minute is the least that Slurm has.
        lab.client("scontrol", &["update", &format!("jobid={id}"), "EndTime=now"]);
        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::TimeLimit));
    });
}

#[test]
fn a_job_that_takes_too_much_memory_says_so_in_its_log() {
    let Some(lab) = EngineLab::slurm(1, &["--oom-kill"]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let takes = "exec python3 -c 'import time; x = bytearray(200 << 20); time.sleep(600)'";
        let mut wanted = request(&lab, "a", takes);
        wanted.mem = Some(20 << 20);
        let id = start(&*engine, &wanted).await;
        // Slurm without control groups does not tell it from a kill.
        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::Signal(9)));
        let log = fs::read_to_string(&wanted.output).expect("Slurm wrote it");
        assert!(out_of_memory(&log), "{log}");
    });
}

#[test]
fn accounts_have_what_the_controller_has_forgotten() {
    let Some(lab) = EngineLab::slurm(1, &["--accounting", "--set", "MinJobAge=2"]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let id = start(&*engine, &request(&lab, "a", "exit 3")).await;
        let cancelled = start(&*engine, &request(&lab, "b", "exec sleep 600")).await;
        wait_for_start(&*engine, &cancelled).await;
        lab.client("scancel", &[&cancelled.0]);
        let is_told_by_accounts = |status: &Status| {
            *status == Status::Ended(End::Cancelled { by: Some("root".to_owned()) })
        };
        wait_for(&*engine, &cancelled, is_told_by_accounts).await;
        // Until the controller has thrown its record away.
        let mut listed = "x".to_owned();
        while !listed.is_empty() {
            listed = lab.client("squeue", &["-h", "-t", "all"]).text();
        }
        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::Done(3)));
        assert!(engine.explain(&id).await.contains("exit status 3"));
    });
}
