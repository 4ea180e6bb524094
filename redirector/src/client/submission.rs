//! From an intercepted command to what is asked of the gateway.

use std::{fs, os::fd::RawFd, path::PathBuf};

use nix::{fcntl, sys::stat};

use crate::{
    agent::invocation::Invocation,
    model::{
        Amount, EngineOptions, Kind, NodeName, Placement, PoolList, PoolName, Resources, Retries,
        Rule, Spec, Text, file_name,
    },
    protocol::{PipeEnd, Submission},
    random,
};

/// What the whitelist says of a command.
#[derive(Debug)]
pub struct Decision {
    /// The line that decided.
    pub rule: Rule,
    /// Whether it makes the command a job (or, with `!`, keeps it here).
    pub redirects: bool,
    /// What it calls the command.
    pub name: String,
    /// What the command may hold.
    pub resources: Resources,
    /// Whether the rule says how many cpus; else they are the default's.
    pub names_cpus: bool,
    /// The longest that one attempt may run, in milliseconds.
    pub time_limit: Option<u64>,
    /// How often it is tried again.
    pub retries: Retries,
    /// Jobs of higher priority start first.
    pub priority: i32,
    /// Whether what the command starts may become jobs of its own.
    pub nested: bool,
    /// Where it may run.
    pub placement: Placement,
    /// Variables that it sets for the command.
    pub variables: Vec<(Text, Text)>,
    /// What could not be evaluated, for the person.
    pub problems: Vec<String>,
}

/// What a command gets that asks for nothing.
pub const DEFAULT_RESOURCES: Resources = Resources::new(Amount::ONE, 0);

/// The last line of `whitelists` that matches the command.
pub fn decide(whitelists: &[PathBuf], program: &[u8], arguments: &[Text]) -> Option<Decision> {
    let command = whitelist::Command { path: program, arguments };
    whitelists.iter().rev().find_map(|file| {
        let text = fs::read(file).ok()?;
        let (line, rule) = whitelist::decide(&text, &command)?;
        let request = rule.request(&command);
        Some(Decision {
            redirects: rule.redirects(),
            name: request.name.map_or_else(
                || default_name(program, arguments),
                |name| String::from_utf8_lossy(name).into_owned(),
            ),
            resources: resources(&request),
            names_cpus: request.cpus.is_some(),
            // To many tools a limit of 0 is none.
            time_limit: request.time.filter(|time| *time > 0).map(|time| time.saturating_mul(1000)),
            retries: request.retries.map_or(Retries::default(), |retries| {
                let whitelist::Retries { node, oom, exit } = retries;
                Retries { node, oom, exit }
            }),
            priority: request.priority.unwrap_or(0),
            nested: request.nested,
            placement: placement(&request),
            variables: request
                .env
                .iter()
                .map(|(name, value)| (Text::from(name), Text::from(value)))
                .collect(),
            problems: request.problems.iter().map(ToString::to_string).collect(),
            rule: Rule { file: file.clone().into(), line, pattern: rule.text().into() },
        })
    })
}

fn resources(request: &whitelist::Request) -> Resources {
    let cpus = request.cpus.map_or(DEFAULT_RESOURCES.cpus, Amount);
    let resources = Resources::new(cpus, request.mem.unwrap_or(DEFAULT_RESOURCES.mem));
    let gpus = request.gpus.map(|amount| (&b"gpus"[..], amount));
    let others = request.resources.iter().chain(gpus).filter(|(_, amount)| *amount > 0);
    others.fold(resources, |resources, (name, amount)| {
        match PoolName::new(String::from_utf8_lossy(name)) {
            Ok(name) => resources.with(name, Amount(amount)),
            // The whitelist has the same rules for names, and does not get here.
            Err(_) => resources,
        }
    })
}

fn placement(request: &whitelist::Request) -> Placement {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Placement {
        host: request.host.map(|name| NodeName(text(name))),
        pool: request.pool.map(|names| PoolList::from(text(names))),
        tags: request.tags.iter().map(text).collect(),
        stage: request.stage,
        options: engine_options(request),
        ..Placement::default()
    }
}

fn engine_options(request: &whitelist::Request) -> EngineOptions {
    let mut options = EngineOptions::default();
    for (key, value) in request.options.iter() {
        options.put(key, value);
    }
    options
}

/// The program's file name, with the sub-command if there is one: `samtools sort`.
fn default_name(program: &[u8], arguments: &[Text]) -> String {
    let name = file_name(program);
    match arguments.get(1).map(Text::as_bytes) {
        Some(word) if is_sub_command(word) => format!("{name} {}", String::from_utf8_lossy(word)),
        _ => name,
    }
}

/// Whether the first argument looks like one of `index`, `mem`, `bam2fq`: a short
/// word, no option and no file name.
fn is_sub_command(word: &[u8]) -> bool {
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    word.first().is_some_and(u8::is_ascii_alphabetic)
        && word.len() <= 24
        && word.iter().all(letters)
}

