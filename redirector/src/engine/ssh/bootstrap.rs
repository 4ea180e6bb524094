//! What the login shell of a host is told to run: see `bootstrap.sh`.
//!
//! ```text
//!   gateway                                     host: sshd ─ login shell ─ sh
//!     ◄───────────── "MARK system …", "MARK place …"   it cannot be used, and why
//!     ◄───────────── "MARK send PLACE"                 this program is not there
//!     ─ its bytes ─►                                   put into PLACE, tried, renamed
//!                                               sh becomes `redirector agent --attach`
//!     ◄───────────── "MARK attached"                   the agent has the connection
//!     ◄═ HTTP/2 ══►
//! ```

use std::{sync::OnceLock, time::Duration};

use crate::{engine::program::Program, place};

/// What the script says about itself, on lines that begin with the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The agent has the connection; HTTP/2 follows.
    Attached,
    /// The program is to be sent.
    Send {
        /// The directory that it is for.
        place: String,
    },
    /// The host's system and machine are others than this computer's.
    System(String),
    /// No directory can have the program; each that was tried, and why.
    NoPlace(String),
    /// The program could not be copied.
    NotCopied(String),
    /// The agent cannot be reached or started.
    NoAgent(String),
}

impl Said {
    /// What is said on `line`, if it begins with `mark`.
    pub(super) fn parse(line: &[u8], mark: &str) -> Option<Self> {
        let text = String::from_utf8_lossy(line.strip_prefix(mark.as_bytes())?);
        let (word, rest) = text.strip_prefix(' ')?.split_once(' ').unwrap_or((&text[1..], ""));
        let rest = rest.trim().trim_end_matches(';').to_owned();
        match word.trim() {
            "attached" => Some(Self::Attached),
            "send" => Some(Self::Send { place: rest }),
            "system" => Some(Self::System(rest)),
            "place" => Some(Self::NoPlace(rest)),
            "copy" => Some(Self::NotCopied(rest)),
            "agent" => Some(Self::NoAgent(rest)),
            _ => None,
        }
    }
}

/// What `uname -s -m` says on this computer.
pub(super) fn own_system() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| format!("Linux {}", std::env::consts::ARCH),
        |names| {
            let (system, machine) = (names.sysname(), names.machine());
            format!("{} {}", system.to_string_lossy(), machine.to_string_lossy())
        },
    )
}

/// The command for the login shell, which is to find `program` or ask for it, and attach to the
/// agent that goes by `name` there. What it says of itself is marked with `mark`.
pub(super) fn command(mark: &str, program: &Program, name: &str, grace: Duration) -> String {
    let length = program.length.to_string();
    let (system, grace) = (own_system(), grace.as_millis().to_string());
    let words = ["redirector", mark, &program.digest, &length, &system, name, &grace];
    let mut command = format!("exec sh -c '{}'", script());
    for word in words {
        debug_assert!(
            word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._- ".contains(&byte)),
            "means the same in all shells: {word}"
        );
        command.push_str(" '");
        command.push_str(word);
        command.push('\'');
    }
    command
}

/// The script as one line.
fn script() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let lines = include_str!("bootstrap.sh").lines().map(str::trim);
        lines.filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ")
    })
}

/// The name of the agent that `gateway_id` has on `host`: a directory's, so that each of them
/// is of characters that mean the same everywhere, and short enough for a socket below it.
pub(in crate::engine) fn agent_name(gateway_id: &str, host: &str) -> String {
    const LONGEST: usize = place::AGENT_NAME_MAX;
    const DIGEST: usize = 16;
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "-_".contains(character) { character } else { '_' }
    };
    let name: String =
        gateway_id.chars().map(plain).chain(['.']).chain(host.chars().map(plain)).collect();
    let is_exact = name == format!("{gateway_id}.{host}");
    if is_exact && name.len() <= LONGEST {
        return name;
    }
    let digest = blake3::hash(format!("{gateway_id}\0{host}").as_bytes()).to_hex();
    let kept = name.len().min(LONGEST - DIGEST - 1);
    format!("{}-{}", &name[..kept], &digest[..DIGEST])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_means_the_same_to_every_login_shell() {
        let script = script();
        for wrong in ["'", "!", "\\\\", "\n"] {
            assert!(!script.contains(wrong), "{wrong:?}");
        }
        assert!(script.len() < 4000, "{} bytes: older shells cut long words", script.len());
    }

    #[test]
    fn marked_lines_are_told_from_what_start_up_files_print() {
        let said = |line: &str| Said::parse(line.as_bytes(), "f00d");
        assert_eq!(said("f00d attached"), Some(Said::Attached));
        assert_eq!(said("f00d attached\r"), Some(Said::Attached));
        let place = "/a b/c".to_owned();
        assert_eq!(said("f00d send /a b/c"), Some(Said::Send { place }));
        assert_eq!(said("f00d system Linux mips"), Some(Said::System("Linux mips".to_owned())));
        assert_eq!(said("f00d place /tmp: full; "), Some(Said::NoPlace("/tmp: full".to_owned())));
        for other in ["", "f00d", "f00dattached", "f00d what", "attached", "Welcome f00d attached"]
        {
            assert_eq!(said(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_agents_differ_and_fit() {
        assert_eq!(agent_name("g7", "node-1"), "g7.node-1");
        let names = ["node.1", "node_1", "node 1", &"x".repeat(300), &"x".repeat(301)];
        let names = names.map(|host| agent_name("0123456789abcdef", host));
        for (index, name) in names.iter().enumerate() {
            assert!(name.len() <= place::AGENT_NAME_MAX, "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
    }
}
