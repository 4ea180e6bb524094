//! Mapfiles on disk.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};

use crate::{
    cli::output,
    mapfile::{self, Entry, Form},
};

/// Whether standard input or output is meant.
fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// The bytes of the file at `path`, or of standard input, and what people call it.
pub(in crate::cli) fn bytes(path: &Path) -> anyhow::Result<(Vec<u8>, String)> {
    let mut bytes = Vec::new();
    let (name, read) = if is_standard(path) {
        ("standard input".to_owned(), io::stdin().lock().read_to_end(&mut bytes))
    } else {
        let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
        (path.display().to_string(), read)
    };
    read.with_context(|| format!("cannot read {name}"))?;
    Ok((bytes, name))
}

/// The entries of the mapfile at `path`.
pub(in crate::cli) fn entries(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let (bytes, name) = bytes(path)?;
    mapfile::read(&bytes)
        .map_err(|error| anyhow!("{name}:{error} ('docs/mapfiles.md' shows all forms)"))
}

/// How and where a mapfile is written.
#[derive(clap::Args)]
pub(super) struct Written {
    /// Where the mapfile is written [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    form: Form,
    /// A JSON array of its entries instead
    #[arg(long, conflicts_with = "form")]
    json: bool,
}

impl Written {
    /// Writes `entries`.
    pub(super) fn write(&self, entries: &[Entry]) -> anyhow::Result<()> {
        let text = if self.json {
            [serde_json::to_string_pretty(entries)?.as_bytes(), b"\n"].concat()
        } else {
            mapfile::write(entries, self.form)?
        };
        match self.output.as_deref().filter(|path| !is_standard(path)) {
            Some(path) => Target::new(path)?.write(&text),
            None => Ok(io::stdout().lock().write_all(&text)?),
        }
    }
}

/// Prints `entries` as JSON, or as `form` has it.
pub(super) fn print(entries: &[Entry], form: Option<Form>) -> anyhow::Result<()> {
    match form {
        None => output::json(&entries),
        Some(form) => Ok(io::stdout().lock().write_all(&mapfile::write(entries, form)?)?),
    }
}

/// A file that is there as a whole, or as it was before.
#[derive(Debug)]
pub(in crate::cli) struct Target {
    path: PathBuf,
    /// What takes its place in the end; none: it is no plain file, such as `/dev/stdout`.
    draft: Option<PathBuf>,
    file: File,
}

impl Target {
    /// To be written at `path`; nothing is changed there yet, but it is certain that it can be.
    pub(in crate::cli) fn new(path: &Path) -> anyhow::Result<Self> {
        let open = || {
            // Through links, so that they stay.
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
                let file = File::options().write(true).open(&path)?;
                return Ok(Self { path, draft: None, file });
            }
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.part", std::process::id()));
            let draft = path.with_file_name(name);
            let file = File::options().write(true).create_new(true).open(&draft)?;
            Ok(Self { path, draft: Some(draft), file })
        };
        open().map_err(|error: io::Error| cannot_write(path, &error))
    }

    /// Writes `text` there.
    pub(in crate::cli) fn write(mut self, text: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(text).and_then(|()| match &self.draft {
            Some(draft) => fs::rename(draft, &self.path),
            None => Ok(()),
        });
        written.map_err(|error| cannot_write(&self.path, &error))?;
        self.draft = None;
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("cannot write the mapfile {}: {error}", path.display())
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // What cannot be removed is told by its name.
            drop(fs::remove_file(draft));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_as_it_was_until_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map");
        fs::write(&path, "before").unwrap();
        let names = || fs::read_dir(directory.path()).unwrap().count();
        drop(Target::new(&path).unwrap());
        assert_eq!((fs::read(&path).unwrap(), names()), (b"before".to_vec(), 1));
        Target::new(&path).unwrap().write(b"after").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"after".to_vec(), 1));
        Target::new(Path::new("/dev/null")).unwrap().write(b"nothing").unwrap();
        let error = Target::new(&directory.path().join("no/map")).unwrap_err().to_string();
        assert!(error.contains("no/map") && error.contains("No such"), "{error}");
    }

    #[test]
    fn an_error_has_the_file_and_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("map");
        fs::write(&path, "a=[1]\nb=[").unwrap();
        let error = entries(&path).unwrap_err().to_string();
        let place = format!("{}:2:3: this '[' is not closed", path.display());
        assert!(error.starts_with(&place), "{error}");
        let error = entries(&directory.path().join("none")).unwrap_err();
        assert!(format!("{error:#}").contains("none: No such file"), "{error:#}");
    }
}
