//! What every job of a submission asks for: the options that 'submit' and 'scatter' share.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    client::submit::Wishes,
    config::{parse_bytes, parse_cpus, parse_duration},
    model::{Amount, PoolName, Retries},
};

/// Options that go over what the whitelist's rule says of the command.
#[derive(clap::Args)]
pub(super) struct Asked {
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
    /// The working directory [default: the current one]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Asked {
    /// These, and nothing else.
    pub(super) fn wishes(self) -> anyhow::Result<Wishes> {
        let gpus = self.gpus.map(|amount| Ok((PoolName::new("gpus")?, amount)));
        let gpus: Option<anyhow::Result<_>> = gpus;
        Ok(Wishes {
            name: self.name,
            cpus: self.cpus,
            mem: self.mem,
            pools: self.resource.into_iter().chain(gpus.transpose()?).collect(),
            time_limit: self.time,
            priority: self.priority,
            retries: self.retries,
            directory: self.directory.as_deref().map(checked_directory).transpose()?,
            ..Wishes::default()
        })
    }
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
