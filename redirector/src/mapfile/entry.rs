//! What a mapfile is made of.

use serde::Serialize;

use crate::model::{NodeName, Text};

/// A host and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where the files are.
    pub host: NodeName,
    /// What is there.
    #[serde(flatten)]
    pub content: Content,
    /// Nothing is to be done with it, mostly because an earlier step has failed on it.
    pub skip: bool,
}

/// One file, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// One.
    File(Text),
    /// Any number.
    Files(Vec<Member>),
}

/// One file of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its path.
    pub file: Text,
    /// It is left out.
    pub skip: bool,
}

impl Entry {
    /// One file that is not to be skipped.
    pub fn new(host: NodeName, file: Text) -> Self {
        Self { host, content: Content::File(file), skip: false }
    }

    /// Whether it has several files, or could.
    pub const fn is_group(&self) -> bool {
        matches!(self.content, Content::Files(_))
    }

    /// All files, and whether each is to be skipped, by itself or with the whole entry.
    pub fn members(&self) -> impl Iterator<Item = (&Text, bool)> {
        let (one, several) = match &self.content {
            Content::File(file) => (Some((file, self.skip)), &[][..]),
            Content::Files(members) => (None, &members[..]),
        };
        let several = several.iter().map(|member| (&member.file, self.skip || member.skip));
        one.into_iter().chain(several)
    }

    /// The files that something is to be done with.
    pub fn files(&self) -> impl Iterator<Item = &Text> {
        self.members().filter(|(_, skip)| !skip).map(|(file, _)| file)
    }
}
