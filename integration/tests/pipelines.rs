//! Unmodified pipelines on real tools: every byte of their results is the same plain and
//! redirected, and every command that the whitelist names was a job of one run.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use integration::{
    Files, Finished, Missing, Session, Way, assert_same_files, find_program, finish, pipeline_file,
    skip,
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

#[test]
fn bash() {
    compare("bash", |data, out| {
        let script = pipeline_file("bash/pipeline.sh");
        ("bash".into(), [&script, data, out].map(text).into())
    });
}

#[test]
fn make() {
    compare("make -j2", |data, out| {
        fs::create_dir(out).expect("a new directory");
        let data = format!("DATA={}", data.display());
        let makefile = text(pipeline_file("make/Makefile"));
        let arguments = ["-s", "-j2", "-C", &text(out), "-f", &makefile, &data];
        ("make".into(), arguments.map(String::from).into())
    });
}

#[test]
fn snakemake() {
    let Some(snakemake) = find_snakemake() else {
        return skip("the snakemake pipeline", "snakemake", Missing::FailAfterSetup);
    };
    compare("snakemake", |data, out| {
        let data = format!("data={}", data.display());
        let snakefile = text(pipeline_file("snakemake/Snakefile"));
        let out = text(out);
        let arguments =
            ["-s", &snakefile, "--directory", &out, "--config", &data, "-j", "2", "--quiet", "all"];
        (text(&snakemake), arguments.map(String::from).into())
    });
}

/// Where `integration/setup.sh` puts it, else the one on the `PATH`.
fn find_snakemake() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    let installed = Path::new(&home).join(".cache/redirector-tests/snakemake/bin/snakemake");
    if installed.is_file() { Some(installed) } else { find_program("snakemake") }
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().expect("the paths of these tests are UTF-8").to_owned()
}

/// Runs a pipeline plain and in each redirected way; `command` says how to start it for a data and
/// an output directory.
fn compare(name: &str, command: impl Fn(&Path, &Path) -> (String, Vec<String>)) {
    let missing = ["bwa", "samtools", "bcftools", "wgsim"].map(|tool| (tool, find_program(tool)));
    if let Some((tool, _)) = missing.iter().find(|(_, found)| found.is_none()) {
        return skip(&format!("the {name} pipeline"), tool, Missing::FailAfterSetup);
    }
    let whitelist = fs::read_to_string(pipeline_file("whitelist")).expect("it is beside the tests");

    let session = Session::new(&whitelist);
    let data = session.directory().join("data");
    let counts = [SAMPLES, CHROMOSOMES].map(|count| count.to_string());
    finish(session.command(Way::Plain, pipeline_file("gen-data.sh"), [&text(&data)]).args(&counts))
        .expect_success("gen-data.sh");
    let run = |session: &Session, way: Way| {
        let out = session.directory().join("out");
        let (program, arguments) = command(&data, &out);
        let what = format!("the {name} pipeline, {way:?}");
        finish(&mut session.command(way, program, arguments)).expect_success(&what);
        (results(&out), check(session, &data, &out))
    };

    let (plain_files, plain_check) = run(&session, Way::Plain);
    assert!(plain_files.len() > 25, "{name} left {} files only", plain_files.len());
    for way in Way::REDIRECTED {
        let session = Session::new(&whitelist);
        let what = format!("the {name} pipeline, {way:?}");
        let (files, verdict) = run(&session, way);
        assert_same_files(&what, &plain_files, &files);
        assert_eq!(verdict.stdout, plain_check.stdout, "{what}: check.sh");
        assert_jobs(&what, &session);
    }
}

/// Everything in the output directory but snakemake's own book-keeping (run times, process ids).
///
/// In the logs of bwa and `bcftools concat` the seconds that the work took are blanked: they differ
/// between any two runs. Everything else is the same bytes in two plain runs, and is compared so.
fn results(out: &Path) -> Files {
    let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
    Files::read(out, &[".snakemake"]).normalised(is_log, without_seconds)
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

#[test]
fn only_seconds_are_blanked() {
    assert_eq!(
        without_seconds("[main] Real time: 0.214 sec; CPU: 0.201 sec\nstd.dev: (499.59, 49.44)\n"),
        "[main] Real time: TIME sec; CPU: TIME sec\nstd.dev: (499.59, 49.44)"
    );
    assert_eq!(
        without_seconds("Processed 10000 reads in 0.188 CPU sec, 0.194 real sec"),
        "Processed 10000 reads in TIME CPU sec, TIME real sec"
    );
}

/// The variants that were put into the reads were found.
fn check(session: &Session, data: &Path, out: &Path) -> Finished {
    finish(&mut session.command(Way::Plain, pipeline_file("check.sh"), [data, out]))
        .expect_success("check.sh")
}

/// Every whitelisted command became one job that ended well, all in the same run.
fn assert_jobs(what: &str, session: &Session) {
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
