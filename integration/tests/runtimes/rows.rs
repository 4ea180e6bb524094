//! What a row of the matrix is, and how it is tried.
//!
//! The rows of one runtime share a session, which takes most of the time of a short one:
//!
//! ```ignore
//! Rows::of("dash").row("fork", ["sh", "-c", "probe LABEL; exit 3"]).try_all();
//! ```

use std::{fs, path::Path};

use integration::{Missing, Session, Way, assert_same, find_program, finish, skip};

/// Stands for the row's own label wherever a command names it.
const LABEL: &str = "LABEL";

/// The starts of `probe` that one runtime makes.
pub(crate) struct Rows {
    runtime: String,
    session: Session,
    commands: Vec<Row>,
}

struct Row {
    /// Whitelisted starts that this command makes, by the first argument that each gives `probe`.
    labels: Vec<String>,
    /// How many jobs each of them is.
    jobs_each: usize,
    command: Vec<String>,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn of(runtime: &str) -> Self {
        let session = Session::new("probe *\nstatic-probe *\n");
        Self { runtime: runtime.to_owned(), session, commands: Vec::new() }
    }

    /// The rows of a runtime that consists of these programs; none, reported as skipped, when one
    /// of them is not installed.
    pub(crate) fn of_installed(runtime: &str, programs: &[&str], missing: Missing) -> Option<Self> {
        match programs.iter().find(|program| find_program(program).is_none()) {
            None => Some(Self::of(runtime)),
            Some(program) => {
                skip(&format!("runtime {runtime}"), program, missing);
                None
            }
        }
    }

    /// Working directory of the commands.
    pub(crate) fn directory(&self) -> std::path::PathBuf {
        self.session.directory()
    }

    /// Puts a file into the working directory; `LABEL` in it stands for the word `label`.
    pub(crate) fn file(self, name: &str, label: &str, content: &str) -> Self {
        fs::write(self.directory().join(name), content.replace(LABEL, label))
            .expect("the session's directory is writable");
        self
    }

    /// A command that starts `probe LABEL` once.
    pub(crate) fn row<const N: usize>(self, label: &str, command: [&str; N]) -> Self {
        self.row_of_jobs(1, label, command)
    }

    /// A command that starts `probe LABEL` so often.
    pub(crate) fn row_of_jobs<const N: usize>(
        mut self,
        jobs_each: usize,
        label: &str,
        command: [&str; N],
    ) -> Self {
        let command = command.map(|word| word.replace(LABEL, label)).into();
        self.commands.push(Row { labels: vec![label.to_owned()], jobs_each, command });
        self
    }

    /// A program that takes the ways to start `probe` as arguments, each way the label of one start.
    pub(crate) fn ways(mut self, program: &[&str], ways: &[&str]) -> Self {
        let command = program.iter().chain(ways).map(ToString::to_string).collect();
        let labels = ways.iter().map(ToString::to_string).collect();
        self.commands.push(Row { labels, jobs_each: 1, command });
        self
    }

    /// Runs every row plain and redirected, then looks for the jobs.
    #[track_caller]
    pub(crate) fn try_all(self) {
        for row in &self.commands {
            let what = format!("{}: {:?}", self.runtime, row.command);
            let run = |way| {
                let (program, arguments) = row.command.split_first().expect("a row has a command");
                finish(&mut self.session.command(way, program, arguments))
            };
            let plain = run(Way::Plain);
            for label in &row.labels {
                let started = plain.text().contains(&format!("argv[1]={label}"));
                assert!(started, "{what}: the plain run never started 'probe {label}': {plain}");
            }
            assert_same(&what, &plain, &run(Way::Preloaded));
        }

        let jobs = self.session.commands();
        for row in &self.commands {
            for label in &row.labels {
                let started = jobs.iter().filter(|job| job.argv.get(1) == Some(label)).count();
                assert_eq!(
                    started, row.jobs_each,
                    "{}: jobs of 'probe {label}' started by {:?}",
                    self.runtime, row.command
                );
            }
        }
        let expected: usize =
            self.commands.iter().map(|row| row.labels.len() * row.jobs_each).sum();
        assert_eq!(jobs.len(), expected, "{}: jobs that no row asked for: {jobs:?}", self.runtime);
    }
}

/// A path as the text that rows are made of.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of these tests are UTF-8")
}
