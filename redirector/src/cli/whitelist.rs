//! `redirector whitelist`

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{FAILURE, Outcome, SUCCESS, output};
use crate::{
    client::{
        run::find_program,
        submission::{self, Decision},
    },
    model::{Placement, Resources, Retries, Rule, Text, shell_line},
    place,
    units::format_duration,
};

/// Check the whitelist, or ask what it says of a command
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report every line that is not a rule, with its place and what was expected
    Check {
        /// Whitelists [default: those that count here]
        files: Vec<PathBuf>,
    },
    /// Show which rule decides about a command, and what it asks for
    Explain {
        /// A JSON object; `null` if no rule matches
        #[arg(long)]
        json: bool,
        /// The command
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Print the whitelists that count here, and where they are looked for
    Path,
    /// Print a ready-made whitelist to start from
    Preset {
        /// Which; without it, the names of all
        name: Option<String>,
    },
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    match &arguments.command {
        Command::Check { files } => check(files),
        Command::Explain { json, command } => explain(*json, command),
        Command::Path => path(),
        Command::Preset { name } => preset(name.as_deref()),
    }
}

fn check(files: &[PathBuf]) -> Outcome {
    let files =
        if files.is_empty() { place::whitelists().unwrap_or_default() } else { files.to_vec() };
    if files.is_empty() {
        bail!("there is no whitelist; 'redirector whitelist path' shows where one is looked for");
    }
    let mut problems = 0;
    for file in &files {
        let text = fs::read(file)
            .with_context(|| format!("cannot read the whitelist {}", file.display()))?;
        for (line, problem) in whitelist::problems(&text) {
            problems += 1;
            println!("{}:{line}:{}: {problem}", file.display(), problem.column);
        }
        let rules = whitelist::Rules::new(&text).filter(|(_, rule)| rule.is_ok()).count();
        println!("{}: {rules} rules", file.display());
    }
    Ok(if problems == 0 { SUCCESS } else { FAILURE })
}

/// What the whitelist says of a command, for scripts.
#[derive(Serialize)]
struct Explanation {
    redirected: bool,
    rule: Rule,
    name: String,
    resources: Resources,
    time_limit: Option<u64>,
    retries: Retries,
    priority: i32,
    nested: bool,
    placement: Placement,
    problems: Vec<String>,
}

fn explain(json: bool, command: &[OsString]) -> Outcome {
    let argv: Vec<Text> = command.iter().cloned().map(Text::from).collect();
    let name = argv[0].to_string_lossy().into_owned();
    let whitelists = place::whitelists().unwrap_or_default();
    let found = find_program(&name);
    let program = found.as_ref().map_or(argv[0].as_bytes(), |program| program.as_bytes());
    let decision = submission::decide(&whitelists, program, &argv);
    if json {
        output::json(&decision.map(|decision| Explanation {
            redirected: decision.redirects,
            rule: decision.rule,
            name: decision.name,
            resources: decision.resources,
            time_limit: decision.time_limit,
            retries: decision.retries,
            priority: decision.priority,
            nested: decision.nested,
            placement: decision.placement,
            problems: decision.problems,
        }))?;
        return Ok(SUCCESS);
    }
    println!("command   {}", shell_line(&argv));
    match &found {
        Some(program) => println!("program   {}", program.to_string_lossy()),
        None => println!("program   {name} (not found here, so it would not be redirected)"),
    }
    match decision {
        None => println!("decision  runs here: no rule matches"),
        Some(decision) => describe(&decision),
    }
    Ok(SUCCESS)
}

fn describe(decision: &Decision) {
    let rule = &decision.rule;
    let place = format!("{}:{}", rule.file.to_string_lossy(), rule.line);
    let pattern = rule.pattern.to_string_lossy();
    if !decision.redirects {
        println!("decision  runs here: rule '!{pattern}' ({place})");
        return;
    }
    println!("decision  becomes a job: rule '{pattern}' ({place})");
    println!("asks for  {}", decision.resources);
    if let Some(limit) = decision.time_limit {
        println!("time      at most {}", format_duration(Duration::from_millis(limit)));
    }
    if !decision.retries.is_none() {
        println!("retries   {}", decision.retries);
    }
    if !decision.placement.is_anywhere() {
        println!("placement {}", decision.placement);
    }
    println!("name      {}", decision.name);
    if decision.nested {
        println!("nested    what it starts may become jobs, to which it lends its resources");
    }
    for problem in &decision.problems {
        println!("problem   {problem}");
    }
}

fn path() -> Outcome {
    match place::whitelists() {
        Some(files) if !files.is_empty() => {
            for file in files {
                let note = if file.is_file() { "" } else { "  (missing)" };
                println!("{}{note}", file.display());
            }
            Ok(SUCCESS)
        }
        _ => {
            println!("no whitelist, so every command runs here; looked for");
            println!("  $REDIRECTOR_WHITELIST (a colon-separated list)");
            for place in place::whitelist_candidates() {
                println!("  {}", place.display());
            }
            println!("'redirector whitelist preset bioinformatics > FILE' makes one to start from");
            Ok(FAILURE)
        }
    }
}

fn preset(name: Option<&str>) -> Outcome {
    let Some(name) = name else {
        for preset in whitelist::presets() {
            println!("{}", preset.name);
        }
        return Ok(SUCCESS);
    };
    let preset = whitelist::presets().iter().find(|preset| preset.name == name);
    let preset = preset.with_context(|| {
        let names: Vec<_> = whitelist::presets().iter().map(|preset| preset.name).collect();
        format!("there is no preset '{name}'; there are {}", names.join(", "))
    })?;
    output::text(preset.text)?;
    Ok(SUCCESS)
}
