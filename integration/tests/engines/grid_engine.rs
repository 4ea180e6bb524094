//! Grid Engine.

use std::{fs, time::Duration};

use integration::EngineLab;
use redirector::{
    config::{Engine, Pool},
    engine::batch::{End, EngineJobId, Refusal, Request, Status},
};

use crate::support::{
    GATEWAY, count_calls, engine, lines_of, on_head, pool, request, start, status, wait_for,
    wait_for_end, wait_for_start,
};

fn grid_engine(lab: &EngineLab) -> Pool {
    let memory_resource = Some("h_vmem".to_owned());
    pool(lab, Engine::GridEngine { memory_resource, gpu_resource: None })
}

#[test]
fn scripts_run_and_each_end_is_told() {
    let Some(lab) = EngineLab::grid_engine(8) else { return };
    let engine = engine(&grid_engine(&lab));
    on_head(&lab, async {
        let mut wanted = request(&lab, "a", "pwd; echo $NSLOTS $JOB_NAME; echo no >&2; exit 3");
        wanted.cpus = 2;
        wanted.mem = Some(1 << 30);
        wanted.options.parallel_environment = Some("smp".to_owned());
        let id = start(&*engine, &wanted).await;
        let dies = start(&*engine, &request(&lab, "b", "kill -SEGV $$")).await;
        let mut slow = request(&lab, "c", "exec sleep 600");
        slow.walltime = Some(Duration::from_secs(1));
        let slow = start(&*engine, &slow).await;
        let mut nowhere = request(&lab, "d", "true");
        nowhere.directory = "/no/such/directory".into();
        let nowhere = start(&*engine, &nowhere).await;

        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::Done(3)));
        let output = fs::read_to_string(&wanted.output).expect("Grid Engine wrote it");
        let directory = lab.directory();
        assert_eq!(output, format!("{}\n2 run_a.rule__\nno\n", directory.display()));
        assert_eq!(wait_for_end(&*engine, &dies).await, Status::Ended(End::Signal(11)));
        assert_eq!(wait_for_end(&*engine, &slow).await, Status::Ended(End::TimeLimit));
        let ended = wait_for_end(&*engine, &nowhere).await;
        assert!(matches!(ended, Status::Ended(End::Failed(_))), "{ended:?}");
        let why = engine.explain(&nowhere).await;
        assert!(why.contains("/no/such/directory"), "{why}");
        engine.stop(&[nowhere]).await.expect("it is still in the queue");
    });
}

#[test]
fn fifty_jobs_are_one_query_and_are_stopped_at_once() {
    let Some(lab) = EngineLab::grid_engine(1) else { return };
    let mut pool = grid_engine(&lab);
    let queries = count_calls(&mut pool, &lab.directory(), "qstat");
    let engine = engine(&pool);
    on_head(&lab, async {
        let mut ids = Vec::new();
        for number in 0..50 {
            let wanted = request(&lab, &number.to_string(), "exec sleep 600");
            ids.push(start(&*engine, &wanted).await);
        }
        wait_for_start(&*engine, &ids[0]).await;
        let asked_before = lines_of(&queries);
        let states = engine.status(&ids).await;
        assert_eq!(lines_of(&queries) - asked_before, 1, "one query for all");
        let pending = states.iter().filter(|(_, status)| matches!(status, Status::Pending { .. }));
        assert_eq!(pending.count(), 49, "one slot: {states:?}");
        let why = engine.explain(&ids[49]).await;
        assert!(why.contains("Grid Engine"), "{why}");

        let found = engine.find(GATEWAY).await.expect("Grid Engine answers");
        assert_eq!(found.len(), 50);
        assert_eq!(engine.find("another gateway").await, Ok(Vec::new()));

        engine.stop(&ids).await.expect("Grid Engine stops them");
        // A running one is in the accounts, those that waited are nowhere.
        let ended = wait_for_end(&*engine, &ids[0]).await;
        assert_eq!(ended, Status::Ended(End::Signal(9)));
        for id in &ids[1..] {
            assert_eq!(status(&*engine, id).await, Status::Forgotten);
        }
        engine.stop(&ids).await.expect("what has ended is passed over");
    });
}

type Change = fn(&mut Request);

#[test]
fn what_can_never_be_had_is_refused_in_its_words() {
    let Some(lab) = EngineLab::grid_engine(1) else { return };
    let engine = engine(&grid_engine(&lab));
    let wrong: [(Change, &str); 5] = [
        (|it| it.options.partition = Some("no.q".to_owned()), "unknown queue \"no.q\""),
        (|it| it.options.resources = vec!["nosuch=4".to_owned()], "unknown resource \"nosuch\""),
        (
            |it| {
                it.cpus = 2;
                it.options.parallel_environment = Some("nosuch".to_owned());
            },
            "parallel environment \"nosuch\" does not exist",
        ),
        (|it| it.cpus = 2, "'parallel_environment'"),
        (|it| it.gpus = 1, "'gpu_resource'"),
    ];
    on_head(&lab, async {
        for (change, words) in wrong {
            let mut wanted = request(&lab, "a", "true");
            change(&mut wanted);
            let refused = engine.start(&wanted).await;
            let Err(Refusal::Permanent(said)) = refused else { panic!("{words}: {refused:?}") };
            assert!(said.contains(words), "{said}");
        }
        // More slots than there are: it is taken, and waits for ever.
        let mut large = request(&lab, "b", "true");
        large.cpus = 1000;
        large.options.parallel_environment = Some("smp".to_owned());
        let large = start(&*engine, &large).await;
        let why = engine.explain(&large).await;
        assert!(why.contains("it only offers"), "{why}");
    });
}

#[test]
fn a_master_that_is_down_says_nothing_about_jobs() {
    let Some(lab) = EngineLab::grid_engine(1) else { return };
    let engine = engine(&grid_engine(&lab));
    on_head(&lab, async {
        let id = start(&*engine, &request(&lab, "a", "exec sleep 600")).await;
        wait_for_start(&*engine, &id).await;
        lab.fault(&["kill-controller"]);
        let refused = engine.start(&request(&lab, "b", "true")).await;
        assert!(matches!(refused, Err(Refusal::Temporary(_))), "{refused:?}");
        let unknown = status(&*engine, &id).await;
        assert!(matches!(unknown, Status::Unknown { .. }), "{unknown:?}");
        assert!(engine.stop(std::slice::from_ref(&id)).await.is_err());
        lab.fault(&["start-controller"]);
        wait_for_start(&*engine, &id).await;

        // The node is gone: that is not known at once, and never a failure.
        lab.fault(&["crash"]);
        let is_unknown = |status: &Status| matches!(status, Status::Unknown { .. });
        let Status::Unknown { reason } = wait_for(&*engine, &id, is_unknown).await else { return };
        assert!(reason.contains("localhost"), "{reason}");
        let nobody = EngineJobId("4711".to_owned());
        assert_eq!(status(&*engine, &nobody).await, Status::Forgotten);
    });
}
