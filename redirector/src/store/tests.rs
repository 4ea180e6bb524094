use tempfile::TempDir;

use super::*;
use crate::model::{Given, Job, NodeName, Outcome, Resources, Spec, State, Text, Timestamp, Usage};

fn journal() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("journal.sqlite"), Durability::Process).unwrap();
    (directory, store)
}

fn new_job(id: u64, spawned_by: Option<u64>, environment: &[&str]) -> Write {
    Write::Insert(Box::new(NewJob {
        id: JobId(id),
        key: format!("key {id}"),
        spawned_by: spawned_by.map(JobId),
        run: JobId(spawned_by.unwrap_or(id)),
        spec: Spec {
            name: format!("job {id}"),
            argv: vec!["bwa".into(), Text(vec![0xff, b'x'])],
            resources: Resources::new(crate::model::Amount(2_500), 7),
            ..Spec::default()
        },
        environment: Environment::from(
            environment.iter().map(|entry| Text::from(*entry)).collect::<Vec<_>>(),
        ),
        state: State::Queued,
        started: None,
        submitted: Timestamp(id * 10),
        client_pid: 42,
    }))
}

fn node() -> NodeName {
    NodeName("here".to_owned())
}

fn start(id: u64, at: u64) -> Write {
    let given = Given { cpus: vec![id as u32], pieces: Vec::new() };
    Write::Start { job: JobId(id), node: node(), agent: None, given, at: Timestamp(at) }
}

fn finish(id: u64, exit_code: i32) -> [Write; 2] {
    let (job, outcome) = (JobId(id), Outcome::Exited { exit_code });
    let usage = Some(Usage { user_us: 5, ..Usage::default() });
    [start(id, 20), Write::Finish { job, outcome, usage, at: Timestamp(30) }]
}

#[test]
fn a_job_is_read_back_as_it_was_written() {
    let (_directory, mut store) = journal();
    store.commit(&[new_job(1, None, &["PATH=/bin", "MY_TOKEN=abc"])]).unwrap();
    store.commit(&finish(1, 3)).unwrap();
    let job = store.job(JobId(1)).unwrap().unwrap();
    assert_eq!(job.spec.argv, [Text::from("bwa"), Text(vec![0xff, b'x'])]);
    assert_eq!(job.environment, [Text::from("PATH=/bin"), Text::from("MY_TOKEN=(not stored)")]);
    assert_eq!(job.spec.resources, Resources::new(crate::model::Amount(2_500), 7));
    assert_eq!((job.state, job.outcome), (State::Finished, Some(Outcome::Exited { exit_code: 3 })));
    let times = (job.submitted, job.started, job.ended);
    assert_eq!(times, (Timestamp(10), Some(Timestamp(20)), Some(Timestamp(30))));
    assert_eq!(job.attempts.len(), 1);
    assert_eq!((job.attempts[0].number, &job.attempts[0].node), (1, &node()));
    assert!(store.job(JobId(2)).unwrap().is_none());
}

#[test]
fn a_promised_job_is_queued_and_names_its_agent_until_that_is_withdrawn() {
    let (_directory, mut store) = journal();
    let given = Given { cpus: vec![1], pieces: Vec::new() };
    let promise = |agent: Option<&str>, given: &Given| Write::Promise {
        job: JobId(1),
        agent: agent.map(str::to_owned),
        given: given.clone(),
    };
    store.commit(&[new_job(1, None, &[]), promise(Some("agent"), &given)]).unwrap();
    let left = store.unfinished().unwrap().remove(0);
    assert_eq!((left.job.state, left.agent.as_deref()), (State::Queued, Some("agent")));
    assert_eq!((left.job.node, left.given), (None, given));
    store.commit(&[promise(None, &Given::default())]).unwrap();
    let left = store.unfinished().unwrap().remove(0);
    assert_eq!((left.job.state, left.agent, left.given), (State::Queued, None, Given::default()));
}

#[test]
fn a_start_and_an_end_at_once_are_the_same_as_the_one_after_the_other() {
    let (_directory, mut store) = journal();
    let [mut both, end] = finish(1, 3);
    let Write::Finish { outcome, usage, at, .. } = end else { panic!("{end:?}") };
    both.finish(outcome, usage, at);
    store.commit(&[new_job(1, None, &[]), both]).unwrap();
    let [start, end] = finish(2, 3);
    store.commit(&[new_job(2, None, &[]), start, end]).unwrap();
    let [at_once, in_turn] = [1, 2].map(|id| store.job(JobId(id)).unwrap().unwrap());
    assert_eq!((&at_once.node, at_once.state), (&in_turn.node, in_turn.state));
    assert_eq!(at_once.attempts, in_turn.attempts);
}

