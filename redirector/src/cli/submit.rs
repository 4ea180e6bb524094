//! `redirector submit`

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use super::{
    Outcome, SUCCESS,
    after::{self, After},
    elements::{self, Numbers},
    output,
    run::invocation,
    wait, with_gateway,
};
use crate::{
    client::{
        exec::say,
        submit::{self, Prepared, Wishes},
    },
    config::{parse_bytes, parse_cpus, parse_duration},
    model::{Amount, JobId, PoolName, Retries},
    protocol::{Elements, Submitted},
};

/// Submit jobs that nobody waits for
///
/// Prints the job's number, or 'FIRST-LAST' for an array. What a job writes is kept: 'redirector
/// logs' prints it. The whitelist's rule for the command says what it asks for; the options here
/// go over it. What the whitelist names becomes a job of its own also inside, so that a whole
/// pipeline can be submitted.
#[derive(clap::Args)]
#[command(after_help = "\
One pipeline a line:  redirector submit --each samples.txt -- snakemake --config sample={}
One number each:      redirector submit --array 1-1000 -- simulate --seed {}
After both:           redirector submit --after 7-1006,1007 -- summarise results/

'{}' in the command or in --name is the element's value. Without it, a line of --each becomes the
last argument, as xargs has it; a number of --array is in $REDIRECTOR_ELEMENT only, where lines are
too. In a shell's script write \"$REDIRECTOR_ELEMENT\" and not {}, so that the shell does not read
the value as a part of the script.")]
pub(super) struct Arguments {
    /// A job for each number, such as 1-1000 or 0-90:10 (with a step)
    #[arg(long, value_name = "NUMBERS", conflicts_with = "each")]
    array: Option<Numbers>,
    /// A job for each line of a file that is not empty; '-' is standard input
    #[arg(long, value_name = "FILE")]
    each: Option<PathBuf>,
    /// Start when these jobs have ended: 7, 7-9, 7,9:any; with success unless ':any' or ':fail'
    /// is said. May be given several times
    #[arg(long, value_name = "ID[,ID][:CONDITION]")]
    after: Vec<After>,
    /// How many cpus each holds, such as 4 or 0.5 [default: the rule's, or 1]
    #[arg(long, value_parser = parse_cpus, value_name = "COUNT")]
    cpus: Option<Amount>,
    /// How much memory each holds, such as 8G
    #[arg(long, value_parser = parse_bytes, value_name = "AMOUNT")]
    mem: Option<u64>,
    /// The longest that each may run, such as 90s, 30m, 4h
    #[arg(long, value_parser = parse_time, value_name = "TIME")]
    time: Option<Duration>,
    /// How many graphics processors each holds, such as 1 or 0.5
    #[arg(long, value_parser = parse_amount, value_name = "COUNT")]
    gpus: Option<Amount>,
    /// What else each holds, such as licences=2, of what nodes have ('redirector nodes')
    #[arg(long, value_parser = parse_resource, value_name = "NAME=AMOUNT")]
    resource: Vec<(PoolName, Amount)>,
    /// What listings call the jobs [default: the rule's name, or the program's]
    #[arg(long)]
    name: Option<String>,
    /// Jobs of higher priority start first [default: the rule's, or 0]
    #[arg(long, allow_negative_numbers = true, value_name = "NUMBER")]
    priority: Option<i32>,
    /// How often they are tried again after a failure: 2, or by cause: node:3,oom:2,exit:1
    #[arg(long, value_name = "RETRIES")]
    retries: Option<Retries>,
    /// Keep them from starting until 'redirector release'
    #[arg(long)]
    hold: bool,
    /// Run them and all that comes out of them one at a time, in the order of submission
    #[arg(long)]
    sequential: bool,
    /// The working directory [default: the current one]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Wait for their end, and end with the exit status of the first that failed
    #[arg(long)]
    wait: bool,
    /// A JSON object with the numbers, or with --wait an array of the jobs' records
    #[arg(long)]
    json: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.is_zero() {
        return Err("nothing ends in no time; leave the option out for any time".to_owned());
    }
    Ok(time)
}

fn parse_amount(text: &str) -> Result<Amount, String> {
    parse_cpus(text).map_err(|_| format!("expected an amount such as 1 or 0.5, found '{text}'"))
}

