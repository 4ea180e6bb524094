//! Slurm: jobs are started, listed, explained, found and stopped.

use std::fs;

use integration::EngineLab;
use redirector::engine::batch::{End, EngineJobId, Status};

use crate::support::{
    GATEWAY, count_calls, engine, lines_of, on_head, request, slurm, start, status, wait_for_end,
    wait_for_start,
};

#[test]
fn a_script_runs_where_and_as_it_should() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let mut wanted = request(&lab, "a", "pwd; echo $SLURM_JOB_NAME; echo no >&2; exit 3");
        wanted.cpus = 2;
        wanted.mem = Some(100 << 20);
        let id = start(&*engine, &wanted).await;
        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::Done(3)));
        let output = fs::read_to_string(&wanted.output).expect("Slurm wrote it");
        let directory = lab.directory();
        assert_eq!(output, format!("{}\nrun_a.rule/_\nno\n", directory.display()));
        let asked = lab.client("scontrol", &["show", "job", &id.0]).text();
        for part in ["Requeue=0", "NumCPUs=2", "mem=100M", "Comment=redirector/g1/a"] {
            assert!(asked.contains(part), "no {part}: {asked}");
        }
        assert!(engine.version().await.expect("a version").starts_with("slurm"));
    });
}

#[test]
fn two_hundred_jobs_are_one_query_and_are_stopped_at_once() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "2"]) else { return };
    let mut pool = slurm(&lab);
    let directory = lab.directory();
    let queries = count_calls(&mut pool, &directory, "squeue");
    let cancels = count_calls(&mut pool, &directory, "scancel");
    let engine = engine(&pool);
    on_head(&lab, async {
        let mut ids = Vec::new();
        for number in 0..200 {
            let wanted = request(&lab, &number.to_string(), "exec sleep 600");
            ids.push(start(&*engine, &wanted).await);
        }
        wait_for_start(&*engine, &ids[0]).await;
        let asked_before = lines_of(&queries);
        let states = engine.status(&ids).await;
        assert_eq!(lines_of(&queries) - asked_before, 1, "one query for all");
        assert_eq!(
            states.iter().map(|(id, _)| id).collect::<Vec<_>>(),
            ids.iter().collect::<Vec<_>>()
        );
        let is_pending =
            |(_, status): &&(EngineJobId, Status)| matches!(status, Status::Pending { .. });
        let pending = states.iter().filter(is_pending).count();
        assert!(pending >= 198, "two cpus, but {pending} wait: {states:?}");

        let why = engine.explain(&ids[199]).await;
        assert!(why.contains("before it") || why.contains("no node has enough"), "{why}");

        // After a restart of the gateway.
        let found = engine.find(GATEWAY).await.expect("Slurm answers");
        assert_eq!(found.len(), 200);
        let mark = &found.iter().find(|(id, _)| *id == ids[7]).expect("it is Slurm's").1;
        assert_eq!(mark.allocation, "7");
        assert_eq!(engine.find("another gateway").await, Ok(Vec::new()));

        engine.stop(&ids).await.expect("Slurm stops them");
        assert_eq!(lines_of(&cancels), 1, "one scancel for all");
        for id in &ids {
            let ended = wait_for_end(&*engine, id).await;
            assert!(matches!(ended, Status::Ended(End::Cancelled { .. })), "{id}: {ended:?}");
        }
        engine.stop(&ids).await.expect("what has ended is passed over");
        assert_eq!(engine.find(GATEWAY).await, Ok(Vec::new()));
    });
}

#[test]
fn a_job_that_slurm_never_had_is_forgotten_and_not_failed() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let nobody = EngineJobId("4711".to_owned());
        assert_eq!(status(&*engine, &nobody).await, Status::Forgotten);
        let why = engine.explain(&nobody).await;
        assert!(why.contains("does not know"), "{why}");
        engine.stop(&[nobody]).await.expect("there is nothing to stop");
        let option = EngineJobId("--user=root".to_owned());
        assert!(engine.stop(&[option]).await.is_err(), "that would stop all jobs of root");
    });
}
