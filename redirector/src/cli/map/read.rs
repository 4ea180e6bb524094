//! `redirector map read`

use std::path::PathBuf;

use super::file;
use crate::{
    cli::{
        Outcome, SUCCESS,
        output::{self, Cell},
        table::{Align, layout},
    },
    mapfile::{Entry, Form},
};

/// Show a mapfile's entries, or write it in another form
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The mapfile
    map: PathBuf,
    /// Only the entries of this host
    #[arg(long)]
    host: Option<String>,
    /// Only entries that are not to be skipped
    #[arg(long)]
    without_skipped: bool,
    /// Write them as a mapfile of this form
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// A JSON array of objects
    #[arg(long, conflicts_with = "form")]
    json: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let mut entries = file::entries(&arguments.map)?;
    entries.retain(|entry| {
        let is_wanted = arguments.host.as_ref().is_none_or(|host| entry.host.0 == *host);
        is_wanted && !(arguments.without_skipped && entry.skip)
    });
    if arguments.json || arguments.form.is_some() {
        file::print(&entries, arguments.form)?;
    } else {
        output::text(&listing(&entries))?;
    }
    Ok(SUCCESS)
}

/// A row per file; what is the entry's own stands in its first row only.
fn listing(entries: &[Entry]) -> String {
    let header = [
        ("ENTRY", Align::Right),
        ("HOST", Align::Left),
        ("SKIP", Align::Left),
        ("FILE", Align::Left),
    ];
    let mut rows = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let mut own = [(index + 1).to_string(), entry.host.to_string()];
        for (file, skip) in entry.members() {
            let [number, host] = std::mem::take(&mut own);
            rows.push(vec![
                Cell::plain(number),
                Cell::plain(host),
                if skip { Cell::bad("skip") } else { Cell::plain("") },
                Cell::plain(output::shortened(&file.to_string_lossy(), usize::MAX)),
            ]);
        }
    }
    layout(&header, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapfile::read;

    #[test]
    fn each_file_has_a_row() {
        let entries = read(
            b"[('a', '/1'), {'host': 'b', 'skip': False, 'file': \"['/2', '/3\\\\n']\", \
              'file_skip': [False, True]}]",
        )
        .unwrap();
        let plain = anstream::adapter::strip_str(&listing(&entries)).to_string();
        let expected = [
            "ENTRY  HOST  SKIP  FILE",
            "    1  a           /1",
            "    2  b           /2",
            "             skip  /3 ",
        ];
        assert_eq!(plain.lines().collect::<Vec<_>>(), expected);
    }
}
