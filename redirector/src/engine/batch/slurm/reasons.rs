//! Why a job of Slurm waits, in words.

/// Slurm's reason and a sentence for it. From its manual, "JOB REASON CODES" of squeue.
const REASONS: [(&str, &str); 27] = [
    ("Priority", "jobs with a higher priority are before it in the partition's queue"),
    ("Resources", "it is the next one, and no node has enough free cpus, memory or gpus for it"),
    ("Configuring", "its nodes are being started or prepared"),
    ("Prolog", "the site's prolog is running on its node"),
    ("Dependency", "it waits for other jobs of Slurm that it depends on"),
    ("DependencyNeverSatisfied", "a job that it depends on has failed: it will never start"),
    ("BeginTime", "its earliest start lies in the future; after a requeue Slurm waits 2 minutes"),
    ("JobHeldUser", "you or a script has held it ('scontrol release ID' lets it go on)"),
    ("JobHeldAdmin", "an administrator or Slurm itself has held it; ask the site"),
    ("Licenses", "the licenses that it asks for are in use"),
    ("Reservation", "the reservation that it asks for has not begun or is full"),
    ("ReqNodeNotAvail", "nodes that it needs are down, drained or reserved"),
    ("NodeDown", "a node that it needs is down"),
    ("BadConstraints", "no node can ever meet what it asks for (constraint, nodes, memory)"),
    (
        "PartitionConfig",
        "it asks for more than any node of its partition has, or than the partition allows: it \
         will never start unless that is changed",
    ),
    ("PartitionNodeLimit", "it asks for more nodes than its partition has or allows"),
    (
        "PartitionTimeLimit",
        "it asks for more time than its partition allows: set a shorter 'walltime' or 'time'",
    ),
    ("PartitionDown", "its partition is closed: nothing starts there until the site opens it"),
    ("PartitionInactive", "its partition is inactive: nothing starts there"),
    ("InvalidAccount", "its account is not valid here: set 'account'"),
    ("InvalidQOS", "its qos is not valid for this account: set 'qos'"),
    ("AccountNotAllowed", "its account may not use this partition"),
    ("QOSNotAllowed", "its qos may not be used in this partition"),
    ("NonZeroExitCode", "it has ended with another exit status than 0"),
    ("TimeLimit", "it has run for as long as it may"),
    ("JobArrayTaskLimit", "as many tasks of its array run as may at a time"),
    ("Cleaning", "its last run is still being cleaned up"),
];

/// Beginnings of reasons that are limits of somebody, and whose.
const LIMITS: [(&str, &str); 5] = [
    ("QOSMax", "a limit of its qos"),
    ("QOSGrp", "a limit of its qos for all its users together"),
    (MINIMUM, "a minimum of its qos"),
    ("AssocGrp", "a limit of its account or user for all their jobs together"),
    ("AssocMax", "a limit of its account or user"),
];

const MINIMUM: &str = "QOSMin";

/// Whether the end of no other job helps: the limit is on what a job by itself asks for.
fn is_limit_of_one(word: &str) -> bool {
    word.contains("PerJob") || word.starts_with(MINIMUM)
}

/// A sentence for `reason`, which is Slurm's word, perhaps with details after a comma.
pub(super) fn in_words(reason: &str) -> String {
    let (word, details) = reason.split_once(',').unwrap_or((reason, ""));
    let known = REASONS.iter().find(|(known, _)| *known == word).map(|(_, words)| *words);
    let limit = || {
        let (_, whose) = LIMITS.iter().find(|(start, _)| word.starts_with(start))?;
        Some(if is_limit_of_one(word) {
            format!(
                "{whose} for each job rules it out: {}",
                if word.starts_with(MINIMUM) {
                    "it will never start unless it asks for more, or has another 'qos'"
                } else {
                    "it will never start unless it asks for less time, cpus, memory or nodes"
                }
            )
        } else {
            format!("{whose} is reached, and it waits until other jobs end")
        })
    };
    let words = known.map(str::to_owned).or_else(limit);
    let details = details.trim();
    match (words, details.is_empty()) {
        (Some(words), true) => format!("{words} (Slurm: {word})"),
        (Some(words), false) => format!("{words} (Slurm: {word}: {details})"),
        (None, _) if word.is_empty() || word == "None" => {
            "Slurm has not looked at it yet".to_owned()
        }
        (None, _) => format!("Slurm says: {reason}"),
    }
}

/// Whether a job that waits for this reason will never start as it is. `reason` is Slurm's word,
/// perhaps with details after a comma.
pub(super) fn is_impossible(reason: &str) -> bool {
    const IMPOSSIBLE: [&str; 5] = [
        "BadConstraints",
        "PartitionConfig",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "DependencyNeverSatisfied",
    ];
    let word = reason.split(',').next().unwrap_or_default();
    IMPOSSIBLE.contains(&word) || is_limit_of_one(word)
}

/// Whether a job with this reason has failed for what it asks for, not for what it did.
pub(super) fn is_hopeless(reason: &str) -> bool {
    const HOPELESS: [&str; 5] = [
        "BadConstraints",
        "InvalidAccount",
        "InvalidQOS",
        "DependencyNeverSatisfied",
        "PartitionConfig",
    ];
    HOPELESS.contains(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_sentences_with_slurms_own_word() {
        let words = in_words("Resources");
        assert!(words.contains("no node has enough") && words.contains("Resources"), "{words}");
        let words = in_words("ReqNodeNotAvail, UnavailableNodes:n[1-2]");
        assert!(words.contains("down, drained") && words.contains("n[1-2]"), "{words}");
        assert!(in_words("QOSMaxJobsPerUserLimit").contains("a limit of its qos is reached"));
        assert!(in_words("AssocGrpCpuLimit").contains("account"));
        assert_eq!(in_words("SomethingNew"), "Slurm says: SomethingNew");
        assert_eq!(in_words("None"), "Slurm has not looked at it yet");
    }

    #[test]
    fn limits_of_one_job_never_end_and_others_do() {
        for reason in [
            "QOSMaxWallDurationPerJobLimit",
            "QOSMaxCpuPerJobLimit",
            "QOSMaxMemoryPerJob",
            "AssocMaxWallDurationPerJobLimit",
            "AssocMaxCpuMinutesPerJobLimit",
            "QOSMinCpuNotSatisfied",
            "QOSMinGRES",
            "DependencyNeverSatisfied",
            "PartitionTimeLimit, asks for too much",
        ] {
            assert!(is_impossible(reason), "{reason}");
            let words = in_words(reason);
            assert!(!words.contains("until other jobs end"), "{words}");
        }
        for reason in ["QOSMaxJobsPerUserLimit", "QOSGrpCpuLimit", "AssocGrpMemLimit", "Resources"]
        {
            assert!(!is_impossible(reason), "{reason}");
        }
        let words = in_words("QOSMinCpuNotSatisfied");
        assert!(words.contains("asks for more") && words.contains("'qos'"), "{words}");
        assert!(in_words("AssocMaxCpuPerJobLimit").contains("asks for less"));
    }
}
