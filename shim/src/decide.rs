//! Whether the whitelist wants a command, and whether the kernel could run it at all.
//!
//! The whitelist is read at every program start, so that an edit applies to the next one.
//! It is read and not mapped: an editor that truncates a mapped file would kill the user's
//! process with SIGBUS.
//!
//! ```ignore
//! if decide::wants(files, path, argv) && decide::runnable(path) { … }
//! ```

use crate::arch::with_stack;
use crate::environment::View;
use crate::kernel::{self, Errno, File};
use crate::session::{HOME, Session};
use crate::strings::{RawVector, StringVector, join};
use core::ffi::CStr;
use whitelist::{Arguments, Command, MAX_LINE, Verdict};

/// Bytes of a whitelist read at once: small enough for a 16 KiB stack.
const CHUNK: usize = 2 * MAX_LINE;

/// The whitelist of a project, below its root directory.
const PROJECT_WHITELIST: &[u8] = b".redirector/whitelist";
const USER_WHITELIST: &[u8] = b"/.config/redirector/whitelist";
const SITE_WHITELIST: &CStr = c"/etc/redirector/whitelist";

/// An argument vector as the whitelist wants to see it.
struct ArgumentVector {
    first: RawVector,
    length: usize,
}

impl Arguments for ArgumentVector {
    fn get(&self, index: usize) -> Option<&[u8]> {
        if index >= self.length {
            return None;
        }
        // SAFETY: the list has `length` strings, which outlive this borrow.
        Some(unsafe { CStr::from_ptr(*self.first.add(index)) }.to_bytes())
    }
}

/// Whether the rules of `files`, a colon list of whitelists, say that the command becomes a
/// job. The last rule that matches decides, over all files; a file that cannot be read has
/// no rules.
pub(crate) fn wants(files: &[u8], path: &CStr, arguments: StringVector<'_>) -> bool {
    let arguments = ArgumentVector { first: arguments.as_raw(), length: arguments.len() };
    let command = Command { path: path.to_bytes(), arguments: &arguments };
    let mut wanted = false;
    with_stack(CHUNK, |buffer| {
        for file in files.split(|byte| *byte == b':').filter(|file| !file.is_empty()) {
            let Some(Ok(file)) = join(buffer, &[file]).map(File::open) else { continue };
            for_each_line(&file, buffer, &mut |line| match whitelist::verdict(line, &command) {
                Verdict::NoMatch => {}
                Verdict::Redirect => wanted = true,
                Verdict::RunHere => wanted = false,
            });
        }
    });
    wanted
}

