//! What became of the log-in to a host.

use std::time::Duration;

use super::Finding;
use crate::{config::format_duration, engine::ssh::Problem};

/// What a log-in may take before each start of a gateway is felt.
const LONG: Duration = Duration::from_secs(5);

/// Judges one that went well.
pub(super) fn judge(took: Duration, copied_to: Option<&str>) -> Finding {
    let time = format_duration(took);
    match copied_to {
        Some(place) => {
            Finding::ok("log-in", format!("{time}, with a copy of this program to {place}"))
        }
        None if took > LONG => Finding::warning(
            "log-in",
            format!("{time}, without a question"),
            "see what its sshd waits for ('ssh -v', often a name that does not resolve: UseDNS) \
             and what its start-up files do",
        ),
        None => Finding::ok("log-in", format!("{time}, without a question")),
    }
}

/// What is wrong with a host that cannot be used.
pub(super) fn of_problem(address: &str, problem: &Problem) -> Finding {
    let try_by_hand = || Some(format!("see whether 'ssh {address} true' works, and what it says"));
    // Most problems say themselves what to do.
    let (check, advice) = match problem {
        Problem::UnknownKey(_) | Problem::ChangedKey => ("host key", None),
        Problem::PasswordOnly { .. } | Problem::Denied { .. } => ("log-in", None),
        Problem::Address | Problem::NoSsh { .. } | Problem::Busy(_) => ("connection", None),
        Problem::Unresolved(_) => {
            ("connection", Some("correct its address in redirector.toml".to_owned()))
        }
        Problem::Refused(_) => {
            ("connection", Some("start sshd there, or give its port in the address".to_owned()))
        }
        Problem::Unreachable(_) | Problem::Ssh(_) => ("connection", try_by_hand()),
        Problem::Shell { .. } => ("log-in shell", None),
        Problem::Slow { .. } | Problem::Noise(_) => ("log-in shell", try_by_hand()),
        Problem::System { .. } => {
            ("architecture", Some("take it out of redirector.toml".to_owned()))
        }
        Problem::NoPlace(_) => ("program", None),
        Problem::NotCopied(_) => {
            let advice = "make room there, or set XDG_CACHE_HOME there to where there is some";
            ("program", Some(advice.to_owned()))
        }
        Problem::OwnFile(_) => ("program", Some("install this program anew".to_owned())),
        Problem::NoAgent(_) => {
            let advice = "see agent.log below /tmp/redirector-UID there";
            ("agent", Some(advice.to_owned()))
        }
    };
    Finding { advice, ..Finding::failed(check, problem.to_string(), "") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_log_in_may_take_some_seconds() {
        let soon = judge(Duration::from_millis(250), None);
        assert_eq!((soon.verdict, &*soon.found), (Verdict::Ok, "250ms, without a question"));
        let late = judge(LONG * 2, None);
        assert_eq!(late.verdict, Verdict::Warning);
        let copied = judge(LONG * 2, Some("/root/.cache"));
        assert_eq!(copied.verdict, Verdict::Ok, "copying takes its time");
        assert!(copied.found.contains("/root/.cache"));
    }

    #[test]
    fn each_problem_comes_with_what_to_do() {
        let methods = || "password".to_owned();
        for (problem, check, advice) in [
            (Problem::UnknownKey("ann@h1".to_owned()), "host key", "ssh ann@h1"),
            (Problem::PasswordOnly { methods: methods() }, "log-in", "ssh-copy-id"),
            (Problem::Refused("22".to_owned()), "connection", "start sshd"),
            (Problem::Noise(7), "log-in shell", "ssh ann@h1 true"),
            (Problem::NoAgent("why".to_owned()), "agent", "agent.log"),
        ] {
            let finding = of_problem("ann@h1", &problem);
            assert_eq!((finding.verdict, &*finding.check), (Verdict::Failed, check));
            let all = format!("{} {}", finding.found, finding.advice.unwrap_or_default());
            assert!(all.contains(advice), "{all}");
        }
    }
}
