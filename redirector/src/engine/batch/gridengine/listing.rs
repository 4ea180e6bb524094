//! What qstat prints as XML.

use jiff::{civil::DateTime, tz::TimeZone};
use quick_xml::{Reader, events::Event};

use super::submission::MARK;
use crate::{
    engine::batch::{End, EngineJobId, Status},
    model::Timestamp,
};

/// A job that has not ended, of `qstat -f -ne -xml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub id: EngineJobId,
    /// Letters, such as `r`, `qw`, `Eqw`.
    pub state: String,
    pub started: Option<Timestamp>,
    /// Where it runs: `QUEUE@HOST`.
    pub queue: Option<String>,
    /// Letters for what is wrong with that queue; `u`: its host does not answer.
    pub queue_state: String,
}

impl Listed {
    pub(super) fn is_held(&self) -> bool {
        self.state.contains('h')
    }

    /// State E, in which it stays until somebody deletes it or clears that.
    pub(super) fn could_not_be_started(&self) -> bool {
        self.state.contains('E')
    }

    fn host(&self) -> Option<String> {
        Some(self.queue.as_ref()?.split_once('@')?.1.to_owned())
    }

    pub(super) fn status(&self) -> Status {
        let is = |letter: char| self.state.contains(letter);
        if self.could_not_be_started() {
            return Status::Ended(End::Failed("Grid Engine could not start it".to_owned()));
        }
        // Started anew after its host was lost, in spite of `-r n`.
        if is('R') {
            return Status::Ended(End::Requeued);
        }
        if is('q') || is('w') {
            return Status::Pending { reason: self.state.clone() };
        }
        if is('d') {
            return Status::Ending;
        }
        let host = self.host();
        if self.queue_state.contains('u') {
            let host = host.unwrap_or_else(|| "its node".to_owned());
            return Status::Unknown {
                reason: format!("Grid Engine has not heard of {host} for some time (state u)"),
            };
        }
        Status::Running { host, started: self.started }
    }
}

/// Reads what `qstat -f -ne -xml` printed.
///
/// # Errors
/// A reason for the person, if it is not XML to its end.
pub(super) fn read(text: &str) -> Result<Vec<Listed>, String> {
    let mut jobs = Vec::new();
    let mut queue = Listed::default();
    // Jobs come before or after the state of their queue.
    let mut first_of_queue = 0;
    let mut job: Option<Listed> = None;
    walk(text, |path, step| match (path, step) {
        ([.., "Queue-List"], Step::Begin) => {
            queue = Listed::default();
            first_of_queue = jobs.len();
        }
        ([.., "Queue-List"], Step::End) => {
            for job in &mut jobs[first_of_queue..] {
                let job: &mut Listed = job;
                job.queue_state.clone_from(&queue.queue_state);
            }
            queue = Listed::default();
        }
        ([.., "Queue-List", "name"], Step::Text(text)) => queue.queue = Some(text),
        ([.., "Queue-List", "state"], Step::Text(text)) => queue.queue_state = text,
        ([.., "job_list"], Step::Begin) => {
            job = Some(Listed { queue: queue.queue.clone(), ..Listed::default() });
        }
        ([.., "job_list"], Step::End) => jobs.extend(job.take().filter(|job| !job.id.0.is_empty())),
        ([.., "job_list", field], Step::Text(text)) => {
            if let Some(job) = &mut job {
                match *field {
                    "JB_job_number" => job.id = EngineJobId(text),
                    "state" => job.state = text,
                    "JAT_start_time" => job.started = local_time(&text),
                    _ => {}
                }
            }
        }
        _ => {}
    })?;
    Ok(jobs)
}

/// What is read of `qstat -xml -j`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    pub id: EngineJobId,
    /// Of its context.
    pub mark: Option<String>,
    /// Why it could not be started.
    pub error: Option<String>,
}

/// Reads what `qstat -xml -j` printed, as far as it is XML: names of jobs are not always escaped.
pub(super) fn read_details(text: &str) -> Vec<Details> {
    let mut jobs: Vec<Details> = Vec::new();
    let mut variable = String::new();
    let walked = walk(text, |path, step| {
        let Step::Text(text) = step else { return };
        if let [.., "djob_info", "element", "JB_job_number"] = path {
            jobs.push(Details { id: EngineJobId(text), ..Details::default() });
            return;
        }
        let Some(job) = jobs.last_mut() else { return };
        match path {
            [.., "JB_context", "context_list", "VA_variable"] => variable = text,
            [.., "JB_context", "context_list", "VA_value"] if variable == MARK => {
                job.mark = Some(text);
            }
            [.., "JAT_message_list", "ulong_sublist", "QIM_message"] => job.error = Some(text),
            _ => {}
        }
    });
    if let Err(reason) = walked {
        tracing::debug!("qstat -xml -j: {reason}");
    }
    jobs
}

enum Step {
    Begin,
    Text(String),
    End,
}

/// Goes through a document: `visit` gets the names of the elements around each step.
fn walk(text: &str, mut visit: impl FnMut(&[&str], Step)) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let names = |path: &[String], visit: &mut dyn FnMut(&[&str], Step), step: Step| {
        let names: Vec<_> = path.iter().map(String::as_str).collect();
        visit(&names, step);
    };
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                path.push(start.name().as_ref().to_owned());
                content.clear();
                names(&path, &mut visit, Step::Begin);
            }
            Event::Text(text) => content.push_str(&text),
            Event::GeneralRef(reference) => content.push(character(&reference)),
            Event::End(_) => {
                let text = std::mem::take(&mut content);
                if !text.trim().is_empty() {
                    names(&path, &mut visit, Step::Text(text.trim().to_owned()));
                }
                names(&path, &mut visit, Step::End);
                path.pop();
            }
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err(format!("it ends within <{}>", path.join("><"))),
            _ => {}
        }
    }
}

/// What `&NAME;` stands for.
fn character(name: &str) -> char {
    match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => '\u{fffd}',
    }
}

/// A time that qstat wrote, which is in this computer's zone.
fn local_time(text: &str) -> Option<Timestamp> {
    let time: DateTime = text.parse().ok()?;
    let milliseconds = time.to_zoned(TimeZone::system()).ok()?.timestamp().as_millisecond();
    Some(Timestamp(milliseconds.try_into().ok()?))
}

#[cfg(test)]
mod tests;