/// Runs `with_line` on the lines of `file` that are no longer than a rule may be.
fn for_each_line(file: &File, buffer: &mut [u8], with_line: &mut dyn FnMut(&[u8])) {
    let mut filled = 0;
    // Whether `buffer` begins in the middle of a line that is too long.
    let mut skipping = false;
    loop {
        let Some(room) = buffer.get_mut(filled..) else { return };
        let length = file.read(room).unwrap_or(0);
        if length == 0 {
            break;
        }
        filled += length;
        let mut start = 0;
        while let Some(line) = buffer.get(start..filled) {
            let Some(end) = whitelist::find_line_end(line) else { break };
            if !skipping && end <= MAX_LINE {
                with_line(&line[..end]);
            }
            skipping = false;
            start += end + 1;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if filled > MAX_LINE {
            skipping = true;
            filled = 0;
        }
    }
    if !skipping && let Some(line) = buffer.get(..filled) {
        with_line(line);
    }
}

/// Whether the kernel could start `path` by itself: a program or a script that names its
/// interpreter. Anything else stays a matter between the caller and libc.
pub(crate) fn runnable(path: &CStr) -> bool {
    let file = match File::open(path) {
        Ok(file) => file,
        // A program may be executable without being readable.
        Err(error) => return error == Errno::EACCES,
    };
    let mut start = [0; 4];
    match file.read(&mut start) {
        Ok(length) => start == *b"\x7fELF" || (length >= 2 && start.starts_with(b"#!")),
        Err(_) => false,
    }
}

/// Runs `with_file` on the whitelist of a process that was not told of one: that of the
/// project around the current directory, else the user's, else the site's, else none (an
/// empty name).
pub(crate) fn with_found_whitelist(
    view: &View<'_>,
    session: &Session,
    with_file: &mut dyn FnMut(&[u8]),
) {
    let mut found = false;
    kernel::with_current_directory(&mut |directory| {
        with_project_whitelist(directory, &mut |file| {
            found = true;
            with_file(file);
        });
    });
    if found {
        return;
    }
    let home = view.value(session, HOME).unwrap_or_default();
    if home.starts_with(b"/") {
        with_stack(home.len() + USER_WHITELIST.len() + 1, |buffer| {
            if let Some(file) = join(buffer, &[home, USER_WHITELIST])
                && kernel::exists(file)
            {
                found = true;
                with_file(file.to_bytes());
            }
        });
    }
    if found {
        return;
    }
    let site = if kernel::exists(SITE_WHITELIST) { SITE_WHITELIST } else { c"" };
    with_file(site.to_bytes());
}

/// Runs `with_file` on the whitelist of the nearest directory, from `directory` up to the
/// root, that has one.
fn with_project_whitelist(directory: &[u8], with_file: &mut dyn FnMut(&[u8])) {
    with_stack(directory.len() + PROJECT_WHITELIST.len() + 2, |buffer| {
        let mut parent = directory;
        while let Some(last) = parent.iter().rposition(|byte| *byte == b'/') {
            // The root directory is the only one that ends with its slash.
            let base = if parent.len() == 1 { b"" } else { parent };
            if let Some(file) = join(buffer, &[base, b"/", PROJECT_WHITELIST])
                && kernel::exists(file)
            {
                return with_file(file.to_bytes());
            }
            if parent.len() == 1 {
                return;
            }
            parent = &parent[..last.max(1)];
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::session;
    use crate::strings::tests::Owned;
    use std::ffi::CString;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    fn c_string(path: &Path) -> CString {
        CString::new(path.as_os_str().as_bytes()).unwrap()
    }

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, text).unwrap();
        let mut seen = Vec::new();
        let file = File::open(&c_string(&path)).unwrap();
        for_each_line(&file, &mut [0; CHUNK], &mut |line| seen.push(line.to_vec()));
        seen
    }

    #[test]
    fn lines_arrive_whole_whatever_the_chunks() {
        for width in [1, 7, 100, MAX_LINE - 1, MAX_LINE] {
            let expected: Vec<Vec<u8>> =
                (0..40_u8).map(|index| vec![b'A' + index; width]).collect();
            let text = expected.join(&b'\n');
            assert_eq!(lines(&text), expected, "{width}");
            let mut seen = lines(&[&text[..], b"\n"].concat());
            assert_eq!(seen.pop().unwrap(), b"", "{width}");
            assert_eq!(seen, expected, "{width}");
        }
    }

    #[test]
    fn longer_lines_are_skipped_and_only_they() {
        for width in [MAX_LINE + 1, CHUNK, CHUNK + 1, 5 * CHUNK] {
            let long = vec![b'x'; width];
            let text = [b"before", &long[..], b"between", &long[..], b"after"].join(&b'\n');
            assert_eq!(lines(&text), [&b"before"[..], b"between", b"after"], "{width}");
            assert_eq!(lines(&long), Vec::<Vec<u8>>::new(), "{width}");
        }
    }

    fn wants_bwa_mem(whitelists: &[&str]) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let mut files = directory.path().join("missing").into_os_string().into_encoded_bytes();
        for (index, text) in whitelists.iter().enumerate() {
            let path = directory.path().join(index.to_string());
            fs::write(&path, text).unwrap();
            files.push(b':');
            files.extend(path.as_os_str().as_bytes());
        }
        let arguments = Owned::new(&["bwa", "mem", "ref.fa"]);
        wants(&files, c"/usr/bin/bwa", arguments.vector())
    }

    #[test]
    fn the_last_match_over_all_files_decides() {
        for (whitelists, expected) in [
            (&[][..], false),
            (&["bwa\n"], true),
            (&["samtools\n"], false),
            (&["bwa mem", "!bwa\n"], false),
            (&["!bwa", "bwa mem\n"], true),
            (&["bwa\n", ""], true),
            (&["bwa\n!bwa index\nbwa nonsense=1"], true),
        ] {
            assert_eq!(wants_bwa_mem(whitelists), expected, "{whitelists:?}");
        }
    }

    #[test]
    fn programs_and_scripts_are_runnable() {
        assert!(runnable(c"/bin/sh"));
        assert!(!runnable(c"/bin"));
        assert!(!runnable(c"/nowhere"));
        let directory = tempfile::tempdir().unwrap();
        for (text, expected) in
            [("#!/bin/sh\n", true), ("#!", true), ("echo\n", false), ("#", false), ("", false)]
        {
            let path = directory.path().join("script");
            fs::write(&path, text).unwrap();
            assert_eq!(runnable(&c_string(&path)), expected, "{text}");
        }
    }

    #[test]
    fn the_nearest_whitelist_of_the_project_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let find = |from: &Path| {
            let mut found = None;
            with_project_whitelist(from.as_os_str().as_bytes(), &mut |file| {
                found = Some(file.to_vec());
            });
            found
        };
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        assert_eq!(find(&root.join("a/b/c")), None);
        for place in ["", "a/b"] {
            fs::create_dir(root.join(place).join(".redirector")).unwrap();
            let file = root.join(place).join(".redirector/whitelist");
            fs::write(&file, "").unwrap();
            let expected = Some(file.as_os_str().as_bytes().to_vec());
            for from in ["a/b", "a/b/c"] {
                assert_eq!(find(&root.join(from)), {
                    if place.is_empty() {
                        Some(root.join(".redirector/whitelist").as_os_str().as_bytes().to_vec())
                    } else {
                        expected.clone()
                    }
                });
            }
        }
        assert_eq!(find(&root.join("a")), find(root));
        assert_eq!(find(Path::new("/")), None);
    }

    #[test]
    fn the_whitelist_of_the_user_follows_that_of_the_project() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".config/redirector/whitelist");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let home = format!("HOME={}", home.path().display());
        let session = session(c"/l.so", &[&home]);
        let environment = Owned::new(&[]);
        let view = View::of(environment.vector(), &session);
        let found = || {
            let mut found = Vec::new();
            with_found_whitelist(&view, &session, &mut |file| found.push(file.to_vec()));
            found
        };
        let before = found();
        assert_eq!(before.len(), 1);
        assert_ne!(before[0], file.as_os_str().as_bytes());
        fs::write(&file, "").unwrap();
        let after = found();
        // A whitelist of this project, if it has one, goes before that of the user.
        if before[0].ends_with(PROJECT_WHITELIST) && !before[0].starts_with(b"/etc/") {
            assert_eq!(after, before);
        } else {
            assert_eq!(after, [file.as_os_str().as_bytes()]);
        }
    }
}
