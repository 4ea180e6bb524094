//! Slurm by slurmrestd.

use std::fs;

use integration::{EngineLab, Session, Way};
use redirector::{
    config::{Engine, Pool, RestAddress},
    engine::batch::{End, EngineJobId, Refusal, Status},
};

use crate::{
    pools::{PER_JOB, PILOT, assert_nothing_left},
    support::{
        GATEWAY, engine, on_head, pool, request, start, status, wait_for_end, wait_for_start,
    },
};

fn rest(lab: &EngineLab, port: u16) -> Pool {
    let url = format!("http://10.77.0.1:{port}");
    let rest = Some(RestAddress { url, version: "v0.0.38".to_owned() });
    pool(lab, Engine::Slurm { rest })
}

#[test]
fn jobs_are_started_listed_found_and_stopped() {
    let Some(lab) = EngineLab::slurm(1, &["--rest"]) else { return };
    let engine = engine(&rest(&lab, 6820));
    on_head(&lab, async {
        let mut wanted = request(&lab, "a", "pwd; exit 3");
        wanted.cpus = 2;
        wanted.mem = Some(100 << 20);
        wanted.walltime = Some(std::time::Duration::from_mins(5));
        let id = start(&*engine, &wanted).await;
        assert_eq!(wait_for_end(&*engine, &id).await, Status::Ended(End::Done(3)));
        let output = fs::read_to_string(&wanted.output).expect("Slurm wrote it");
        assert_eq!(output, format!("{}\n", lab.directory().display()));
        let asked = lab.client("scontrol", &["show", "job", &id.0]).text();
        for part in ["Requeue=0", "NumCPUs=2", "mem=100M", "TimeLimit=00:05:00"] {
            assert!(asked.contains(part), "no {part}: {asked}");
        }

        let sleeps = start(&*engine, &request(&lab, "b", "exec sleep 600")).await;
        let running = wait_for_start(&*engine, &sleeps).await;
        let Status::Running { host, .. } = running else { panic!("{running:?}") };
        assert_eq!(host.as_deref(), Some("n1"));
        let found = engine.find(GATEWAY).await.expect("slurmrestd answers");
        assert_eq!(found.len(), 1, "what has ended is not found: {found:?}");
        assert_eq!((&found[0].0, &*found[0].1.allocation), (&sleeps, "b"));
        assert!(engine.explain(&sleeps).await.contains("runs on n1"));
        engine.stop(&[id.clone(), sleeps.clone()]).await.expect("one of them has ended");
        let ended = wait_for_end(&*engine, &sleeps).await;
        assert!(matches!(ended, Status::Ended(End::Cancelled { .. })), "{ended:?}");

        let nobody = EngineJobId("4711".to_owned());
        assert_eq!(status(&*engine, &nobody).await, Status::Forgotten);
        let version = engine.version().await.expect("slurmrestd answers");
        assert!(version.contains("22.05") || version.contains("slurm"), "{version}");
    });
}

#[test]
fn refusals_and_silence_are_told_apart() {
    let Some(lab) = EngineLab::slurm(1, &["--rest"]) else { return };
    let (right, wrong) = (rest(&lab, 6820), rest(&lab, 1));
    let mut denied = rest(&lab, 6820);
    denied.engine_env.insert("SLURM_JWT".into(), Some("nonsense".into()));
    on_head(&lab, async {
        let mut wanted = request(&lab, "a", "true");
        wanted.options.partition = Some("nopart".to_owned());
        let refused = engine(&right).start(&wanted).await;
        let Err(Refusal::Permanent(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("Invalid partition name specified"), "{said}");

        let refused = engine(&wrong).start(&wanted).await;
        let Err(Refusal::Temporary(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("10.77.0.1:1"), "{said}");
        let unknown = status(&*engine(&wrong), &EngineJobId("1".to_owned())).await;
        assert!(matches!(unknown, Status::Unknown { .. }), "{unknown:?}");

        let refused = engine(&denied).start(&wanted).await;
        // The controller closes the connection without a word.
        let Err(Refusal::Unsure(said)) = refused else { panic!("{refused:?}") };
        assert!(said.contains("SLURM_JWT"), "{said}");
    });
}

#[test]
fn a_command_and_a_pipe_run_in_allocations_of_slurmrestd() {
    let Some(lab) = EngineLab::slurm(2, &["--cpus", "2", "--rest"]) else { return };
    lab.client("scontrol", &["create", "PartitionName=other", "Nodes=n2"]);
    for mode in [PER_JOB, PILOT] {
        let settings = format!(
            "{mode}\nrest = \"http://10.77.0.1:6820\"\nrest_version = \"v0.0.38\"\n\
             partition = \"other\""
        );
        let whitelist = "sh pool=p\nseq pool=p\nwc pool=p\n";
        let session = Session::on_engine(&lab, whitelist, &settings);
        let script = "sh -c 'hostname; echo $SLURM_JOB_PARTITION; cat; exit 3' <<<in";
        let done = session.bash(Way::Preloaded, script);
        assert_eq!((done.status.code(), &*done.text()), (Some(3), "n2\nother\nin\n"), "{done}");
        let done = session.bash(Way::Preloaded, "seq 200000 | wc -c").expect_success("the pipe");
        assert_eq!(done.text(), "1288895\n");
        for job in session.commands() {
            assert!(job.node.as_deref().is_some_and(|node| node.starts_with("p-")), "{job:?}");
        }
        drop(session);
        assert_nothing_left(&lab);
    }
}
