//! Whether the working directory is the same one on a host.
//!
//! ```text
//!   here   makes .redirector-doctor-N         ─► the host reads it at the mapped path
//!          reads .redirector-doctor-N.HOST    ◄─ the host makes it there
//! ```
//!
//! Their content is random, so that no other file is taken for them. Each is removed by who has
//! made it, and when that is gone.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Finding, conversation::Conversation};
use crate::{
    agent::{
        examine::{Made, read},
        probe::identity,
        protocol::Identity,
    },
    config::{Host, format_duration},
    model::Text,
    random,
};

/// How long a file may take to be seen by another computer: with NFS, what a client believes to
/// know of a directory counts for seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a file is looked for: a network file system tells nobody when it has changed.
const AGAIN: Duration = Duration::from_millis(100);

/// A file in the working directory.
pub(super) struct Probe {
    directory: PathBuf,
    name: String,
    content: String,
    made: Result<Made, String>,
}

impl Probe {
    /// Makes one in `directory`, for as long as this is kept.
    pub(super) fn make(directory: PathBuf) -> Self {
        let name = format!(".redirector-doctor-{}", random::hex(&random::bytes::<8>()));
        let content = random::hex(&random::bytes::<32>());
        let made = Made::new(&directory.join(&name), &content).map_err(|error| error.to_string());
        Self { directory, name, content, made }
    }

    /// The working directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// What is known of the directory on a host.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// What it is called there.
    pub there: Text,
    /// `path_map` says so.
    pub is_mapped: bool,
    /// Files are copied there and back.
    pub is_staged: bool,
    /// It exists there.
    pub exists: bool,
    /// As far as a look at both can tell: what the gateway goes by if the path is the same.
    pub is_same: bool,
    /// The file that was made here.
    pub from_here: Sight,
    /// The file that was made there.
    pub from_there: Sight,
}

/// What became of a file that was made on one computer and looked for on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It was seen, at once or after some time.
    Seen(Option<Duration>),
    /// It was not.
    NotSeen,
    /// Something is there, and cannot be read.
    NotRead(String),
    /// It could not be made.
    NotMade(String),
    /// There was no sense in it.
    NotTried,
}

/// Looks at the directory from both sides; `found` is what the host's agent has at its path there.
pub(super) async fn look(
    probe: &Probe,
    host: &Host,
    there: Text,
    found: Option<Identity>,
    conversation: &mut Conversation,
) -> Facts {
    let here = Text::from(probe.directory.clone());
    let own = identity(&probe.directory);
    let mut facts = Facts {
        is_mapped: there != here,
        there,
        is_staged: host.stage,
        exists: found.is_some(),
        is_same: own.zip(found).is_some_and(|(own, found)| own.is_same(found)),
        from_here: Sight::NotTried,
        from_there: Sight::NotTried,
    };
    if facts.is_staged || !facts.exists {
        return facts;
    }
    let in_there = |name: &str| Text::from(facts.there.as_path().join(name));
    facts.from_here = match &probe.made {
        Ok(_) => {
            let file = in_there(&probe.name);
            seen(&probe.content, async || conversation.read(file.clone()).await).await
        }
        Err(reason) => Sight::NotMade(reason.clone()),
    };
    if facts.from_here == Sight::NotSeen {
        return facts;
    }
    let name = format!("{}.{}", probe.name, host.name);
    let file = probe.directory.join(&name);
    let content = random::hex(&random::bytes::<32>());
    facts.from_there = match conversation.make(in_there(&name), content.clone()).await {
        Ok(()) => {
            // Not left behind even if the agent is killed.
            let _made = Made::to_come(file.clone());
            seen(&content, async || read(&file).map_err(|error| error.to_string())).await
        }
        Err(reason) => Sight::NotMade(reason),
    };
    facts
}

/// Looks for `content` until it is seen.
async fn seen(
    content: &str,
    mut look: impl AsyncFnMut() -> Result<Option<String>, String>,
) -> Sight {
    let start = Instant::now();
    let mut is_first = true;
    loop {
        let found = look().await;
        if let Ok(Some(found)) = &found
            && found == content
        {
            return Sight::Seen((!is_first).then(|| start.elapsed()));
        }
        if start.elapsed() > PATIENCE {
            return match found {
                Ok(_) => Sight::NotSeen,
                Err(reason) => Sight::NotRead(reason),
            };
        }
        is_first = false;
        sleep(AGAIN).await;
    }
}

const CHECK: &str = "directory";

