//! On what, and beside how much else, was measured.

use std::{fmt, fs};

use serde::Serialize;

/// The machine.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cpus: usize,
    kernel: String,
}

/// The load averages of the last 1, 5 and 15 minutes. Waiting for a cpu makes the figures of all
/// candidates alike: where others keep the machine busy, ratios of wall times say little.
pub(crate) fn load_average() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

impl Machine {
    pub(crate) fn look() -> Self {
        let processors = read("/proc/cpuinfo");
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        Self {
            processor: model.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { processor, cpus, kernel } = self;
        write!(formatter, "{cpus} cpus ({processor}), Linux {kernel}")
    }
}
