//! Mapfiles: which host has which file, as LOFAR's pipelines write it down.
//!
//! ```text
//!  lce001 = [ /data/a.MS, /data/b.MS ]      A  parset                        ┐
//!  lce001 = ['/data/a.MS', '/data/b.MS']    B  parset of a Python list       ├ parset ┐
//!                                                                            ┘        │
//!  [('lce001', '/data/a.MS')]               C  list of tuples                ┐        ├► entries
//!  [{'host': 'lce001',                      D  list of dictionaries          │        │
//!    'file': '/data/a.MS', 'skip': False}]                                   ├ literal┘
//!  [{'host': 'lce001', 'skip': False,       E  the same, with several files  │
//!    'file': "['/data/a.MS', '/b.MS']",        to an entry: a text that      │
//!    'file_skip': [False, False]}]             holds a list                  ┘
//! ```
//!
//! LOFAR has Python evaluate C, D and E; here they are read as what they are, literals ([`read`]).
//! [`write`](write()) writes A and D, and E where an entry has several files. From lists of files
//! [`make`] makes entries, [`group`](group::group) gathers those of a host, and [`relate`] compares
//! mapfiles that belong together.
//!
//! ```
//! use redirector::mapfile::{Form, read, write};
//!
//! let entries = read(b"lce001=[ /data/a.MS ] lce002=[ /data/b.MS ]")?;
//! assert_eq!(entries[1].host.0, "lce002");
//! let written = write(&entries, Form::Dictionaries)?;
//! assert_eq!(read(&written)?, entries);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod entry;
mod error;
pub mod group;
mod literal;
pub mod make;
pub mod near;
mod parset;
mod records;
pub mod relate;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{Content, Entry, Member};
pub use error::{Error, Problem};
pub use write::{Form, Unsayable, write};

/// The entries of a mapfile in whichever form, in their order.
///
/// # Errors
/// [`Error`], with the place of what is not understood.
pub fn read(text: &[u8]) -> Result<Vec<Entry>, Error> {
    let found = match first_significant(text) {
        Some(b'[' | b'(') => literal::parse(text).and_then(records::entries),
        _ => parset::entries(text),
    };
    found.map_err(|fault| Error::at(text, fault))
}

/// The first byte that is neither blank nor in a comment.
fn first_significant(text: &[u8]) -> Option<u8> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    lines.find_map(|line| line.first().copied().filter(|byte| *byte != b'#'))
}
