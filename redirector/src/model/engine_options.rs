//! What a batch engine is asked for beside cpus, memory, time and graphics processors.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Text;

/// Options of a pool, or of a job's rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineOptions {
    /// Slurm: the partition. Grid Engine: the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Who pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Slurm: the quality of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// Slurm: features that the node must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// Slurm: generic resources beside `gpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gres: Option<String>,
    /// Slurm: licenses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licenses: Option<String>,
    /// Slurm: no other job on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<bool>,
    /// Grid Engine: what gives several cpus of one host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_environment: Option<String>,
    /// Grid Engine: further `-l` resources, such as `arch=lx-amd64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Further arguments of the program that submits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
}

impl EngineOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, with what `over` sets instead. Of lists both count, `over`'s last.
    #[must_use]
    pub fn with(&self, over: &Self) -> Self {
        let either = |over: &Option<String>, own: &Option<String>| over.clone().or(own.clone());
        Self {
            partition: either(&over.partition, &self.partition),
            account: either(&over.account, &self.account),
            qos: either(&over.qos, &self.qos),
            constraint: either(&over.constraint, &self.constraint),
            gres: either(&over.gres, &self.gres),
            licenses: either(&over.licenses, &self.licenses),
            exclusive: over.exclusive.or(self.exclusive),
            parallel_environment: either(&over.parallel_environment, &self.parallel_environment),
            resources: [&self.resources[..], &over.resources].concat(),
            arguments: [&self.arguments[..], &over.arguments].concat(),
        }
    }

    /// Sets the option that a rule calls `key` to a value that the whitelist has found to be sound;
    /// other attributes of rules are none of these.
    pub fn put(&mut self, key: whitelist::Key, value: &[u8]) {
        use whitelist::Key;
        let text = || Text::from(value).to_string_lossy().into_owned();
        let parts = |separators: &[char]| {
            let text = text();
            let parts = text.split(separators).filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        match key {
            Key::Partition | Key::Queue => self.partition = Some(text()),
            Key::Account => self.account = Some(text()),
            Key::Qos => self.qos = Some(text()),
            Key::Constraint => self.constraint = Some(text()),
            Key::Gres => self.gres = Some(text()),
            Key::Licenses => self.licenses = Some(text()),
            Key::Exclusive => self.exclusive = Some(value == b"on"),
            Key::ParallelEnvironment => self.parallel_environment = Some(text()),
            Key::EngineResources => self.resources = parts(&[',']),
            Key::Arguments => self.arguments = parts(&[' ', '\t']),
            _ => {}
        }
    }

    /// Those that are set: what rules call them, and their values as rules have them.
    pub fn in_rule(&self) -> Vec<(whitelist::Key, String)> {
        use whitelist::Key;
        let list = |list: &[String], separator| (!list.is_empty()).then(|| list.join(separator));
        let switch = |on: bool| if on { "on" } else { "off" }.to_owned();
        let all = [
            (Key::Partition, self.partition.clone()),
            (Key::Account, self.account.clone()),
            (Key::Qos, self.qos.clone()),
            (Key::Constraint, self.constraint.clone()),
            (Key::Gres, self.gres.clone()),
            (Key::Licenses, self.licenses.clone()),
            (Key::Exclusive, self.exclusive.map(switch)),
            (Key::ParallelEnvironment, self.parallel_environment.clone()),
            (Key::EngineResources, list(&self.resources, ",")),
            (Key::Arguments, list(&self.arguments, " ")),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

impl fmt::Display for EngineOptions {
    /// As a whitelist has them: `partition=main arguments='--nice=5 --hold'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |(key, value): (whitelist::Key, String)| {
            let quote = if value.contains(' ') { "'" } else { "" };
            format!("{key}={quote}{value}{quote}")
        };
        let words: Vec<_> = self.in_rule().into_iter().map(word).collect();
        f.pad(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(rule: &str) -> EngineOptions {
        let line = format!("x {rule}");
        let rule = whitelist::Rule::parse(line.as_bytes()).unwrap().unwrap();
        let arguments: &[&[u8]] = &[b"x"];
        let request = rule.request(&whitelist::Command { path: b"x", arguments });
        let mut options = EngineOptions::default();
        request.options.iter().for_each(|(key, value)| options.put(key, value));
        options
    }

    #[test]
    fn options_are_shown_as_a_rule_has_them() {
        let rule = "partition=main account=lofar qos=high constraint=avx2|avx512 gres=nvme:2 \
                    licenses=matlab:1 exclusive=off parallel_environment=smp \
                    engine_resources=arch=lx-amd64,ssd arguments='--nice=5 --hold'";
        assert_eq!(options(rule).to_string(), rule);
        assert_eq!(options("queue=long.q").to_string(), "partition=long.q");
        assert!(options("cpus=2").is_empty());
    }

    #[test]
    fn options_of_a_rule_go_over_those_of_its_pool() {
        let pool = options("partition=main account=lofar arguments=--nice=5 exclusive=on");
        let merged = pool.with(&options("partition=long arguments=--hold exclusive=off"));
        assert_eq!(
            merged,
            options("partition=long account=lofar exclusive=off arguments='--nice=5 --hold'")
        );
        assert_eq!(pool.with(&EngineOptions::default()), pool);
    }

    #[test]
    fn records_without_options_have_none() {
        assert_eq!(serde_json::from_str::<EngineOptions>("{}").unwrap(), EngineOptions::default());
        let some = options("partition=main exclusive=on engine_resources=ssd");
        let text = serde_json::to_string(&some).unwrap();
        assert_eq!(serde_json::from_str::<EngineOptions>(&text).unwrap(), some);
    }
}
