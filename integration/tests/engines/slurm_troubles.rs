//! Slurm: what is refused, and what is said when it does not answer.

use integration::EngineLab;
use redirector::engine::batch::{Refusal, Request, Status};

use crate::support::{
    GATEWAY, engine, on_head, request, slurm, start, wait_for_end, wait_for_start,
};

type Change = fn(&mut Request);

#[test]
fn what_can_never_be_had_is_refused_in_slurms_words() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let pool = slurm(&lab);
    let engine = engine(&pool);
    let wrong: [(Change, &str); 6] = [
        (|it| it.options.partition = Some("nopart".to_owned()), "Invalid partition name specified"),
        (|it| it.mem = Some(1 << 50), "Requested node configuration is not available"),
        (|it| it.gpus = 2, "Invalid generic resource (gres) specification"),
        (|it| it.options.constraint = Some("none".to_owned()), "Invalid feature specification"),
        (|it| it.options.licenses = Some("matlab:1".to_owned()), "Invalid license specification"),
        (|it| it.options.arguments = vec!["--nosuch".to_owned()], "--nosuch"),
    ];
    on_head(&lab, async {
        for (change, words) in wrong {
            let mut wanted = request(&lab, "a", "true");
            change(&mut wanted);
            let refused = engine.start(&wanted).await;
            let Err(Refusal::Permanent(said)) = refused else { panic!("{words}: {refused:?}") };
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(engine.find(GATEWAY).await, Ok(Vec::new()), "nothing was started");

        // What is never to be had can also be taken, and waits for ever.
        let mut large = request(&lab, "b", "true");
        large.cpus = 1000;
        match engine.start(&large).await {
            Err(Refusal::Permanent(_)) => {}
            Ok(id) => {
                let why = engine.explain(&id).await;
                assert!(why.contains("never start") || why.contains("not looked"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn without_slurms_programs_it_is_said_what_to_install() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let mut pool = slurm(&lab);
    pool.engine_env.insert("PATH".into(), Some("/nowhere".into()));
    let engine = engine(&pool);
    on_head(&lab, async {
        let refused = engine.start(&request(&lab, "a", "true")).await;
        let Err(Refusal::Permanent(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("'sbatch'") && said.contains("slurm-client"), "{said}");
    });
}

#[test]
fn a_controller_that_is_down_says_nothing_about_jobs() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let id = start(&*engine, &request(&lab, "a", "sleep 600; exit 3")).await;
        wait_for_start(&*engine, &id).await;
        lab.fault(&["stop-controller"]);
        let wanted = request(&lab, "b", "exec sleep 600");
        let ids = [id.clone()];
        // Each of Slurm's programs takes 9 s to give up.
        let (refused, states, why, stopped) = tokio::join!(
            engine.start(&wanted),
            engine.status(&ids),
            engine.explain(&id),
            engine.stop(&ids)
        );
        let Err(Refusal::Temporary(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("Unable to contact slurm controller"), "{said}");
        assert!(matches!(&states[0].1, Status::Unknown { .. }), "{states:?}");
        assert!(why.contains("Unable to contact"), "{why}");
        assert!(matches!(stopped, Err(Refusal::Temporary(_))), "{stopped:?}");

        lab.fault(&["start-controller"]);
        wait_for_start(&*engine, &id).await;
        engine.stop(&ids).await.expect("Slurm is back");
        wait_for_end(&*engine, &id).await;
    });
}

#[test]
fn a_submission_without_an_answer_is_found_again() {
    let Some(lab) = EngineLab::slurm(1, &[]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        lab.fault(&["freeze-controller"]);
        let refused = engine.start(&request(&lab, "7", "exec sleep 600")).await;
        assert!(matches!(refused, Err(Refusal::Unsure(_))), "{refused:?}");
        lab.fault(&["thaw-controller"]);
        // It was in the controller's socket all the time.
        let found = loop {
            let found = engine.find(GATEWAY).await.expect("Slurm is back");
            if !found.is_empty() {
                break found;
            }
        };
        assert_eq!(found[0].1.allocation, "7");
        wait_for_start(&*engine, &found[0].0).await;
    });
}

#[test]
fn a_full_queue_is_another_time_and_not_two_minutes_of_waiting() {
    let Some(lab) = EngineLab::slurm(1, &["--cpus", "1", "--set", "MaxJobCount=3"]) else { return };
    let engine = engine(&slurm(&lab));
    on_head(&lab, async {
        let mut ids = Vec::new();
        let refused = loop {
            let wanted = request(&lab, &ids.len().to_string(), "exec sleep 600");
            match engine.start(&wanted).await {
                Ok(id) => ids.push(id),
                Err(refusal) => break refusal,
            }
            assert!(ids.len() <= 3);
        };
        let Refusal::Temporary(said) = refused else { panic!("{refused:?}") };
        assert!(said.contains("retrying"), "{said}");
        engine.stop(&ids).await.expect("Slurm stops them");
        // Then there is room.
        wait_for_end(&*engine, &ids[0]).await;
    });
}
