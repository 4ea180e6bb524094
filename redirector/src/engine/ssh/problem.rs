//! What can be wrong with a host, in words that help.

use std::{fmt, io, process::ExitStatus, time::Duration};

use crate::config::Host;

/// A host cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("host {host} ({address}): {problem}")]
pub struct Error {
    /// Its name as a node.
    pub host: String,
    /// What ssh was given.
    pub address: String,
    /// What is wrong.
    pub problem: Problem,
}

impl Error {
    pub(super) fn of(host: &Host, problem: Problem) -> Self {
        Self { host: host.name.to_string(), address: host.address.clone(), problem }
    }
}

/// What is wrong with a host, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It looks like an option.
    #[error("this is no address: '[user@]name[:port]' is")]
    Address,
    /// There is no ssh here.
    #[error("cannot run '{program}': {cause}; install OpenSSH's client or set 'command' in [ssh]")]
    NoSsh {
        /// What was to be run.
        program: String,
        /// The system's reason.
        cause: io::Error,
    },
    /// Nobody has said that this is the right computer.
    #[error(
        "its key is not known here; log in once by hand ('ssh {0}') and compare the key, or add \
         it to ~/.ssh/known_hosts"
    )]
    UnknownKey(String),
    /// It may not be the right computer.
    #[error(
        "its key is not the one that ~/.ssh/known_hosts has; if the computer was set up anew, \
         'ssh-keygen -R NAME' forgets the old key; otherwise somebody may be in between"
    )]
    ChangedKey,
    /// It wants a password, and nobody is there to type it.
    #[error(
        "it takes passwords only ({methods}), and nobody is there to type one; let it accept keys \
         and put yours there with 'ssh-copy-id'"
    )]
    PasswordOnly {
        /// The ways to log in that it offers.
        methods: String,
    },
    /// It does not take any key that ssh has.
    #[error(
        "it refuses the log-in ({methods}): no key of yours is accepted; 'ssh-copy-id' puts one \
         there, and one with a passphrase must be in ssh-agent ('ssh-add')"
    )]
    Denied {
        /// The ways to log in that it offers.
        methods: String,
    },
    /// Nothing knows this name.
    #[error("its name does not resolve; is it spelled right? ssh says: {0}")]
    Unresolved(String),
    /// The computer is there, but no sshd.
    #[error("it refuses connections: no sshd is running at that port; ssh says: {0}")]
    Refused(String),
    /// It is off, or not to be reached.
    #[error("it cannot be reached: it is down, or the network is; ssh says: {0}")]
    Unreachable(String),
    /// Its sshd has too much to do.
    #[error(
        "its sshd takes no more connections now (see MaxStartups and MaxSessions of sshd_config); \
         ssh says: {0}"
    )]
    Busy(String),
    /// Something else.
    #[error("ssh failed: {0}")]
    Ssh(String),
    /// It does not say anything.
    #[error("{doing} took longer than {} s: {}{said}", limit.as_secs(), doing.suspicion())]
    Slow {
        /// What it was about.
        doing: Doing,
        /// How long it could take.
        limit: Duration,
        /// What it said meanwhile, as a further sentence.
        said: String,
    },
    /// This program cannot run there.
    #[error("it is a {found}, and this computer a {wanted}: hosts must be of the same kind")]
    System {
        /// What it is.
        found: String,
        /// What this computer is.
        wanted: String,
    },
    /// This program cannot be put there.
    #[error(
        "no directory there can hold this program (set XDG_CACHE_HOME there to one that can): {0}"
    )]
    NoPlace(String),
    /// This program could not be put there.
    #[error("cannot copy this program there: {0}")]
    NotCopied(String),
    /// This program cannot be read here.
    #[error("cannot read this program's own file, which is to be copied there: {0}")]
    OwnFile(io::Error),
    /// The agent is not to be had.
    #[error("its agent cannot be reached: {0}")]
    NoAgent(String),
    /// The log-in shell did something else than what it was told.
    #[error(
        "its log-in shell ended ({status}) and did not run what it was told to; see whether 'ssh \
         {address} true' works{said}"
    )]
    Shell {
        /// Where it is.
        address: String,
        /// How.
        status: String,
        /// What it said, as a further sentence.
        said: String,
    },
    /// The start-up files do not come to an end.
    #[error("its start-up files print more than {0} bytes; they must not in such a log-in")]
    Noise(usize),
}

/// What a host is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Logging in.
    LogIn,
    /// Sending this program.
    Copy,
    /// Starting the agent.
    Start,
}

impl Doing {
    /// What may be the reason if it takes long.
    const fn suspicion(self) -> &'static str {
        match self {
            Self::LogIn => "its sshd or the start-up files of its log-in shell hang",
            Self::Copy => "the network stands still, or its disk",
            Self::Start => "see agent.log below /tmp/redirector-UID there",
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogIn => "logging in",
            Self::Copy => "copying this program there",
            Self::Start => "starting its agent",
        })
    }
}

/// Why ssh ended before anything was marked: `status`, and what it wrote to its standard error
/// (`complaint`) and the log-in shell to its standard output (`printed`).
pub(super) fn diagnose(
    address: &str,
    status: Option<ExitStatus>,
    complaint: &str,
    printed: &str,
) -> Problem {
    // The one status that ssh has of its own; a log-in shell that ends so is rare, and said by
    // ssh without a word.
    let is_own = status.and_then(|status| status.code()) == Some(255);
    if is_own && let Some(problem) = of_ssh(address, complaint) {
        return problem;
    }
    let status = match status {
        None => "nobody knows how".to_owned(),
        Some(status) => status.to_string(),
    };
    Problem::Shell { address: address.to_owned(), status, said: said(&[complaint, printed]) }
}