/// Everything the gateway needs to know of `invocation`, but for its environment, to which
/// the rule may yet add.
pub fn submission(
    invocation: &Invocation,
    decision: Option<Decision>,
    whitelists: &[PathBuf],
) -> Submission {
    let argv = invocation.argument_texts();
    let program = Text::from(invocation.program.as_bytes());
    let text = |name: &[u8]| {
        invocation
            .variable(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .filter(|text| !text.is_empty())
    };
    let name = decision
        .as_ref()
        .map_or_else(|| default_name(program.as_bytes(), &argv), |decision| decision.name.clone());
    let nested = decision.as_ref().is_some_and(|decision| decision.nested);
    let pipes = pipes(&argv);
    Submission {
        key: random::hex(&random::bytes::<16>()),
        run: text(b"REDIRECTOR_RUN"),
        token: text(b"REDIRECTOR_TOKEN"),
        pipes,
        environment: Vec::new(),
        sequential: false,
        whitelists: whitelists.iter().cloned().map(Text::from).collect(),
        spec: Spec {
            kind: if nested { Kind::Nested } else { Kind::Command },
            name,
            argv,
            program,
            directory: std::env::current_dir().map(Text::from).unwrap_or_default(),
            resources: decision
                .as_ref()
                .map_or(DEFAULT_RESOURCES, |decision| decision.resources.clone()),
            priority: decision.as_ref().map_or(0, |decision| decision.priority),
            time_limit: decision.as_ref().and_then(|decision| decision.time_limit),
            retries: decision.as_ref().map_or(Retries::default(), |decision| decision.retries),
            placement: decision
                .as_ref()
                .map_or_else(Placement::default, |decision| decision.placement.clone()),
            rule: decision.map(|decision| decision.rule),
            ..Spec::default()
        },
    }
}

/// The pipes that a command reads and writes: its standard descriptors, and those
/// that its arguments name (`/dev/fd/63`: process substitution).
fn pipes(argv: &[Text]) -> Vec<PipeEnd> {
    let named = argv.iter().flat_map(|argument| descriptors_named_in(argument.as_bytes()));
    let mut descriptors: Vec<RawFd> = (0..=2).chain(named).collect();
    descriptors.sort_unstable();
    descriptors.dedup();
    descriptors.into_iter().filter_map(pipe_end).collect()
}

fn descriptors_named_in(argument: &[u8]) -> impl Iterator<Item = RawFd> {
    [&b"/dev/fd/"[..], b"/proc/self/fd/"].into_iter().filter_map(|prefix| {
        let at = argument.windows(prefix.len()).position(|window| window == prefix)?;
        let digits: Vec<u8> =
            argument[at + prefix.len()..].iter().copied().take_while(u8::is_ascii_digit).collect();
        std::str::from_utf8(&digits).ok()?.parse().ok()
    })
}

fn pipe_end(descriptor: RawFd) -> Option<PipeEnd> {
    let descriptor = crate::agent::borrow_inherited(descriptor)?;
    let metadata = stat::fstat(descriptor).ok()?;
    if metadata.st_mode & stat::SFlag::S_IFMT.bits() != stat::SFlag::S_IFIFO.bits() {
        return None;
    }
    let flags = fcntl::fcntl(descriptor, fcntl::FcntlArg::F_GETFL).ok()?;
    let writes =
        fcntl::OFlag::from_bits_truncate(flags) & fcntl::OFlag::O_ACCMODE != fcntl::OFlag::O_RDONLY;
    Some(PipeEnd { device: metadata.st_dev, inode: metadata.st_ino, writes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_substitutions_are_found_wherever_they_stand_in_an_argument() {
        for (argument, descriptors) in [
            ("/dev/fd/63", &[63][..]),
            ("--in=/dev/fd/5", &[5]),
            ("/proc/self/fd/7", &[7]),
            ("/dev/fd/", &[]),
            ("/dev/fd/99999999999999", &[]),
            ("reads.fq", &[]),
        ] {
            let found: Vec<_> = descriptors_named_in(argument.as_bytes()).collect();
            assert_eq!(found, descriptors, "{argument}");
        }
    }

    #[test]
    fn a_rule_says_where_its_commands_run() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("whitelist");
        fs::write(&file, "bwa host=node7 pool=lab,local tags=big,fast stage=on qos=high\nsort\n")
            .unwrap();
        let decided = |program: &str| {
            let arguments = [Text::from(program)];
            decide(std::slice::from_ref(&file), program.as_bytes(), &arguments).unwrap().placement
        };
        let expected = Placement {
            host: Some(NodeName("node7".to_owned())),
            pool: Some(PoolList::from("lab,local")),
            tags: vec!["big".to_owned(), "fast".to_owned()],
            stage: Some(true),
            options: EngineOptions { qos: Some("high".to_owned()), ..EngineOptions::default() },
            ..Placement::default()
        };
        assert_eq!(decided("bwa"), expected);
        assert!(decided("sort").is_anywhere());
    }

    #[test]
    fn a_job_is_named_after_its_program_and_sub_command() {
        let name = |words: &[&str]| {
            let arguments: Vec<Text> = words.iter().map(|word| Text::from(*word)).collect();
            default_name(b"/usr/bin/samtools", &arguments)
        };
        assert_eq!(name(&["samtools", "sort", "-o"]), "samtools sort");
        assert_eq!(name(&["samtools", "-h"]), "samtools");
        assert_eq!(name(&["samtools", "reads.bam"]), "samtools");
        assert_eq!(name(&["samtools"]), "samtools");
    }
}