#[test]
fn a_job_that_never_started_has_no_attempt() {
    let (_directory, mut store) = journal();
    let outcome = Outcome::Cancelled { reason: "enough".to_owned() };
    let finish =
        Write::Finish { job: JobId(1), outcome: outcome.clone(), usage: None, at: Timestamp(9) };
    store.commit(&[new_job(1, None, &[]), finish]).unwrap();
    let job = store.job(JobId(1)).unwrap().unwrap();
    assert_eq!((job.outcome, job.attempts), (Some(outcome), Vec::new()));
}

#[test]
fn listings_are_filtered_newest_first_and_paged() {
    let (_directory, mut store) = journal();
    for id in 1..=6 {
        store.commit(&[new_job(id, (id > 2).then_some(1), &[])]).unwrap();
    }
    store.commit(&finish(4, 0)).unwrap();
    store.commit(&finish(5, 1)).unwrap();
    let ids = |filter: Filter| -> Vec<u64> {
        store.jobs(&filter).unwrap().iter().map(|job| job.id.0).collect()
    };
    let all = Filter { all: true, ..Filter::default() };
    assert_eq!(ids(Filter::default()), [2, 1]);
    assert_eq!(ids(all.clone()), [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids(Filter { run: Some(JobId(1)), ..Filter::default() }), [6, 5, 4, 3, 1]);
    assert_eq!(ids(Filter { state: Some(State::Finished), ..all.clone() }), [5, 4]);
    assert_eq!(ids(Filter { outcome: Some("exited".to_owned()), ..all.clone() }), [5, 4]);
    assert_eq!(ids(Filter { failed: true, ..all.clone() }), [5]);
    assert_eq!(ids(Filter { name: Some("b 3".to_owned()), ..all.clone() }), [3]);
    assert_eq!(ids(Filter { before: Some(JobId(5)), limit: Some(2), ..all }), [4, 3]);
}

#[test]
fn what_was_committed_is_there_after_a_reopening_and_the_rest_is_unfinished() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    let mut store = Store::open(&path, Durability::Full).unwrap();
    store.commit(&[new_job(1, None, &[]), new_job(2, None, &[])]).unwrap();
    store.commit(&finish(1, 0)).unwrap();
    let secret = store.secret().unwrap();
    drop(store);
    let mut store = Store::open(&path, Durability::Full).unwrap();
    let unfinished: Vec<_> = store.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((unfinished[0].job.id, unfinished[0].key.as_str()), (JobId(2), "key 2"));
    assert_eq!(store.last_id().unwrap(), JobId(2));
    assert_eq!(store.secret().unwrap(), secret);
}

#[test]
fn a_batch_is_journalled_whole_or_not_at_all() {
    let (_directory, mut store) = journal();
    store.commit(&[new_job(1, None, &[])]).unwrap();
    store.commit(&[new_job(2, None, &["NEW=1"]), new_job(1, None, &[])]).unwrap_err();
    assert!(store.job(JobId(2)).unwrap().is_none());
    // The environment of the failed batch is not taken for stored.
    store.commit(&[new_job(2, None, &["NEW=1"])]).unwrap();
    assert_eq!(store.job(JobId(2)).unwrap().unwrap().environment, [Text::from("NEW=1")]);
}

#[test]
fn a_journal_of_a_newer_version_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", schema::VERSION + 1)
        .unwrap();
    let Err(error) = Store::open(&path, Durability::Process) else { panic!("opened") };
    assert!(matches!(error, Error::Newer { .. }) && !error.is_corruption(), "{error}");
}

#[test]
fn a_damaged_journal_is_told_from_other_trouble() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    assert!(Store::open(&path, Durability::Process).err().unwrap().is_corruption());
    let missing = directory.path().join("nowhere/journal.sqlite");
    assert!(!Store::open(&missing, Durability::Process).err().unwrap().is_corruption());
}

