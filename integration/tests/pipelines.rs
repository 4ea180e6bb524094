//! Unmodified pipelines on real tools: every byte of their results is the same plain and
//! redirected, and every command that the whitelist names was a job of one run.

use integration::{Pipeline, Session, Way, assert_same_files};

#[test]
fn bash() {
    compare(Pipeline::Bash);
}

#[test]
fn make() {
    compare(Pipeline::Make);
}

#[test]
fn snakemake() {
    compare(Pipeline::Snakemake);
}

/// Runs a pipeline plain and in each redirected way.
fn compare(pipeline: Pipeline) {
    if !pipeline.is_installed() {
        return;
    }
    let session = Session::new("");
    let data = session.directory().join("data");
    Pipeline::make_data(&session, &data);
    let plain = pipeline.run(&session, Way::Plain, &data, &session.directory().join("out"));
    for way in Way::REDIRECTED {
        let session = Session::new(&Pipeline::whitelist());
        let what = format!("the {pipeline:?} pipeline, {way:?}");
        let redirected = pipeline.run(&session, way, &data, &session.directory().join("out"));
        assert_same_files(&what, &plain.files, &redirected.files);
        assert_eq!(plain.verdict.stdout, redirected.verdict.stdout, "{what}: check.sh");
        Pipeline::assert_jobs(&what, &session);
    }
}
