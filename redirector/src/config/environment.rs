//! Settings from variables, which go over those from files.

use std::{env, time::Duration};

use super::{
    Config, Error, Mode, OnFailure, Rendezvous, Setting, host_list::parse_host_list,
    value::parse_pool_name, written_hosts::Collected,
};
use crate::{
    model::{Amount, PoolName},
    store::Durability,
    units::{parse_bytes, parse_cpus, parse_duration},
};

/// Variables that are settings of the gateway, which a client hands on when it starts one.
pub const GATEWAY_VARIABLES: [&str; 15] = [
    IDLE_TIMEOUT,
    DURABILITY,
    KEEP_FOR,
    KEEP,
    ADDRESS,
    RENDEZVOUS,
    CPUS,
    MEM,
    GPUS,
    PIN,
    ENFORCE_MEMORY,
    MAX_JOBS,
    MAX_SUPERVISORS,
    POOLS,
    HOSTS,
];

/// The variable that says what becomes of whitelisted commands.
pub const MODE_VARIABLE: &str = "REDIRECTOR_MODE";

const IDLE_TIMEOUT: &str = "REDIRECTOR_IDLE_TIMEOUT";
const DURABILITY: &str = "REDIRECTOR_DURABILITY";
const KEEP_FOR: &str = "REDIRECTOR_KEEP_FOR";
const KEEP: &str = "REDIRECTOR_KEEP";
const ADDRESS: &str = "REDIRECTOR_GATEWAY_ADDRESS";
const RENDEZVOUS: &str = "REDIRECTOR_GATEWAY_RENDEZVOUS";
const CPUS: &str = "REDIRECTOR_CPUS";
const MEM: &str = "REDIRECTOR_MEM";
const GPUS: &str = "REDIRECTOR_GPUS";
const PIN: &str = "REDIRECTOR_PIN";
const ENFORCE_MEMORY: &str = "REDIRECTOR_ENFORCE_MEMORY";
const MAX_JOBS: &str = "REDIRECTOR_MAX_JOBS";
const MAX_SUPERVISORS: &str = "REDIRECTOR_MAX_SUPERVISORS";
const POOLS: &str = "REDIRECTOR_POOLS";
const HOSTS: &str = "REDIRECTOR_HOSTS";

impl Config {
    pub(super) fn read_environment(&mut self, collected: &mut Collected) -> Result<(), Error> {
        let Self { gateway, node, client, .. } = self;
        read(&mut gateway.idle_timeout, IDLE_TIMEOUT, parse_duration)?;
        read(&mut gateway.durability, DURABILITY, durability)?;
        read(&mut gateway.keep_for, KEEP_FOR, |text| parse_duration(text).map(Some))?;
        read(&mut gateway.keep, KEEP, |text| count(text).map(|number| Some(number.into())))?;
        read(&mut gateway.address, ADDRESS, |text| text.parse().map(Some))?;
        read(&mut gateway.rendezvous, RENDEZVOUS, rendezvous)?;
        read(&mut node.cpus, CPUS, |text| parse_cpus(text).map(Some))?;
        read(&mut node.mem, MEM, |text| parse_bytes(text).map(Some))?;
        read(&mut node.gpus, GPUS, |text| count(text).map(Some))?;
        read(&mut node.pin, PIN, switch)?;
        read(&mut node.enforce_memory, ENFORCE_MEMORY, switch)?;
        read(&mut node.max_jobs, MAX_JOBS, |text| count(text).map(Some))?;
        read(&mut node.max_supervisors, MAX_SUPERVISORS, |text| count(text).map(Some))?;
        let mut pools = Setting::default_of(Vec::new());
        read(&mut pools, POOLS, parse_pools)?;
        for (name, value) in pools.value {
            node.pools.insert(name, Setting { value, origin: POOLS.to_owned() });
        }
        let mut hosts = Setting::default_of(Vec::new());
        read(&mut hosts, HOSTS, parse_host_list)?;
        collected.list_all(&hosts.value, HOSTS);
        read(&mut client.mode, MODE_VARIABLE, mode)?;
        read(&mut client.on_failure, "REDIRECTOR_ON_FAILURE", on_failure)?;
        read::<Duration>(&mut client.reconnect, "REDIRECTOR_RECONNECT", parse_duration)
    }
}

fn read<T>(
    setting: &mut Setting<T>,
    variable: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<(), Error> {
    let Some(value) = env::var(variable).ok().filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    match parse(&value) {
        Ok(parsed) => {
            setting.override_with(Some(parsed), variable);
            Ok(())
        }
        Err(reason) => Err(Error::Variable { variable, value, reason }),
    }
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "run-here" => Ok(OnFailure::RunHere),
        "fail" => Ok(OnFailure::Fail),
        _ => Err("expected run-here or fail".to_owned()),
    }
}

fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "process" => Ok(Durability::Process),
        "full" => Ok(Durability::Full),
        _ => Err("expected process or full".to_owned()),
    }
}

fn rendezvous(text: &str) -> Result<Rendezvous, String> {
    Rendezvous::from_word(text).ok_or_else(|| "expected auto, always or never".to_owned())
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::from_word(text).ok_or_else(|| "expected local, sequential or dry-run".to_owned())
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a whole number such as 2".to_owned())
}

/// `licence:2,scratch:100`.
fn parse_pools(text: &str) -> Result<Vec<(PoolName, Amount)>, String> {
    let pool = |item: &str| {
        let (name, amount) = item.split_once(':').ok_or_else(|| {
            format!("expected NAME:AMOUNT pairs such as licence:2,scratch:100, found '{item}'")
        })?;
        Ok((parse_pool_name(name)?, parse_cpus(amount)?))
    };
    text.split(',').map(pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_have_names_and_amounts() {
        let pools = parse_pools("licence:2,scratch:0.5").unwrap();
        let expected = [("licence", Amount::whole(2)), ("scratch", Amount(5_000))];
        assert_eq!(pools, expected.map(|(name, amount)| (PoolName::new(name).unwrap(), amount)));
        for wrong in
            ["licence", "licence:", "licence:many", "cpus:2", "gpus:2", "Licence:2", ":2", "a:1,"]
        {
            assert!(parse_pools(wrong).is_err(), "{wrong}");
        }
    }
}
