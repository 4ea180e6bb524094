//! Compares what two runs of a pipeline left behind, every byte of every file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The files below a directory, by their path in it.
pub struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    /// Reads everything below `directory` except the entries of it that are named in `without`.
    ///
    /// # Panics
    ///
    /// When a file or directory cannot be read.
    pub fn read(directory: &Path, without: &[&str]) -> Self {
        let mut files = BTreeMap::new();
        collect(directory, Path::new(""), without, &mut files);
        Self(files)
    }

    /// Replaces the content of the files for whose name `applies` says so. For what the tool itself
    /// makes different in every run; the place that calls this says what that is.
    #[must_use]
    pub fn normalised(
        mut self,
        applies: impl Fn(&Path) -> bool,
        content: impl Fn(&str) -> String,
    ) -> Self {
        for (path, bytes) in &mut self.0 {
            if applies(path) {
                *bytes = content(&String::from_utf8_lossy(bytes)).into_bytes();
            }
        }
        self
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn collect(root: &Path, below: &Path, without: &[&str], files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let directory = root.join(below);
    let entries = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    for entry in entries {
        let entry = entry.expect("the directory is not being changed");
        let path = below.join(entry.file_name());
        if without.iter().any(|name| path == Path::new(name)) {
            continue;
        }
        if entry.file_type().expect("as above").is_dir() {
            collect(root, &path, without, files);
        } else {
            let bytes = fs::read(entry.path())
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            files.insert(path, bytes);
        }
    }
}

/// Compares the files of two runs.
///
/// # Panics
///
/// Unless both have the same files with the same bytes; the message lists what differs.
#[track_caller]
pub fn assert_same_files(what: &str, plain: &Files, redirected: &Files) {
    let mut differences = Vec::new();
    for (path, bytes) in &plain.0 {
        match redirected.0.get(path) {
            None => differences.push(format!("{}: only in the plain run", path.display())),
            Some(other) if other != bytes => differences.push(format!(
                "{}: {} bytes plain, {} redirected, first difference at byte {}",
                path.display(),
                bytes.len(),
                other.len(),
                bytes.iter().zip(other).take_while(|(one, two)| one == two).count(),
            )),
            Some(_) => {}
        }
    }
    for path in redirected.0.keys().filter(|path| !plain.0.contains_key(*path)) {
        differences.push(format!("{}: only in the redirected run", path.display()));
    }
    assert!(differences.is_empty(), "{what}: files differ:\n{}", differences.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(content: &[(&str, &str)]) -> Files {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in content {
            let file = directory.path().join(path);
            fs::create_dir_all(file.parent().expect("inside of the directory")).expect("writable");
            fs::write(file, text).expect("writable");
        }
        Files::read(directory.path(), &["ignored"])
    }

    #[test]
    fn same_files_are_the_same() {
        let content = [("a", "one"), ("b/c", "two")];
        assert_eq!(files(&content).len(), 2);
        assert_same_files("copies", &files(&content), &files(&content));
    }

    #[test]
    fn ignored_entries_do_not_count() {
        assert!(files(&[("ignored/x", "1"), ("ignored/y", "2")]).is_empty());
    }

    #[test]
    #[should_panic(expected = "a: 3 bytes plain, 3 redirected, first difference at byte 1")]
    fn one_byte_makes_a_difference() {
        assert_same_files("a byte", &files(&[("a", "one")]), &files(&[("a", "ore")]));
    }

    #[test]
    #[should_panic(expected = "b: only in the redirected run")]
    fn one_file_more_makes_a_difference() {
        assert_same_files("a file", &files(&[("a", "")]), &files(&[("a", ""), ("b", "")]));
    }

    #[test]
    #[should_panic(expected = "b: only in the plain run")]
    fn one_file_less_makes_a_difference() {
        assert_same_files("a file", &files(&[("a", ""), ("b", "")]), &files(&[("a", "")]));
    }

    #[test]
    fn normalised_files_may_differ_where_it_was_said() {
        let without_digits = |files: Files| {
            files.normalised(
                |path| path.ends_with("log"),
                |text| text.chars().filter(|letter| !letter.is_ascii_digit()).collect(),
            )
        };
        let (plain, redirected) = (files(&[("log", "12 s")]), files(&[("log", "3 s")]));
        assert_same_files("logs", &without_digits(plain), &without_digits(redirected));
    }
}
