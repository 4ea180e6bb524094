//! `redirector submit`

use std::{ffi::OsString, path::PathBuf};

use anyhow::bail;

use super::{
    Outcome, SUCCESS,
    after::{self, After},
    asked::Asked,
    elements::{self, Numbers},
    output,
    placement::Placement,
    run::invocation,
    wait, with_gateway,
};
use crate::{
    client::{
        exec::say,
        submit::{self, Prepared, Wishes},
    },
    model::JobId,
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
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    placement: Placement,
    /// Keep them from starting until 'redirector release'
    #[arg(long)]
    hold: bool,
    /// Run them and all that comes out of them one at a time, in the order of submission
    #[arg(long)]
    sequential: bool,
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
    let wishes = Wishes {
        after: after::dependencies(&arguments.after)?,
        elements,
        held: arguments.hold,
        sequential: arguments.sequential,
        ..arguments.placement.set(arguments.asked.wishes()?, &command)?
    };
    Ok(submit::prepare(invocation(command)?, wishes)?)
}

/// The command with a place for the element's value, if it has elements.
pub(super) fn with_place(
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
}
