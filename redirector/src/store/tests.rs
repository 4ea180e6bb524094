use tempfile::TempDir;

use super::*;
use crate::model::{Resources, State};

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
        environment: environment.iter().map(|entry| Text::from(*entry)).collect(),
        started: None,
        submitted: Timestamp(id * 10),
        client_pid: 42,
    }))
}

fn node() -> NodeName {
    NodeName("here".to_owned())
}

fn finish(id: u64, exit_code: i32) -> [Write; 2] {
    let (job, outcome) = (JobId(id), Outcome::Exited { exit_code });
    let usage = Some(Usage { user_us: 5, ..Usage::default() });
    [
        Write::Start { job, node: node(), at: Timestamp(20) },
        Write::Finish { job, outcome, usage, at: Timestamp(30) },
    ]
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
    store.commit(&[Write::Start { job: JobId(5), node: node(), at: Timestamp(60) }]).unwrap();
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
