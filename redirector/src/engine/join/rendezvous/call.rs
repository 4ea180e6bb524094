//! One call of an agent: a directory of its own, and what is in it.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind::NotFound},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::counter::Tally;
use crate::{model::NodeName, random};

/// Most bytes of a reason that are read.
const REASON: usize = 4 << 10;

/// Whose words a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Agent,
    Gateway,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Agent => Self::Gateway,
            Self::Gateway => Self::Agent,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Gateway => "gateway",
        }
    }
}

/// What a counter counts: segments of its own side, or those of the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Sent,
    Taken,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine::join) struct Call {
    directory: PathBuf,
    node: NodeName,
}

impl Call {
    /// The one that is in `directory`, if that has the name of one.
    pub(super) fn at(directory: PathBuf) -> Option<Self> {
        let name = directory.file_name()?.to_str()?;
        let (node, _) = name.strip_prefix('.').unwrap_or(name).rsplit_once('.')?;
        let node = NodeName(node.to_owned());
        Some(Self { directory, node })
    }

    /// A new one of `node` in `place`. `reason` is why it does not come by TCP.
    pub(super) fn begin(place: &Path, node: &NodeName, reason: &str) -> io::Result<Self> {
        let id = random::hex(&random::bytes::<8>());
        let made = Self { directory: place.join(format!(".{node}.{id}")), node: node.clone() };
        fs::DirBuilder::new().mode(0o700).create(&made.directory)?;
        let begun = made.fill(reason).and_then(|()| {
            // From here on the gateway sees it, and all that it will look at is there: a network
            // file system remembers for long which names were not.
            let directory = place.join(format!("{node}.{id}"));
            fs::rename(&made.directory, &directory)?;
            Ok(Self { directory, node: node.clone() })
        });
        begun.inspect_err(|_| drop(made.remove()))
    }

    fn fill(&self, reason: &str) -> io::Result<()> {
        let new = |file| OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        for side in [Side::Agent, Side::Gateway] {
            for progress in [Progress::Sent, Progress::Taken] {
                new(self.counter(side, progress))?;
            }
        }
        io::Write::write_all(&mut new(self.directory.join("reason"))?, reason.as_bytes())
    }

    pub(in crate::engine::join) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the agent says that it is; it has yet to prove that.
    pub(in crate::engine::join) fn node(&self) -> &NodeName {
        &self.node
    }

    /// Why it comes this way, as it says.
    pub(super) fn reason(&self) -> io::Result<String> {
        let mut reason = fs::read(self.directory.join("reason"))?;
        reason.truncate(REASON);
        Ok(String::from_utf8_lossy(&reason).replace(char::is_control, " "))
    }

    pub(super) fn counter(&self, side: Side, progress: Progress) -> PathBuf {
        let progress = match progress {
            Progress::Sent => "sent",
            Progress::Taken => "taken",
        };
        self.directory.join(format!("{}.{progress}", side.word()))
    }

    /// The file of its segment with this number.
    pub(super) fn segment(&self, side: Side, number: u64) -> PathBuf {
        self.directory.join(format!("{}.{number}", side.word()))
    }

    /// Whether `side` has closed both directions; a call that is gone is closed.
    pub(super) fn is_closed_by(&self, side: Side) -> io::Result<bool> {
        let is_final = |progress| match Tally::read(&self.counter(side, progress)) {
            Err(error) if error.kind() == NotFound => Ok(true),
            read => read.map(|tally| tally.is_final),
        };
        Ok(is_final(Progress::Sent)? && is_final(Progress::Taken)?)
    }

    /// Whether some gateway has heard it. One that is gone, or half gone, was heard.
    pub(in crate::engine::join) fn is_answered(&self) -> io::Result<bool> {
        match Tally::read(&self.counter(Side::Gateway, Progress::Taken)) {
            Err(error) if error.kind() == NotFound => Ok(true),
            read => read.map(|taken| taken != Tally::default()),
        }
    }

    /// Removes all of it. The other side finds that it is gone.
    pub(in crate::engine::join) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == NotFound => Ok(()),
            removed => removed,
        }
    }
}
