//! What can be wrong with a mapfile, and where.

/// A mapfile that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {problem}")]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a mapfile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A bracket has no end.
    #[error("this '{0}' is not closed")]
    Unclosed(char),
    /// A quote has no end.
    #[error("this quote is not closed on its line")]
    UnclosedText,
    /// A bracket that was never opened, or not last.
    #[error("this '{0}' closes nothing; a name with brackets belongs in quotes")]
    ClosesNothing(char),
    /// Something that is not an entry of a parset.
    #[error("expected HOST = [ FILE, … ]")]
    NotAnEntry,
    /// A value that might be two entries.
    #[error("a value with '=' belongs in brackets: HOST = [ FILE ]")]
    BareEquals,
    /// Nothing between two commas.
    #[error("a file name is missing here; is there a comma too many?")]
    NoName,
    /// Two texts side by side.
    #[error("a comma is missing before this")]
    NoComma,
    /// Something else than what belongs here.
    #[error("expected {expected}")]
    Expected {
        /// What belongs here.
        expected: &'static str,
    },
    /// A dictionary's key that no form has.
    #[error("unknown key '{0}'; an entry has host, file, skip and file_skip")]
    UnknownKey(String),
    /// A dictionary's key that stands twice.
    #[error("the key '{0}' stands here for the second time")]
    RepeatedKey(String),
    /// A dictionary lacks a key.
    #[error("this entry has no '{0}'")]
    NoKey(&'static str),
    /// An escape sequence that no version of Python has written.
    #[error("this escape sequence stands for no character")]
    Escape,
    /// Lists in lists in lists.
    #[error("this is nested too deeply for a mapfile")]
    TooDeep,
    /// No name on any system.
    #[error("a name cannot hold a zero byte")]
    ZeroByte,
    /// A host without a name.
    #[error("the host has no name")]
    NoHost,
    /// A host's name that is no text.
    #[error("the host's name is not UTF-8")]
    HostNotText,
    /// As many flags as files are needed.
    #[error("there are {flags} flags in 'file_skip' for {files} files")]
    Lengths {
        /// How many files there are.
        files: usize,
        /// How many flags there are.
        flags: usize,
    },
    /// A text that holds a list holds none.
    #[error("in the list that this text holds, at {0}")]
    Inside(Box<Error>),
}

/// A problem at a byte of the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub at: usize,
    pub problem: Problem,
}

impl Problem {
    /// This problem at byte `at`.
    pub(super) const fn at(self, at: usize) -> Fault {
        Fault { at, problem: self }
    }
}

impl Error {
    /// Where in `text` a fault is.
    pub(super) fn at(text: &[u8], Fault { at, problem }: Fault) -> Self {
        let before = &text[..at.min(text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let line = before.split(|byte| *byte == b'\n').count();
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        Self { line, column, problem }
    }
}