/// Judges a host by its directory.
pub(super) fn judge(facts: &Facts) -> Finding {
    const SHARE: &str = "mount the same file system there, say in 'path_map' where it is there, or \
                         set 'stage = true' for this host to have files copied";
    let there = facts.there.to_string_lossy();
    if facts.is_staged {
        return Finding::ok(CHECK, "not needed: files are copied there and back (stage)");
    }
    if !facts.exists {
        return Finding::failed(CHECK, format!("it has no directory {there}"), SHARE);
    }
    let another = || Finding::failed(CHECK, format!("its {there} is another directory"), SHARE);
    match (&facts.from_here, &facts.from_there) {
        (Sight::Seen(_), Sight::Seen(_)) if !facts.is_mapped && !facts.is_same => Finding::failed(
            CHECK,
            format!(
                "its {there} has the same files, but another inode number or time of birth, so \
                 that the gateway takes it for another directory"
            ),
            "mount it there at another path and say in 'path_map' where",
        ),
        (Sight::Seen(first), Sight::Seen(second)) => match (*first).max(*second) {
            None => Finding::ok(CHECK, format!("{there} is this directory, seen at once")),
            Some(late) => Finding::warning(
                CHECK,
                format!("{there} is this directory, seen {} late", format_duration(late)),
                "a command may not find what another one has just made on another computer: \
                 mount it with a shorter 'actimeo' or with 'lookupcache=none'",
            ),
        },
        (Sight::Seen(_), Sight::NotMade(reason)) => Finding::failed(
            CHECK,
            format!("{there} is this directory, but nothing can be written there: {reason}"),
            "mount it writable there, or log in as a user who may write to it",
        ),
        (Sight::NotMade(reason), _) if facts.is_mapped || facts.is_same => Finding::warning(
            CHECK,
            format!("{there} is there; no file can be made here to compare it: {reason}"),
            "run 'redirector doctor' in a directory that you may write to",
        ),
        (Sight::NotRead(reason), _) => Finding::failed(
            CHECK,
            format!("what is made here cannot be read in {there} there: {reason}"),
            "log in as a user who may read it",
        ),
        (Sight::Seen(_), _) => {
            Finding::failed(CHECK, format!("what is made there in {there} is not seen here"), SHARE)
        }
        _ => another(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn facts(from_here: Sight, from_there: Sight) -> Facts {
        Facts {
            there: "/data".into(),
            is_mapped: false,
            is_staged: false,
            exists: true,
            is_same: true,
            from_here,
            from_there,
        }
    }

    #[test]
    fn what_both_see_is_the_same_directory() {
        let seen = || Sight::Seen(None);
        let late = || Sight::Seen(Some(Duration::from_secs(2)));
        let no = || Sight::NotMade("Read-only file system".to_owned());
        for (from_here, from_there, verdict, word) in [
            (seen(), seen(), Verdict::Ok, "at once"),
            (seen(), late(), Verdict::Warning, "2.0s late"),
            (late(), seen(), Verdict::Warning, "2.0s late"),
            (seen(), no(), Verdict::Failed, "Read-only"),
            (no(), no(), Verdict::Warning, "Read-only"),
            (Sight::NotSeen, Sight::NotTried, Verdict::Failed, "another directory"),
            (seen(), Sight::NotSeen, Verdict::Failed, "not seen here"),
            (Sight::NotRead("denied".to_owned()), seen(), Verdict::Failed, "denied"),
        ] {
            let finding = judge(&facts(from_here, from_there));
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.found.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn what_the_gateway_does_not_take_for_the_same_is_not_of_use() {
        let both = Facts { is_same: false, ..facts(Sight::Seen(None), Sight::Seen(None)) };
        assert_eq!(judge(&both).verdict, Verdict::Failed);
        let mapped = Facts { is_mapped: true, ..both };
        assert_eq!(judge(&mapped).verdict, Verdict::Ok);
        let none = Sight::NotMade("denied".to_owned());
        let unknown = Facts { is_same: false, ..facts(none, Sight::NotSeen) };
        assert_eq!(judge(&unknown).verdict, Verdict::Failed);
    }

    #[test]
    fn a_directory_that_is_missing_matters_unless_files_are_copied() {
        let missing = Facts { exists: false, ..facts(Sight::NotTried, Sight::NotTried) };
        let finding = judge(&missing);
        assert_eq!(
            (finding.verdict, &*finding.found),
            (Verdict::Failed, "it has no directory /data")
        );
        assert!(finding.advice.unwrap().contains("path_map"));
        assert_eq!(judge(&Facts { is_staged: true, ..missing }).verdict, Verdict::Ok);
    }

    #[test]
    fn a_file_that_is_late_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut answers =
                [Ok(None), Err("stale".to_owned()), Ok(Some("x".to_owned()))].into_iter();
            let sight = seen("x", async || answers.next().unwrap()).await;
            assert!(matches!(sight, Sight::Seen(Some(late)) if late >= AGAIN), "{sight:?}");
            let sight = seen("x", async || Ok(Some("x".to_owned()))).await;
            assert_eq!(sight, Sight::Seen(None));
        });
    }
}