#[test]
fn the_jobs_of_a_run_are_counted_by_name() {
    let (_directory, mut store) = journal();
    let named = |id, name: &str| {
        let Write::Insert(mut new) = new_job(id, Some(1), &[]) else { unreachable!() };
        name.clone_into(&mut new.spec.name);
        Write::Insert(new)
    };
    store.commit(&[new_job(1, None, &[]), named(2, "map"), named(3, "map")]).unwrap();
    store.commit(&[named(4, "map"), named(5, "sort")]).unwrap();
    store.commit(&finish(2, 0)).unwrap();
    store.commit(&finish(3, 7)).unwrap();
    let refused = Outcome::Refused { reason: "too large".to_owned() };
    let (job, at) = (JobId(4), Timestamp(40));
    store.commit(&[Write::Finish { job, outcome: refused, usage: None, at }]).unwrap();
    store.commit(&[start(5, 60)]).unwrap();
    let counts = store.run_counts(JobId(1)).unwrap().unwrap();
    let map = EndedJobs {
        name: "map".to_owned(),
        first: JobId(2),
        succeeded: 1,
        failed: 2,
        ran: 2,
        ran_ms: 20,
    };
    let sort = LiveJob { id: JobId(5), name: "sort".to_owned(), started: Some(Timestamp(60)) };
    let (last_added, finished) = (Timestamp(50), false);
    assert_eq!(counts, RunCounts { ended: vec![map], live: vec![sort], last_added, finished });
    assert_eq!(store.run_counts(JobId(2)).unwrap(), None, "a job that is not a run");
    assert_eq!(store.run_counts(JobId(9)).unwrap(), None);
}

fn retry(id: u64, outcome: Outcome, at: u64) -> Write {
    Write::Retry { job: JobId(id), outcome, usage: None, at: Timestamp(at) }
}

#[test]
fn each_attempt_is_kept() {
    let (_directory, mut store) = journal();
    let memory = Outcome::OutOfMemory { mem_limit: 10, mem_used: 12 };
    store.commit(&[new_job(1, None, &[]), start(1, 20), retry(1, memory.clone(), 25)]).unwrap();
    let left = store.unfinished().unwrap().remove(0);
    assert_eq!((left.job.state, left.attempt, left.agent), (State::Queued, 2, None));
    assert_eq!(store.attempts(JobId(1)).unwrap().len(), 1);
    store.commit(&[start(1, 30)]).unwrap();
    let left = store.unfinished().unwrap().remove(0);
    assert_eq!((left.job.state, left.given.cpus), (State::Running, vec![1]));
    store.commit(&finish(1, 0)[1..]).unwrap();
    let job = store.job(JobId(1)).unwrap().unwrap();
    let ends: Vec<_> = job.attempts.iter().map(|it| (it.number, it.outcome.clone())).collect();
    assert_eq!(ends, [(1, memory), (2, Outcome::Exited { exit_code: 0 })]);
}

#[test]
fn a_record_says_both_what_was_asked_and_how_it_ended() {
    let (_directory, mut store) = journal();
    let outcomes = [
        Outcome::TimedOut { time_limit: 7 },
        Outcome::OutOfMemory { mem_limit: 1, mem_used: 2 },
        Outcome::Cancelled { reason: "why".into() },
        Outcome::Signaled { signal: 9, core_dumped: false },
    ];
    for (id, outcome) in (1..).zip(outcomes) {
        let Write::Insert(mut new) = new_job(id, None, &[]) else { unreachable!() };
        new.spec.time_limit = Some(7);
        let job = new.id;
        let at = Timestamp(3);
        let end = Write::Finish { job, outcome: outcome.clone(), usage: None, at };
        store.commit(&[Write::Insert(new), end]).unwrap();
        let record = store.job(job).unwrap().unwrap();
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&json).unwrap(), record, "{json}");
        assert_eq!((record.spec.time_limit, record.outcome), (Some(7), Some(outcome)));
    }
}

#[test]
fn a_finished_job_can_be_opened_again() {
    let (_directory, mut store) = journal();
    store.commit(&[new_job(1, None, &[])]).unwrap();
    store.commit(&finish(1, 3)).unwrap();
    store.commit(&[Write::Reopen { job: JobId(1) }]).unwrap();
    let job = store.job(JobId(1)).unwrap().unwrap();
    assert_eq!((job.state, &job.outcome, job.attempts.len()), (State::Queued, &None, 1));
    // One that was refused was never tried, so that its first attempt is still to come.
    store.commit(&[new_job(2, None, &[])]).unwrap();
    store.commit(&finish(2, 3)[1..]).unwrap();
    store.commit(&[Write::Reopen { job: JobId(2) }]).unwrap();
    assert_eq!(store.unfinished().unwrap()[1].attempt, 1);
}

fn detached(id: u64, environment: &[&str]) -> Write {
    let Write::Insert(mut new) = new_job(id, None, environment) else { unreachable!() };
    new.environment.whole = true;
    Write::Insert(new)
}

