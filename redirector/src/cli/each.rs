//! The same thing done to many jobs, one after the other on one connection.

use std::cell::{Cell, RefCell};

use super::{Outcome, SUCCESS, read};
use crate::{
    agent::ending::SYSTEM_FAILURE,
    client::{
        api::{Client, Error},
        exec::say,
    },
    model::JobId,
};

/// Complaints that are told one by one; more of them are counted.
const TOLD: usize = 10;

/// What the gateway has said no to.
#[derive(Default)]
pub(super) struct Refusals(RefCell<Vec<String>>);

impl Refusals {
    /// Tells the person, once, and goes on.
    pub(super) fn add(&self, problem: String) {
        let mut problems = self.0.borrow_mut();
        if problems.contains(&problem) {
            return;
        }
        if problems.len() < TOLD {
            say(&problem);
        }
        problems.push(problem);
    }

    /// The exit status after all was tried.
    pub(super) fn status(&self) -> i32 {
        match self.0.borrow().len() {
            0 => return SUCCESS,
            count if count > TOLD => {
                say(&format!("… and so for {} more jobs", count - TOLD));
            }
            _ => {}
        }
        SYSTEM_FAILURE
    }
}

/// Calls `work` for each of `ids`, and goes on where the gateway says no to one. In the end it
/// tells how many jobs were `done` ("cancelled"); jobs for which nothing was to be done are said
/// to be `already` so.
pub(super) fn each(
    ids: &[JobId],
    done: &str,
    already: &str,
    work: &impl AsyncFn(&Client, JobId) -> Result<Vec<JobId>, Error>,
) -> Outcome {
    // Kept over the gateway's restarts, which do the closure once more.
    let next = Cell::new(0);
    let affected = RefCell::new(Vec::new());
    let refusals = Refusals::default();
    let finished = read(async |client| {
        while let Some(id) = ids.get(next.get()) {
            match work(&client, *id).await {
                Ok(jobs) if jobs.is_empty() => say(&format!("job {id} {already}")),
                Ok(jobs) => affected.borrow_mut().extend(jobs),
                Err(Error::Refused { status, problem }) if status != 503 => {
                    refusals.add(problem.error);
                }
                Err(error) => return Err(error),
            }
            next.set(next.get() + 1);
        }
        Ok(())
    });
    match affected.borrow()[..] {
        [] => {}
        [only] => println!("{done} job {only}"),
        _ => println!("{done} {} jobs", affected.borrow().len()),
    }
    finished?;
    Ok(refusals.status())
}
