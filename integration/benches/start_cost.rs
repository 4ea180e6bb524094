//! What libshim.so costs every program start that is none of its business.

use std::{fmt::Write, path::Path};

use crate::{
    section::{Bound, Candidate, Quantity, Section},
    spawner::Start,
    workbench::Workbench,
};

/// libshim.so may cost three percent more than a library that does nothing.
const TARGET: (Quantity, Bound) = (Quantity::Cpu, Bound::AtMost(1.03));

pub(crate) fn sections(workbench: &Workbench) -> Vec<Section> {
    [
        (Start::PosixSpawn, "Start of /bin/true, not redirected, by posix_spawn"),
        (Start::Vfork, "Start of /bin/true, not redirected, by vfork and execve"),
    ]
    .into_iter()
    .map(|(start, title)| Section {
        title,
        baseline: 1,
        candidates: candidates(workbench, start),
        quantities: vec![Quantity::Cpu, Quantity::Latency],
        rounds: 300,
        calls: 20,
        check: Box::new(Vec::new),
    })
    .collect()
}

fn candidates(workbench: &Workbench, start: Start) -> Vec<Candidate> {
    let mut plain = workbench.spawn(&["/bin/true"]);
    plain.start = start;
    let preloading = |library: &Path| plain.clone().preloading(library);
    let shim = |whitelist: &str| {
        preloading(&workbench.artefacts.libshim).with([("REDIRECTOR_WHITELIST", whitelist)])
    };
    let file =
        |name: &str, text: &str| workbench.whitelist(name, text).to_string_lossy().into_owned();
    let one = file("one-rule", "bwa mem cpus=-t\n");
    let many = file("two-hundred-rules", &two_hundred_rules());
    let presets = ["bioinformatics", "build-tools"]
        .map(|name| {
            format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../whitelist/presets/{}.whitelist"), name)
        })
        .join(":");
    let (quantity, bound) = TARGET;
    vec![
        Candidate::new("no preload", plain.clone()),
        Candidate::new("empty library", preloading(&workbench.empty_library())),
        Candidate::new("libshim.so, 1 rule", shim(&one)).aiming_at(quantity, bound),
        Candidate::new("libshim.so, 200 rules", shim(&many)).aiming_at(quantity, bound),
        Candidate::new("libshim.so, both presets", shim(&presets)).aiming_at(quantity, bound),
        Candidate::new("redhook, no work", preloading(&Workbench::built("libredhook_baseline.so"))),
    ]
}

/// Rules of the usual kinds, none of which matches.
fn two_hundred_rules() -> String {
    let mut text = String::new();
    for number in 0..50 {
        writeln!(
            text,
            "tool{number} sort cpus=-@+1 mem=2G*cpus\n\
             aligner{number} * cpus=-t|--threads:4 mem=8G\n\
             java ... -jar *program{number}.jar mem=-Xmx:4G\n\
             /opt/site{number}/bin/* time=4h"
        )
        .expect("a string can be written to");
    }
    text
}