#[test]
fn a_detached_job_keeps_its_secrets_until_it_has_ended() {
    let (_directory, mut store) = journal();
    let environment = ["PATH=/bin", "MY_TOKEN=abc"];
    let submission = Write::Submission { key: "k".into(), first: JobId(1), last: JobId(2) };
    store.commit(&[submission, detached(1, &environment), detached(2, &environment)]).unwrap();
    assert_eq!(store.submission("k").unwrap(), Some((JobId(1), JobId(2))));
    assert_eq!(store.submission("l").unwrap(), None);
    let recipe = store.recipe(JobId(1)).unwrap().unwrap();
    let whole = |store: &Store| store.whole_environment(JobId(1), &recipe.environment).unwrap();
    assert_eq!(whole(&store).unwrap(), environment.map(Text::from));
    assert_eq!(
        store.job(JobId(1)).unwrap().unwrap().environment[1],
        Text::from("MY_TOKEN=(not stored)"),
        "nobody is shown it"
    );
    store.commit(&finish(1, 0)).unwrap();
    store.forget_environments().unwrap();
    assert!(whole(&store).is_some(), "job 2 still needs it");
    store.commit(&finish(2, 0)).unwrap();
    store.forget_environments().unwrap();
    assert!(whole(&store).is_none());
    store.commit(&[detached(3, &environment)]).unwrap();
    assert!(whole(&store).is_some(), "it is needed again");
    store.commit(&finish(3, 0)).unwrap();
    store.purge(Retention::default()).unwrap();
    store.commit(&[new_job(4, None, &environment)]).unwrap();
    assert_eq!(store.job(JobId(4)).unwrap().unwrap().environment.len(), 2, "as is this one");
    assert!(store.recipe(JobId(4)).unwrap().is_none(), "its client has it");
}

fn ended_at(id: u64, at: u64) -> [Write; 2] {
    let outcome = Outcome::Exited { exit_code: 0 };
    [start(id, at - 1), Write::Finish { job: JobId(id), outcome, usage: None, at: Timestamp(at) }]
}

#[test]
fn old_runs_go_with_all_that_came_out_of_them() {
    let (_directory, mut store) = journal();
    for (run, end) in [(1, 100), (3, 200), (5, 300)] {
        store.commit(&[new_job(run, None, &[]), new_job(run + 1, Some(run), &["A=1"])]).unwrap();
        store.commit(&ended_at(run + 1, end)).unwrap();
        store.commit(&ended_at(run, end)).unwrap();
    }
    store.commit(&[new_job(7, None, &[])]).unwrap();
    store.commit(&ended_at(7, 50)).unwrap();
    // A job of it goes on, though the run itself has ended.
    store.commit(&[new_job(8, Some(7), &[])]).unwrap();

    let old = Retention { ended_before: Some(Timestamp(250)), keep: Some(2) };
    assert_eq!(store.purge(old).unwrap().jobs, [JobId(1), JobId(2)], "3 is among the latest two");
    assert!(store.job(JobId(2)).unwrap().is_none());
    let old = Retention { ended_before: Some(Timestamp(250)), keep: None };
    assert_eq!(store.purge(old).unwrap(), Purged { jobs: vec![JobId(3), JobId(4)], more: false });
    store.commit(&ended_at(8, 400)).unwrap();
    let mut all = store.purge(Retention::default()).unwrap().jobs;
    all.sort_unstable();
    assert_eq!(all, [5, 6, 7, 8].map(JobId));
    assert_eq!(store.last_id().unwrap(), JobId(8), "no number is used twice");
    assert_eq!(store.purge(Retention::default()).unwrap(), Purged::default());
}

#[test]
fn a_journal_of_the_first_version_is_brought_up_to_date() {
    let (_directory, store) = journal();
    let path = store.path.clone();
    drop(store);
    std::fs::remove_file(&path).unwrap();
    let first = Connection::open(&path).unwrap();
    first.execute_batch(schema::MIGRATIONS[0]).unwrap();
    first.pragma_update(None, "user_version", 1).unwrap();
    first
        .execute(
            "INSERT INTO jobs (id, key, run, kind, name, spec, state, submitted, client_pid, started, ended, node, outcome)
             VALUES (4, 'k', 4, 'command', 'bwa', ?1, 'finished', 1, 2, 3, 4, 'here', ?2)",
            [
                r#"{"kind":"command","name":"bwa","argv":["bwa"],"program":"/bin/bwa","directory":"/",
                    "resources":{"cpus":1,"mem":0}}"#,
                r#"{"outcome":"exited","exit_code":0}"#,
            ],
        )
        .unwrap();
    drop(first);
    let store = Store::open(&path, Durability::Process).unwrap();
    let job = store.job(JobId(4)).unwrap().unwrap();
    assert_eq!((job.spec.name.as_str(), job.attempts.len()), ("bwa", 1));
}
