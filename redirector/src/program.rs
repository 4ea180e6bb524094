//! Which file this program is.
//!
//! ```text
//!   libshim.so        starts one of these two in a command's place:
//!   redirector-exec   the program linked with musl, which starts in a tenth of the time in a virtual
//!                     machine (docs/decisions/static-binary.md); need not be there
//!   redirector        the program; everything else is done by this one
//! ```

use std::{
    env,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

/// The program that only stands in for commands.
const STAND_IN: &str = "redirector-exec";

/// The program.
const PROGRAM: &str = "redirector";

/// The `redirector` that this process is, or that belongs to it.
///
/// # Errors
/// If the kernel does not say which file this process runs.
pub fn path() -> io::Result<PathBuf> {
    env::current_exe().map(beside)
}

/// The file of this process's program, which agents start from elsewhere: if it was replaced, the
/// new one.
///
/// # Errors
/// If the kernel does not say which file this process runs.
pub(crate) fn installed() -> io::Result<PathBuf> {
    env::current_exe().map(in_its_place)
}

/// The kernel adds this to the path of a file that was removed or replaced.
const REPLACED: &str = " (deleted)";

fn in_its_place(own: PathBuf) -> PathBuf {
    let successor = own.to_str().and_then(|path| path.strip_suffix(REPLACED)).map(PathBuf::from);
    successor.filter(|path| path.is_file()).unwrap_or(own)
}

fn beside(own: PathBuf) -> PathBuf {
    if own.file_name() != Some(OsStr::new(STAND_IN)) {
        return own;
    }
    let program = own.with_file_name(PROGRAM);
    // Alone it can do everything, too.
    if program.is_file() { program } else { own }
}

/// Whether `other` is the program that `own` is, by their names: either may have been replaced by
/// another version meanwhile.
pub(crate) fn is_same(own: &Path, other: &Path) -> bool {
    match (name(own), name(other)) {
        (Some(own), Some(other)) => own == other,
        _ => false,
    }
}

fn name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let name = name.trim_end_matches(REPLACED);
    Some(if name == STAND_IN { PROGRAM } else { name }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_leads_to_the_program_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        assert_eq!(beside(file("other")), file("other"));
        assert_eq!(beside(file(STAND_IN)), file(STAND_IN));
        std::fs::write(file(PROGRAM), "").unwrap();
        assert_eq!(beside(file(STAND_IN)), file(PROGRAM));
    }

    #[test]
    fn a_program_that_was_replaced_is_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        assert_eq!(in_its_place(file("p (deleted)")), file("p (deleted)"), "there is no new one");
        std::fs::write(file("p"), "").unwrap();
        assert_eq!(in_its_place(file("p (deleted)")), file("p"));
        assert_eq!(in_its_place(file("p")), file("p"));
    }

    #[test]
    fn both_are_the_same_program_under_any_version() {
        let same = |own: &str, other: &str| is_same(Path::new(own), Path::new(other));
        assert!(same("/a/redirector", "/b/redirector-exec"));
        assert!(same("/a/redirector", "/a/redirector (deleted)"));
        assert!(same("/a/redirector", "/a/redirector-exec (deleted)"));
        assert!(!same("/a/redirector", "/usr/bin/sleep") && !same("/", "/"));
    }
}
