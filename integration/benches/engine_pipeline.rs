//! A pipeline of Snakemake in Slurm: through our pilot, and by Snakemake's own means.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    rc::Rc,
};

use integration::{EngineLab, pipeline_file};

use crate::{
    engines::Bench,
    section::{Bound, Candidate, Quantity, Section},
    spawner::Spawner,
    workbench::Workbench,
};

/// Snakemake's own means take minutes.
const ROUNDS: usize = 2;

/// As many cpus as this computer has.
const PILOT: &str = "mode = \"pilot\"\ncpus = 2\nmin_blocks = 1\nwalltime = \"2h\"";

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    let Some(snakemake) = snakemake() else {
        println!("skipped: Snakemake with its plugins is missing: run integration/setup.sh bench");
        return Vec::new();
    };
    let seen_by_nodes = snakemake.parent().and_then(Path::parent).expect("it is in a directory");
    let share = seen_by_nodes.to_str().expect("UTF-8");
    let lab = EngineLab::slurm(2, &["--cpus", "8", "--accounting", "--share", share]);
    let bench = lab.map(|lab| Bench { workbench, lab: Rc::new(lab) });
    bench.map(|bench| section(bench, &snakemake)).into_iter().collect()
}

/// Where `integration/setup.sh bench` puts it.
fn snakemake() -> Option<PathBuf> {
    let home = env::var_os("HOME")?;
    let file = Path::new(&home).join(".cache/redirector-tests/snakemake-plugins/bin/snakemake");
    file.is_file().then_some(file)
}

fn section(bench: Bench<'_>, snakemake: &Path) -> Section {
    let data = bench.lab.directory().join("data");
    let mut generate = Command::new(pipeline_file("gen-data.sh"));
    generate.arg(&data).args(["3", "2"]).stdin(Stdio::null()).stdout(Stdio::null());
    let generated = generate.status().expect("gen-data.sh can be started");
    assert!(generated.success(), "gen-data.sh ended with {generated}");

    let run = |options: &str| run(&bench, snakemake, &data, options);
    let pilot = bench.gateway("pipeline", &whitelist(), PILOT);
    let through_pilot = pilot.redirecting(run("--cores 2"), &bench.workbench.artefacts.stand_in);
    let submit = "sbatch --parsable --output=/dev/null --cpus-per-task={threads}";
    let generic =
        format!("--jobs 18 --executor cluster-generic --cluster-generic-submit-cmd '{submit}'");
    let slurm = "--jobs 18 --executor slurm --default-resources slurm_partition=main";
    let candidates = vec![
        Candidate::new("on this computer", run("--cores 2")),
        Candidate::new("our pilot", through_pilot).aiming_at(Quantity::Latency, Bound::AtMost(2.0)),
        Candidate::new("cluster-generic", run(&generic).without_warm_up()),
        Candidate::new("slurm plugin", run(slurm).without_warm_up()),
    ];
    Section {
        title: "The pipeline of 18 jobs by Snakemake in Slurm",
        baseline: 0,
        candidates,
        quantities: vec![Quantity::Latency],
        rounds: ROUNDS,
        calls: 1,
        check: Box::new(move || {
            // Those of a run: bwa mem and samtools sort are two, as are others of a pipe.
            pilot.demand_jobs(18);
            drop(pilot);
            drop(bench.lab);
            Vec::new()
        }),
    }
}

/// Snakemake in a new directory each time.
fn run(bench: &Bench<'_>, snakemake: &Path, data: &Path, options: &str) -> Spawner {
    let snakefile = pipeline_file("snakemake/Snakefile");
    let script = format!(
        "cd \"$(mktemp -d --tmpdir='{lab}')\" && {snakemake} -s {snakefile} \
         --directory \"$PWD\" --config data='{data}' --quiet all {options} >log 2>&1 ||
         {{ cat \"$PWD/log\" >&2; exit 1; }}",
        lab = bench.lab.directory().display(),
        snakemake = snakemake.display(),
        snakefile = snakefile.display(),
        data = data.display(),
    );
    let directory = bench.lab.directory();
    // On nodes there is nothing of what is below /tmp here.
    bench
        .by_slurm(&["/bin/bash", "-c", &script])
        .with([("HOME", &directory), ("TMPDIR", &directory)])
}

/// Every rule that makes jobs asks for the pool.
fn whitelist() -> String {
    let text = std::fs::read_to_string(pipeline_file("whitelist")).expect("beside the pipelines");
    let is_rule = |line: &&str| !line.is_empty() && !line.starts_with(['#', '!']);
    let with_pool = |line: &str| {
        if is_rule(&line) { format!("{line} pool=p\n") } else { format!("{line}\n") }
    };
    text.lines().map(with_pool).collect()
}