/// What ssh's `complaint` means, if it made one.
fn of_ssh(address: &str, complaint: &str) -> Option<Problem> {
    let has = |words: &[&str]| words.iter().any(|words| complaint.contains(words));
    let last = complaint.lines().map(str::trim).rfind(|line| !line.is_empty())?.to_owned();
    Some(if has(&["IDENTIFICATION HAS CHANGED", "POSSIBLE DNS SPOOFING"]) {
        Problem::ChangedKey
    } else if has(&["Host key verification failed", "host key is known for"]) {
        Problem::UnknownKey(address.to_owned())
    } else if let Some(methods) = methods(complaint) {
        if methods
            .split(',')
            .any(|method| ["publickey", "gssapi-with-mic", "hostbased"].contains(&method))
        {
            Problem::Denied { methods }
        } else {
            Problem::PasswordOnly { methods }
        }
    } else if has(&["Could not resolve hostname"]) {
        Problem::Unresolved(last)
    } else if has(&["Connection refused"]) {
        Problem::Refused(last)
    } else if has(&[
        "timed out",
        "Connection timed out",
        "No route to host",
        "Network is unreachable",
        "Host is down",
    ]) {
        Problem::Unreachable(last)
    } else if has(&[
        "kex_exchange_identification",
        "Exceeded MaxStartups",
        "Session open refused",
        "open failed: administratively prohibited",
        "ssh_exchange_identification",
        "Too many",
    ]) {
        Problem::Busy(last)
    } else {
        Problem::Ssh(last)
    })
}

/// The ways to log in that were refused: what is in the brackets of `Permission denied (…)`.
fn methods(complaint: &str) -> Option<String> {
    let (_, rest) = complaint.split_once("Permission denied (")?;
    Some(rest.split_once(')')?.0.to_owned())
}

/// The last words of `texts`, as a further sentence; nothing if there are none.
pub(super) fn said(texts: &[&str]) -> String {
    const MOST: usize = 500;
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let text = texts.collect::<Vec<_>>().join(" / ").replace(['\n', '\r'], " ");
    if text.is_empty() {
        return text;
    }
    let cut = text.char_indices().rev().nth(MOST).map_or(0, |(index, _)| index);
    format!("; it said: {}{}", if cut > 0 { "…" } else { "" }, &text[cut..])
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    type IsRight = fn(&Problem) -> bool;

    fn of(code: i32, complaint: &str) -> Problem {
        diagnose("me@h1", Some(ExitStatus::from_raw(code << 8)), complaint, "Welcome\n")
    }

    /// What OpenSSH 9.2 says.
    #[test]
    fn what_ssh_says_is_understood() {
        let cases: [(&str, IsRight); 12] = [
            (
                "No ED25519 host key is known for h1 and you have requested strict checking.\r\n\
                 Host key verification failed.\r\n",
                |it| matches!(it, Problem::UnknownKey(address) if address == "me@h1"),
            ),
            ("Host key verification failed.\r\n", |it| matches!(it, Problem::UnknownKey(_))),
            (
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
                 Offending ED25519 key in /root/.ssh/known_hosts:1\r\n\
                 Host key verification failed.\r\n",
                |it| matches!(it, Problem::ChangedKey),
            ),
            (
                "me@h1: Permission denied (publickey,password).\r\n",
                |it| matches!(it, Problem::Denied { methods } if methods == "publickey,password"),
            ),
            ("me@h1: Permission denied (password,keyboard-interactive).\r\n", |it| {
                matches!(it, Problem::PasswordOnly { .. })
            }),
            ("ssh: Could not resolve hostname h9: Name or service not known\r\n", |it| {
                matches!(it, Problem::Unresolved(_))
            }),
            ("ssh: connect to host 10.77.0.11 port 22: Connection refused\r\n", |it| {
                matches!(it, Problem::Refused(_))
            }),
            ("ssh: connect to host 10.77.0.11 port 22: Connection timed out\r\n", |it| {
                matches!(it, Problem::Unreachable(_))
            }),
            ("ssh: connect to host 10.77.0.11 port 22: No route to host\r\n", |it| {
                matches!(it, Problem::Unreachable(_))
            }),
            (
                "Connection timed out during banner exchange\r\n\
                 Connection to 10.77.0.11 port 22 timed out\r\n",
                |it| matches!(it, Problem::Unreachable(_)),
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\r\n\
                 Connection reset by 10.77.0.11 port 22\r\n",
                |it| matches!(it, Problem::Busy(_)),
            ),
            ("Bad owner or permissions on /root/.ssh/config\r\n", |it| {
                matches!(it, Problem::Ssh(_))
            }),
        ];
        for (complaint, is_right) in cases {
            let problem = of(255, complaint);
            assert!(is_right(&problem), "{complaint:?}: {problem:?}");
        }
    }

    #[test]
    fn a_login_shell_that_fails_is_not_taken_for_ssh() {
        for (code, complaint) in [(255, ""), (127, "exec: sh: not found"), (0, ""), (1, "Refused")]
        {
            let problem = of(code, complaint);
            let text = problem.to_string();
            assert!(matches!(problem, Problem::Shell { .. }), "{text}");
            assert!(text.contains("Welcome") && text.contains(complaint), "{text}");
        }
    }

    #[test]
    fn only_the_end_of_what_was_said_is_repeated() {
        let long = "é".repeat(3000);
        let sentence = said(&[&long, " ", "last\nline"]);
        assert!(sentence.len() < 1100 && sentence.ends_with("é / last line"), "{sentence}");
        assert_eq!(said(&["", "\n"]), "");
    }
}
