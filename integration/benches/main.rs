//! What the redirector costs, measured on this machine: `integration/bench.sh [--quick] [GROUP…]`.
//!
//! A [`section::Section`] is one question with its candidates. They are measured round by round,
//! each candidate once a round in a new random order, so that whatever else the machine does meets
//! all of them; a ratio is the median of the ratios of values from the same round. Nothing here
//! passes or fails by a figure: the project's targets are printed beside what was measured.
//!
//! All commands are started by `spawner.c`. Results go to standard output as tables and to
//! `target/bench.json`.

mod clients;
mod crowd;
mod detached;
mod engine_pipeline;
mod engines;
mod gateway;
mod hosts;
mod latency;
mod machine;
mod random;
mod report;
mod section;
mod spawner;
mod start_cost;
mod statistics;
mod throughput;
mod workbench;

use std::{env, process::ExitCode};

use machine::Machine;
use workbench::{Effort, Workbench};

type Group = (&'static str, fn(&Workbench) -> Vec<section::Section>);

const GROUPS: [Group; 9] = [
    ("start-cost", start_cost::sections),
    ("latency", latency::sections),
    ("throughput", throughput::sections),
    ("clients", clients::sections),
    ("detached", detached::sections),
    ("crowd", crowd::sections),
    ("hosts", hosts::sections),
    ("engines", engines::sections),
    ("engine-pipeline", engine_pipeline::sections),
];

fn main() -> ExitCode {
    let mut effort = Effort::Full;
    let mut wanted = Vec::new();
    for argument in env::args().skip(1) {
        if argument == "--quick" {
            effort = Effort::Quick;
        } else if let Some(group) = GROUPS.iter().find(|(name, _)| *name == argument) {
            wanted.push(*group);
        } else {
            let names = GROUPS.map(|(name, _)| name).join(", ");
            eprintln!("usage: integration/bench.sh [--quick] [GROUP…], with the groups {names}");
            eprintln!("'{argument}' is none of these");
            return ExitCode::FAILURE;
        }
    }
    if wanted.is_empty() {
        wanted = GROUPS.to_vec();
    }
    let workbench = Workbench::set_up(effort);
    let machine = Machine::look();
    println!("{machine}");
    let mut results = Vec::new();
    for section in wanted.iter().flat_map(|(_, sections)| sections(&workbench)) {
        let result = section.measure(effort);
        println!("\n{result}");
        results.push(result);
    }
    let file = report::write(&machine, effort, &results);
    println!("written to {}", file.display());
    ExitCode::SUCCESS
}
