//! A pool of a testbed, and what the tests do with it.

use std::{
    env, fs,
    future::Future,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use integration::EngineLab;
use redirector::{
    config::{Engine, Pool, PoolMode},
    engine::batch::{self, Batch, EngineJobId, Mark, Request, Status},
};

/// Slurm looks at time limits twice a minute.
const PATIENCE: Duration = Duration::from_secs(80);

/// The gateway whose jobs these are.
pub(crate) const GATEWAY: &str = "g1";

/// A pool whose programs find the testbed.
pub(crate) fn pool(lab: &EngineLab, engine: Engine) -> Pool {
    let mut pool = Pool::minimal("test", engine, PoolMode::PerJob);
    for (name, value) in lab.variables() {
        pool.engine_env.insert(name.into(), Some((&*value).into()));
    }
    pool
}

/// Slurm by its programs.
pub(crate) fn slurm(lab: &EngineLab) -> Pool {
    pool(lab, Engine::Slurm { rest: None })
}

pub(crate) fn engine(pool: &Pool) -> Box<dyn Batch> {
    batch::of(pool).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// Does something where the engine's clients have to run.
pub(crate) fn on_head<Result: Send>(
    lab: &EngineLab,
    act: impl Future<Output = Result> + Send,
) -> Result {
    lab.within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(act)
    })
}

/// One that runs `script` below the lab's directory.
pub(crate) fn request(lab: &EngineLab, allocation: &str, script: &str) -> Request {
    let directory = lab.directory();
    Request {
        name: format!("run {allocation}.rule/ü"),
        mark: Mark { gateway: GATEWAY.to_owned(), allocation: allocation.to_owned(), job: None },
        cpus: 1,
        mem: None,
        walltime: None,
        gpus: 0,
        immediate: false,
        output: directory.join(format!("output 100% {allocation}")),
        directory,
        script: format!("#!/bin/sh\n{script}\n"),
        options: redirector::config::EngineOptions::default(),
    }
}

pub(crate) async fn start(engine: &dyn Batch, request: &Request) -> EngineJobId {
    engine.start(request).await.unwrap_or_else(|refusal| panic!("{}: {refusal}", request.mark))
}

/// What becomes of a job once `is_it`; an engine can only be asked, it tells nothing by itself.
pub(crate) async fn wait_for(
    engine: &dyn Batch,
    id: &EngineJobId,
    is_it: impl Fn(&Status) -> bool,
) -> Status {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(engine, id).await;
        if is_it(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "job {id} is still {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn status(engine: &dyn Batch, id: &EngineJobId) -> Status {
    let mut states = engine.status(std::slice::from_ref(id)).await;
    assert_eq!(states.len(), 1);
    let (of, status) = states.remove(0);
    assert_eq!(of, *id);
    status
}

pub(crate) async fn wait_for_end(engine: &dyn Batch, id: &EngineJobId) -> Status {
    wait_for(engine, id, |status| matches!(status, Status::Ended(_))).await
}

pub(crate) async fn wait_for_start(engine: &dyn Batch, id: &EngineJobId) -> Status {
    wait_for(engine, id, |status| matches!(status, Status::Running { .. })).await
}

/// Has calls of `program` counted, by a script before it in the pool's PATH; gives the file with a
/// line for each.
pub(crate) fn count_calls(pool: &mut Pool, directory: &Path, program: &str) -> PathBuf {
    let path = env::var("PATH").expect("a PATH");
    let real = env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("no {program}: integration/setup.sh tests installs it"));
    let calls = directory.join(format!("calls of {program}"));
    let scripts = directory.join("scripts");
    fs::create_dir_all(&scripts).expect("a directory of this test");
    let script =
        format!("#!/bin/sh\necho call >>'{}'\nexec '{}' \"$@\"\n", calls.display(), real.display());
    let file = scripts.join(program);
    fs::write(&file, script).expect("just made its directory");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("just written");
    let path = format!("{}:{path}", scripts.display());
    pool.engine_env.insert("PATH".into(), Some((&*path).into()));
    calls
}

pub(crate) fn lines_of(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}