fn parse_resource(text: &str) -> Result<(PoolName, Amount), String> {
    let (name, amount) = text.split_once('=').ok_or_else(|| {
        format!("expected a name and an amount such as licences=2, found '{text}'")
    })?;
    if ["cpus", "mem"].contains(&name) {
        return Err(format!("'{name}' has an option of its own: --{name} {amount}"));
    }
    let pool = PoolName::new(name).map_err(|error| error.to_string())?;
    Ok((pool, parse_amount(amount)?))
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let (wait, json) = (arguments.wait, arguments.json);
    let Prepared { submission, problems } = prepare(arguments)?;
    for problem in problems {
        say(&problem);
    }
    let Submitted { first, last } = with_gateway(async |client| client.submit(&submission).await)?;
    match (json, wait) {
        (true, false) => output::json(&Submitted { first, last })?,
        // Its records tell, once there are any.
        (true, true) => {}
        (false, _) if first == last => println!("{first}"),
        (false, _) => println!("{first}-{last}"),
    }
    if !wait {
        return Ok(SUCCESS);
    }
    let ids: Vec<_> = (first.0..=last.0).map(JobId).collect();
    wait::wait_for(&ids, json)
}

fn prepare(arguments: Arguments) -> anyhow::Result<Prepared> {
    let elements = match (arguments.array, &arguments.each) {
        (Some(numbers), _) => Some(numbers.into()),
        (None, Some(file)) => Some(elements::read_lines(file)?),
        (None, None) => None,
    };
    let command = with_place(arguments.command, elements.as_ref())?;
    let gpus = arguments.gpus.map(|amount| Ok((PoolName::new("gpus")?, amount)));
    let gpus: Option<anyhow::Result<_>> = gpus;
    let wishes = Wishes {
        name: arguments.name,
        cpus: arguments.cpus,
        mem: arguments.mem,
        pools: arguments.resource.into_iter().chain(gpus.transpose()?).collect(),
        time_limit: arguments.time,
        priority: arguments.priority,
        retries: arguments.retries,
        after: after::dependencies(&arguments.after)?,
        elements,
        held: arguments.hold,
        sequential: arguments.sequential,
        directory: arguments.directory.as_deref().map(checked_directory).transpose()?,
    };
    Ok(submit::prepare(invocation(command)?, wishes)?)
}

/// The command with a place for the element's value, if it has elements.
fn with_place(
    mut command: Vec<OsString>,
    elements: Option<&Elements>,
) -> anyhow::Result<Vec<OsString>> {
    let Some(elements) = elements else { return Ok(command) };
    if elements::has_place(&command[0]) {
        bail!(
            "{}: the program has to be the same for all elements; write 'env' before it; \
             nothing was submitted",
            command[0].display()
        );
    }
    if matches!(elements, Elements::Lines(_)) && !command.iter().any(elements::has_place) {
        command.push("{}".into());
    }
    Ok(command)
}

fn checked_directory(directory: &Path) -> anyhow::Result<PathBuf> {
    let shown = directory.display();
    let found = directory
        .canonicalize()
        .with_context(|| format!("cannot use the directory {shown}; nothing was submitted"))?;
    if !found.is_dir() {
        bail!("{shown} is not a directory; nothing was submitted");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn lines_without_a_place_are_the_last_argument() {
        let lines = Elements::Lines(vec!["a".into()]);
        let numbers = Elements::Range { first: 1, last: 2, step: 1 };
        for (words, elements, expected) in [
            (&["wc", "-l"][..], Some(&lines), &["wc", "-l", "{}"][..]),
            (&["wc", "{}.txt"], Some(&lines), &["wc", "{}.txt"]),
            (&["wc", "-l"], Some(&numbers), &["wc", "-l"]),
            (&["wc", "-l"], None, &["wc", "-l"]),
            (&["find", "-exec", "{}", ";"], None, &["find", "-exec", "{}", ";"]),
            (&["./{}.sh"], None, &["./{}.sh"]),
        ] {
            assert_eq!(with_place(command(words), elements).unwrap(), command(expected));
        }
        let error = with_place(command(&["./{}.sh"]), Some(&numbers)).unwrap_err().to_string();
        assert!(error.contains("'env'"), "{error}");
    }

    #[test]
    fn resources_are_a_name_and_an_amount() {
        let licences = PoolName::new("licences").unwrap();
        assert_eq!(parse_resource("licences=2"), Ok((licences.clone(), Amount::whole(2))));
        assert_eq!(parse_resource("licences=0.5"), Ok((licences, Amount(5_000))));
        for (text, part) in [
            ("licences", "such as licences=2"),
            ("licences=", "amount such as 1"),
            ("licences=0", "amount such as 1"),
            ("licences=many", "found 'many'"),
            ("=2", "''"),
            ("Licences=2", "lower-case"),
            ("cpus=2", "--cpus 2"),
            ("mem=2G", "--mem 2G"),
        ] {
            let error = parse_resource(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn no_time_is_no_limit() {
        assert_eq!(parse_time("2m"), Ok(Duration::from_mins(2)));
        assert!(parse_time("0").unwrap_err().contains("leave the option out"));
        assert!(parse_time("soon").unwrap_err().contains("found 'soon'"));
    }
}
