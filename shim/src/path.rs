//! Which file a program start means: the search along `PATH` as libc does it, and absolute
//! paths for what is relative.
//!
//! ```ignore
//! let program = Program { name: c"bwa", lookup: Lookup::Path { known_directory: true } };
//! path::with_resolved(&program, b"/usr/local/bin:/usr/bin", &mut |path| …);
//! ```

use crate::arch::with_stack;
use crate::kernel::{self, Errno, LONGEST_PATH};
use crate::strings::join;
use core::ffi::{CStr, c_int};

/// Linux' `NAME_MAX`: no file has a longer name.
const LONGEST_NAME: usize = 255;

/// How a function finds the file of the program it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    /// The name is a path.
    File {
        /// Whether the program is started in the current directory: file actions of
        /// `posix_spawn` may go to another one first.
        known_directory: bool,
    },
    /// The name is looked for along `PATH`, unless it holds a slash.
    Path {
        /// As for `File`.
        known_directory: bool,
    },
    /// The name is a path that starts in the directory of this descriptor.
    Directory(c_int),
    /// The program is the open file of this descriptor.
    Descriptor(c_int),
    /// No file that could be told beforehand.
    Unknown,
}

/// A program as a caller names it.
#[derive(Clone, Copy)]
pub(crate) struct Program<'a> {
    pub(crate) name: &'a CStr,
    pub(crate) lookup: Lookup,
}

/// Runs `with_path` on the absolute path of the file that `program` means, if this user
/// may execute it. `search_path` is the caller's `PATH`.
pub(crate) fn with_resolved(
    program: &Program<'_>,
    search_path: &[u8],
    with_path: &mut dyn FnMut(&CStr),
) {
    let name = program.name;
    let has_slash = name.to_bytes().contains(&b'/');
    match program.lookup {
        Lookup::Path { known_directory } if !has_slash => {
            search(name.to_bytes(), search_path, known_directory, with_path);
        }
        Lookup::File { known_directory } | Lookup::Path { known_directory } => {
            with_executable(name, known_directory, with_path);
        }
        Lookup::Directory(_) if name.to_bytes().starts_with(b"/") => {
            with_executable(name, true, with_path);
        }
        Lookup::Directory(directory) => {
            kernel::with_descriptor_path(directory, &mut |directory| {
                with_joined(directory.to_bytes(), name.to_bytes(), &mut |path| {
                    with_executable(path, true, with_path);
                });
            });
        }
        Lookup::Descriptor(descriptor) => {
            kernel::with_descriptor_path(descriptor, &mut |path| {
                with_executable(path, true, with_path);
            });
        }
        Lookup::Unknown => {}
    }
}

fn with_executable(path: &CStr, known_directory: bool, with_path: &mut dyn FnMut(&CStr)) {
    let absolute = path.to_bytes().starts_with(b"/");
    if (absolute || known_directory) && kernel::executable(path).is_ok() {
        with_absolute(path, with_path);
    }
}

fn with_absolute(path: &CStr, with_path: &mut dyn FnMut(&CStr)) {
    if path.to_bytes().starts_with(b"/") {
        return with_path(path);
    }
    let mut relative = path.to_bytes();
    while let Some(rest) = relative.strip_prefix(b"./") {
        relative = rest;
    }
    kernel::with_current_directory(&mut |directory| with_joined(directory, relative, with_path));
}

fn with_joined(directory: &[u8], relative: &[u8], with_path: &mut dyn FnMut(&CStr)) {
    let separator: &[u8] = if directory.ends_with(b"/") { b"" } else { b"/" };
    with_stack(directory.len() + relative.len() + 2, |buffer| {
        if let Some(path) = join(buffer, &[directory, separator, relative]) {
            with_path(path);
        }
    });
}

/// The search of `execvp`: the first file of this name that may be executed. An empty
/// element is the current directory; a file or directory that may not be used is passed
/// over; any other error than "not here" ends the search, as it ends libc's.
fn search(
    name: &[u8],
    search_path: &[u8],
    known_directory: bool,
    with_path: &mut dyn FnMut(&CStr),
) {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return;
    }
    let elements = || search_path.split(|byte| *byte == b':');
    let longest = elements().map(<[u8]>::len).max().unwrap_or(0).min(LONGEST_PATH);
    // Room for the slash, the zero byte, and the slash that `is_directory` adds.
    with_stack(longest + name.len() + 3, |buffer| {
        for element in elements() {
            if !element.starts_with(b"/") && !known_directory {
                // It may be here or there: libc alone can tell.
                return;
            }
            let separator: &[u8] = if element.is_empty() { b"" } else { b"/" };
            let Some(candidate) = join(buffer, &[element, separator, name]) else { continue };
            match kernel::executable(candidate) {
                Ok(()) => {}
                Err(
                    Errno::EACCES
                    | Errno::ENOENT
                    | Errno::ENOTDIR
                    | Errno::ENODEV
                    | Errno::ESTALE
                    | Errno::ETIMEDOUT,
                ) => continue,
                Err(_) => return,
            }
            if is_directory(buffer, &[element, separator, name]) {
                continue;
            }
            if let Some(candidate) = join(buffer, &[element, separator, name]) {
                with_absolute(candidate, with_path);
            }
            return;
        }
    });
}

