//! The pipelines of `pipelines/`, and how two runs of one are compared.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Files, Finished, Missing, Session, Way, find_program, finish, pipeline_file, programs::skip,
};

const SAMPLES: usize = 3;
const CHROMOSOMES: usize = 2;

/// How many jobs each command makes. `bcftools view -H` is not among them: a rule keeps it here.
const EXPECTED_JOBS: [(&str, usize); 11] = [
    ("bcftools call", CHROMOSOMES),
    ("bcftools concat", 1),
    ("bcftools index", CHROMOSOMES + 1),
    ("bcftools mpileup", CHROMOSOMES),
    ("bcftools stats", 1),
    ("bwa index", 1),
    ("bwa mem", SAMPLES),
    ("samtools faidx", 1),
    ("samtools flagstat", SAMPLES),
    ("samtools index", SAMPLES),
    ("samtools sort", SAMPLES),
];

/// The same work for one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// A script, with pipes and background jobs.
    Bash,
    /// `make -j2`
    Make,
    /// Snakemake, two rules at a time.
    Snakemake,
}

/// What a run left behind.
pub struct Results {
    /// Its files.
    pub files: Files,
    /// What `check.sh` says of them.
    pub verdict: Finished,
}

impl Pipeline {
    /// Whether the driver and the tools are there; says what is not.
    pub fn is_installed(self) -> bool {
        let part = format!("the {self:?} pipeline");
        let tools = ["bwa", "samtools", "bcftools", "wgsim"];
        let missing = tools.into_iter().find(|tool| find_program(tool).is_none());
        let missing = missing
            .or((self == Self::Snakemake && find_snakemake().is_none()).then_some("snakemake"));
        if let Some(missing) = missing {
            skip(&part, missing, Missing::FailAfterSetup);
        }
        missing.is_none()
    }

    /// Makes the reads that [`Pipeline::run`] works on; `data` is a new directory.
    ///
    /// # Panics
    ///
    /// When they cannot be made.
    #[track_caller]
    pub fn make_data(session: &Session, data: &Path) {
        let counts = [SAMPLES, CHROMOSOMES].map(|count| count.to_string());
        let mut command =
            session.command(Way::Plain, pipeline_file("gen-data.sh"), [data.as_os_str()]);
        finish(command.args(counts)).expect_success("gen-data.sh");
    }

    /// How to start it for the reads in `data` and a new directory `out`.
    ///
    /// # Panics
    ///
    /// When what it needs is not there.
    pub fn command(self, data: &Path, out: &Path) -> (PathBuf, Vec<String>) {
        let (data, out) = (text(data), text(out));
        match self {
            Self::Bash => {
                let script = text(&pipeline_file("bash/pipeline.sh"));
                ("bash".into(), vec![script, data, out])
            }
            Self::Make => {
                fs::create_dir(&out).expect("a new directory");
                let makefile = text(&pipeline_file("make/Makefile"));
                let data = format!("DATA={data}");
                let arguments = ["-s", "-j2", "-C", &out, "-f", &makefile, &data];
                ("make".into(), arguments.map(String::from).into())
            }
            Self::Snakemake => {
                let snakefile = text(&pipeline_file("snakemake/Snakefile"));
                let data = format!("data={data}");
                let arguments = [
                    "-s",
                    &snakefile,
                    "--directory",
                    &out,
                    "--config",
                    &data,
                    "-j",
                    "2",
                    "--quiet",
                    "all",
                ];
                let program = find_snakemake().expect("is_installed was asked");
                (program, arguments.map(String::from).into())
            }
        }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    ///
    /// When it fails, or what it left is wrong.
    #[track_caller]
    pub fn run(self, session: &Session, way: Way, data: &Path, out: &Path) -> Results {
        let (program, arguments) = self.command(data, out);
        let what = format!("the {self:?} pipeline, {way:?}");
        finish(&mut session.command(way, program, arguments)).expect_success(&what);
        Self::results(session, data, out)
    }

    /// What a run left in `out`.
    ///
    /// # Panics
    ///
    /// When it is wrong.
    #[track_caller]
    pub fn results(session: &Session, data: &Path, out: &Path) -> Results {
        let mut check = session.command(Way::Plain, pipeline_file("check.sh"), [data, out]);
        // In the logs of bwa and `bcftools concat` the seconds that the work took are blanked: they
        // differ between any two runs. Everything else is the same bytes in two plain runs.
        let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
        // Snakemake's own book-keeping has run times and process ids.
        let files = Files::read(out, &[".snakemake"]).normalised(is_log, without_seconds);
        assert!(files.len() > 25, "{} has {} files only", out.display(), files.len());
        Results { files, verdict: finish(&mut check).expect_success("check.sh") }
    }

    /// Demands that every whitelisted command of one run became one job that ended well, all in
    /// the same run.
    ///
    /// # Panics
    ///
    /// When it is not so.
    #[track_caller]
    pub fn assert_jobs(what: &str, session: &Session) {
        let jobs = session.commands();
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for job in &jobs {
            let command = format!("{} {}", job.program(), job.argv[1]);
            *counted.entry(command).or_default() += 1;
            assert_eq!(job.state, "finished", "{what}: {job:?}");
            assert_eq!(job.ending(), "exited(0)", "{what}: {job:?}");
        }
        let expected = EXPECTED_JOBS.map(|(command, count)| (command.to_owned(), count)).into();
        assert_eq!(counted, expected, "{what}: jobs by command");

        let runs: HashSet<_> = jobs.iter().map(|job| &job.run).collect();
        assert!(runs.len() == 1 && !runs.contains(&None), "{what}: not one run but {runs:?}");
    }

    /// The whitelist that makes jobs of their commands.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub fn whitelist() -> String {
        fs::read_to_string(pipeline_file("whitelist")).expect("it is beside the pipelines")
    }
}

/// Where `integration/setup.sh` puts it, else the one on the `PATH`.
fn find_snakemake() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    let installed = Path::new(&home).join(".cache/redirector-tests/snakemake/bin/snakemake");
    if installed.is_file() { Some(installed) } else { find_program("snakemake") }
}

fn text(path: &Path) -> String {
    path.to_str().expect("the paths of these tests are UTF-8").to_owned()
}

/// `0.188 CPU sec, 0.194 real sec` becomes `TIME CPU sec, TIME real sec`.
fn without_seconds(log: &str) -> String {
    let is_unit = |word: Option<&&str>| word.is_some_and(|word| word.starts_with("sec"));
    let line_without = |line: &str| {
        let words: Vec<&str> = line.split([' ', '\t']).collect();
        let blanked = words.iter().enumerate().map(|(index, word)| {
            let counts_seconds = word.contains('.')
                && word.parse::<f64>().is_ok()
                && (is_unit(words.get(index + 1)) || is_unit(words.get(index + 2)));
            if counts_seconds { "TIME" } else { word }
        });
        blanked.collect::<Vec<_>>().join(" ")
    };
    log.lines().map(line_without).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_seconds_are_blanked() {
        assert_eq!(
            without_seconds(
                "[main] Real time: 0.214 sec; CPU: 0.201 sec\nstd.dev: (499.59, 49.44)\n"
            ),
            "[main] Real time: TIME sec; CPU: TIME sec\nstd.dev: (499.59, 49.44)"
        );
        assert_eq!(
            without_seconds("Processed 10000 reads in 0.188 CPU sec, 0.194 real sec"),
            "Processed 10000 reads in TIME CPU sec, TIME real sec"
        );
    }
}