/// Whether the path made of `parts` is that of a directory, which `execve` refuses with the
/// same `EACCES` as a file without the permission.
fn is_directory(buffer: &mut [u8], parts: &[&[u8]; 3]) -> bool {
    let [element, separator, name] = parts;
    join(buffer, &[element, separator, name, b"/"]).is_some_and(kernel::exists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    fn resolve(name: &str, lookup: Lookup, search_path: &str) -> Option<String> {
        let name = CString::new(name).unwrap();
        let mut found = None;
        with_resolved(&Program { name: &name, lookup }, search_path.as_bytes(), &mut |path| {
            assert!(found.is_none());
            found = Some(path.to_str().unwrap().to_owned());
        });
        found
    }

    const HERE: Lookup = Lookup::Path { known_directory: true };
    const ELSEWHERE: Lookup = Lookup::Path { known_directory: false };

    /// A directory tree with a file `tool` in each of the named directories.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(directories: &[(&str, u32)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (directory, mode) in directories {
                fs::create_dir(tree.path(directory)).unwrap();
                let tool = tree.path(directory).join("tool");
                fs::write(&tool, "#!/bin/sh\n").unwrap();
                fs::set_permissions(&tool, fs::Permissions::from_mode(*mode)).unwrap();
            }
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn search_path(&self, names: &[&str]) -> String {
            let paths: Vec<String> =
                names.iter().map(|name| self.path(name).display().to_string()).collect();
            paths.join(":")
        }
    }

    fn text(path: &Path) -> String {
        path.display().to_string()
    }

    #[test]
    fn the_first_executable_file_of_the_path_is_taken() {
        let tree = Tree::new(&[("plain", 0o644), ("first", 0o755), ("second", 0o755)]);
        fs::create_dir_all(tree.path("directory/tool")).unwrap();
        fs::write(tree.path("file"), "").unwrap();
        let all = ["missing", "file", "plain", "directory", "first", "second"];
        let expected = Some(text(&tree.path("first/tool")));
        assert_eq!(resolve("tool", HERE, &tree.search_path(&all)), expected);
        assert_eq!(resolve("tool", HERE, &tree.search_path(&["missing", "plain"])), None);
        assert_eq!(resolve("", HERE, &tree.search_path(&["first"])), None);
        assert_eq!(resolve(&"t".repeat(256), HERE, &tree.search_path(&["first"])), None);
    }

    #[test]
    fn names_with_a_slash_are_not_searched() {
        let tree = Tree::new(&[("first", 0o755)]);
        let search_path = tree.search_path(&[""]);
        assert_eq!(resolve("first/tool", HERE, &search_path), None);
        let absolute = text(&tree.path("first/tool"));
        assert_eq!(resolve(&absolute, HERE, ""), Some(absolute.clone()));
        assert_eq!(resolve(&absolute, ELSEWHERE, ""), Some(absolute));
    }

    #[test]
    fn relative_names_become_absolute_where_the_directory_is_known() {
        // Unit tests run in the folder of their crate.
        let here = std::env::current_dir().unwrap();
        assert!(!here.join("tool").exists());
        let tree = tempfile::tempdir_in(&here).unwrap();
        let tool = tree.path().join("tool");
        fs::write(&tool, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let directory = tree.path().file_name().unwrap().to_str().unwrap();
        let expected = Some(text(&tool));

        let name = format!("././{directory}/tool");
        assert_eq!(resolve(&name, Lookup::File { known_directory: true }, ""), expected);
        assert_eq!(resolve(&name, Lookup::File { known_directory: false }, ""), None);
        assert_eq!(resolve("tool", HERE, directory), expected);
        assert_eq!(resolve("tool", ELSEWHERE, directory), None);
        // An empty element is the current directory.
        assert_eq!(resolve("sh", HERE, ":/bin"), Some("/bin/sh".to_owned()));
        assert_eq!(resolve("sh", ELSEWHERE, ":/bin"), None);
        assert_eq!(resolve("sh", ELSEWHERE, "/bin:"), Some("/bin/sh".to_owned()));
    }

    #[test]
    fn descriptors_name_files_and_directories() {
        let tree = Tree::new(&[("first", 0o755), ("plain", 0o644)]);
        let root = tree.0.path().canonicalize().unwrap();
        let directory = fs::File::open(&root).unwrap();
        let expected = Some(text(&root.join("first/tool")));
        let lookup = Lookup::Directory(directory.as_raw_fd());
        assert_eq!(resolve("first/tool", lookup, ""), expected);
        assert_eq!(resolve("plain/tool", lookup, ""), None);
        assert_eq!(resolve("/bin/sh", lookup, ""), Some("/bin/sh".to_owned()));
        let tool = fs::File::open(root.join("first/tool")).unwrap();
        assert_eq!(resolve("", Lookup::Descriptor(tool.as_raw_fd()), ""), expected);
    }
}
