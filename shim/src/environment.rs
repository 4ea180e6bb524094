//! The environment a started program gets: the caller's, with our entries where they are
//! missing, or without them. The caller's own list is never edited: its strings are shared,
//! and the list is rebuilt on the stack only when something has to change.
//!
//! ```ignore
//! let view = View::of(envp, session);
//! environment::with_repaired(&view, session, &extra, &mut |envp| execve(path, argv, envp));
//! ```

use crate::arch::with_stack;
use crate::preload;
use crate::session::{self, EXEC, OFF, OUR_PREFIX, PRELOAD, Session, WHITELIST};
use crate::strings::{Entry, RawVector, StringVector, name_of};
use core::ffi::{CStr, c_char};
use core::mem;

/// Most bytes we add to what a program start hands to the kernel, pointers included: POSIX
/// asks programs to leave 2048 bytes of `ARG_MAX` free.
const MOST_ADDED: usize = 2048;

const POINTER: usize = size_of::<*const c_char>();

/// What a caller's environment holds of ours.
#[expect(clippy::struct_excessive_bools, reason = "four independent findings of one scan")]
pub(crate) struct View<'e> {
    entries: StringVector<'e>,
    length: usize,
    /// The last value of `LD_PRELOAD`, which is the one that glibc obeys.
    preload: Option<&'e CStr>,
    off: bool,
    /// An entry that was meant for another process.
    stale: bool,
    has_whitelist: bool,
    has_ours: bool,
    /// One bit for each entry of the session whose name the environment lacks.
    missing: u32,
}

impl<'e> View<'e> {
    pub(crate) fn of(entries: StringVector<'e>, session: &Session) -> Self {
        let mut view = Self {
            entries,
            length: 0,
            preload: None,
            off: false,
            stale: false,
            has_whitelist: false,
            has_ours: false,
            missing: 0,
        };
        let mut present: u32 = 0;
        for entry in entries.iter() {
            view.length += 1;
            if let Some(value) = entry.strip_prefix(PRELOAD) {
                view.preload = Some(value.text());
            } else if entry.strip_prefix(OUR_PREFIX).is_some() {
                view.has_ours = true;
                view.stale |= entry.strip_prefix(EXEC).is_some();
                view.has_whitelist |= entry.strip_prefix(WHITELIST).is_some();
                view.off |= entry
                    .strip_prefix(OFF)
                    .is_some_and(|value| session::switches_off(value.text()));
                for (index, ours) in session.entries().enumerate() {
                    if entry.strip_prefix(name_of(ours.to_bytes())).is_some() {
                        present |= 1 << index;
                    }
                }
            }
        }
        for (index, ours) in session.entries().enumerate() {
            view.has_whitelist |= ours.to_bytes().starts_with(WHITELIST);
            // `LD_PRELOAD` is more than present or missing.
            if index > 0 && present & 1 << index == 0 {
                view.missing |= 1 << index;
            }
        }
        view
    }

    /// The list this is a view of.
    pub(crate) fn as_raw(&self) -> RawVector {
        self.entries.as_raw()
    }

    /// Whether the caller asks for a plain call.
    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    /// Whether neither the environment nor the session says where the whitelist is.
    pub(crate) fn lacks_whitelist(&self) -> bool {
        !self.has_whitelist
    }

    /// The value of our variable of this name (with its `=`) for the started program.
    pub(crate) fn value<'a>(&self, session: &'a Session, prefix: &[u8]) -> Option<&'a [u8]>
    where
        'e: 'a,
    {
        match self.entries.value(prefix) {
            Some(value) => Some(value.to_bytes()),
            None => session.value(prefix),
        }
    }

    fn preload(&self) -> &'e [u8] {
        self.preload.map_or(b"", CStr::to_bytes)
    }

    fn preload_is_right(&self, session: &Session) -> bool {
        preload::contains(self.preload(), session.preload_element())
    }
}

/// What else a repaired environment gets.
#[derive(Default)]
pub(crate) struct Extra<'a> {
    /// Where the whitelist is, when this process was the first to look.
    pub(crate) whitelist: Option<&'a [u8]>,
    /// The resolved path of the program, for `redirector`.
    pub(crate) program: Option<&'a CStr>,
}

/// Runs `with_list` on the environment with all our entries. What the caller set itself
/// wins; `false` when the additions would be too long, and then nothing was run.
pub(crate) fn with_repaired(
    view: &View<'_>,
    session: &Session,
    extra: &Extra<'_>,
    with_list: &mut dyn FnMut(RawVector),
) -> bool {
    let preload_is_right = view.preload_is_right(session);
    let whitelist = extra.whitelist.filter(|_| view.lacks_whitelist());
    if preload_is_right
        && view.missing == 0
        && !view.stale
        && whitelist.is_none()
        && extra.program.is_none()
    {
        with_list(view.entries.as_raw());
        return true;
    }

    let missing = |index: usize| view.missing & 1 << index != 0;
    let mut added_pointers = 0;
    let mut added_text = 0;
    for (index, entry) in session.entries().enumerate() {
        if missing(index) || (index == 0 && !preload_is_right) {
            added_pointers += 1;
            added_text += entry.count_bytes() + 1;
        }
    }
    // What is composed here instead of pointed at.
    let mut composed = 0;
    if !preload_is_right {
        composed += PRELOAD.len() + view.preload().len() + 1 + session.preload_element().len() + 1;
    }
    if let Some(whitelist) = whitelist {
        added_pointers += 1;
        added_text += WHITELIST.len() + whitelist.len() + 1;
        composed += WHITELIST.len() + whitelist.len() + 1;
    }
    if let Some(program) = extra.program {
        added_pointers += 1;
        added_text += EXEC.len() + program.count_bytes() + 1;
        composed += EXEC.len() + program.count_bytes() + 1;
    }
    if added_text + added_pointers * POINTER >= MOST_ADDED {
        return false;
    }

    with_block(view.length + added_pointers, composed, &mut |block| {
        for entry in view.entries.iter() {
            let replaced = !preload_is_right && entry.strip_prefix(PRELOAD).is_some();
            if !replaced && entry.strip_prefix(EXEC).is_none() {
                block.push(entry);
            }
        }
        for (index, entry) in session.entries().enumerate() {
            if index == 0 && !preload_is_right {
                compose_preload(block, view.preload(), entry, session);
            } else if missing(index) {
                block.push_text(entry);
            }
        }
        if let Some(whitelist) = whitelist {
            block.compose(&[WHITELIST, whitelist]);
        }
        if let Some(program) = extra.program {
            block.compose(&[EXEC, program.to_bytes()]);
        }
        with_list(block.finish());
    });
    true
}

/// `LD_PRELOAD` with this library last, so that it sees what all others make of a start.
fn compose_preload(block: &mut Block<'_>, value: &[u8], alone: &CStr, session: &Session) {
    if value.is_empty() {
        block.push_text(alone);
        return;
    }
    with_stack(value.len(), |buffer| {
        let length = preload::retain(value, &|element| !session.is_local_spelling(element), buffer);
        let others = buffer.get(..length).unwrap_or_default();
        let separator: &[u8] = if others.is_empty() { b"" } else { &[preload::SEPARATOR] };
        block.compose(&[PRELOAD, others, separator, session.preload_element()]);
    });
}

/// Runs `with_list` on the environment without anything of ours, for programs that start
/// others where this library is not: container runtimes.
pub(crate) fn with_stripped(
    view: &View<'_>,
    session: &Session,
    with_list: &mut dyn FnMut(RawVector),
) {
    let loads_us = preload::elements(view.preload()).any(|element| session.is_ours(element));
    if !loads_us && !view.has_ours {
        return with_list(view.entries.as_raw());
    }
    with_block(view.length, PRELOAD.len() + view.preload().len() + 1, &mut |block| {
        for entry in view.entries.iter() {
            let ours = entry.strip_prefix(OUR_PREFIX).is_some();
            if !ours && entry.strip_prefix(PRELOAD).is_none() {
                block.push(entry);
            }
        }
        with_stack(view.preload().len(), |buffer| {
            let length =
                preload::retain(view.preload(), &|element| !session.is_ours(element), buffer);
            if length > 0 {
                block.compose(&[PRELOAD, buffer.get(..length).unwrap_or_default()]);
            }
        });
        with_list(block.finish());
    });
}

/// A list of strings under construction on the stack.
struct Block<'b> {
    pointers: &'b mut [*const c_char],
    length: usize,
    text: &'b mut [u8],
}

impl Block<'_> {
    fn push(&mut self, entry: Entry<'_>) {
        self.push_pointer(entry.as_ptr());
    }

    fn push_text(&mut self, text: &CStr) {
        self.push_pointer(text.as_ptr());
    }

    fn push_pointer(&mut self, pointer: *const c_char) {
        // The last pointer stays null: it ends the list.
        if self.length + 1 < self.pointers.len() {
            self.pointers[self.length] = pointer;
            self.length += 1;
        }
    }

    fn compose(&mut self, parts: &[&[u8]]) {
        let Some(text) = crate::strings::join(self.text, parts) else { return };
        let (pointer, used) = (text.as_ptr(), text.count_bytes() + 1);
        self.text = mem::take(&mut self.text).split_at_mut(used).1;
        self.push_pointer(pointer);
    }

    fn finish(&mut self) -> RawVector {
        self.pointers.as_ptr()
    }
}

/// Runs `build` on an empty list with room for so many strings, `text` bytes of which are
/// new.
fn with_block(strings: usize, text: usize, build: &mut dyn FnMut(&mut Block<'_>)) {
    let pointer_bytes = (strings + 1) * POINTER;
    with_stack(pointer_bytes + text, |buffer| {
        let (pointers, text) = buffer.split_at_mut(pointer_bytes);
        #[expect(clippy::cast_ptr_alignment, reason = "`with_stack` aligns to 16 bytes")]
        let first = pointers.as_mut_ptr().cast::<*const c_char>();
        // SAFETY: `first` is aligned, all bytes are zero, which is a null
        // pointer, and `pointers` is not used again.
        let pointers = unsafe { core::slice::from_raw_parts_mut(first, strings + 1) };
        build(&mut Block { pointers, length: 0, text });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::session;
    use crate::strings::tests::{Owned, texts};

    const LIBRARY: &CStr = c"/opt/libshim.so";

    fn child_session() -> Box<Session> {
        session(
            LIBRARY,
            &[
                "LD_PRELOAD=/opt/libshim.so",
                "REDIRECTOR_RUN=r1",
                "REDIRECTOR_WHITELIST=/w",
                "REDIRECTOR_TOKEN=t",
            ],
        )
    }

    fn repaired(session: &Session, given: &[&str], extra: &Extra<'_>) -> Option<Vec<String>> {
        let owned = Owned::new(given);
        let view = View::of(owned.vector(), session);
        let mut result = None;
        let ran = with_repaired(&view, session, extra, &mut |list| {
            // SAFETY: `with_repaired` ends its list with a null pointer.
            result = Some(texts(unsafe { StringVector::from_raw(list) }));
        });
        assert_eq!(ran, result.is_some());
        result
    }

    #[test]
    fn a_complete_environment_is_passed_on_as_it_is() {
        let session = child_session();
        let owned = Owned::new(&[
            "A=1",
            "REDIRECTOR_TOKEN=other",
            "REDIRECTOR_WHITELIST=/mine",
            "LD_PRELOAD=/x.so /opt/libshim.so",
            "REDIRECTOR_RUN=r1",
        ]);
        let view = View::of(owned.vector(), &session);
        let mut same = false;
        with_repaired(&view, &session, &Extra::default(), &mut |list| {
            same = list == owned.vector().as_raw();
        });
        assert!(same);
    }

    #[test]
    fn a_cleared_environment_gets_all_entries_back() {
        let expected = [
            "LD_PRELOAD=/opt/libshim.so",
            "REDIRECTOR_RUN=r1",
            "REDIRECTOR_WHITELIST=/w",
            "REDIRECTOR_TOKEN=t",
        ];
        let session = child_session();
        assert_eq!(repaired(&session, &[], &Extra::default()).unwrap(), expected);
        // SAFETY: null is an empty list.
        let view = View::of(unsafe { StringVector::from_raw(core::ptr::null()) }, &session);
        with_repaired(&view, &session, &Extra::default(), &mut |list| {
            // SAFETY: `with_repaired` ends its list with a null pointer.
            assert_eq!(texts(unsafe { StringVector::from_raw(list) }), expected);
        });
    }

    #[test]
    fn only_what_is_missing_is_added_and_we_stand_last_in_ld_preload() {
        let given = ["LD_PRELOAD=/x.so  /y.so", "A=1", "REDIRECTOR_RUN=other", "EMPTY="];
        assert_eq!(
            repaired(&child_session(), &given, &Extra::default()).unwrap(),
            [
                "A=1",
                "REDIRECTOR_RUN=other",
                "EMPTY=",
                "LD_PRELOAD=/x.so:/y.so:/opt/libshim.so",
                "REDIRECTOR_WHITELIST=/w",
                "REDIRECTOR_TOKEN=t"
            ]
        );
    }

    #[test]
    fn a_relative_spelling_is_replaced() {
        let here = std::env::current_dir().unwrap();
        let session = session(c"./libshim.so", &["LD_PRELOAD=./libshim.so", "REDIRECTOR_RUN=r"]);
        assert_eq!(
            repaired(
                &session,
                &["LD_PRELOAD=./libshim.so:/x.so", "REDIRECTOR_RUN=r"],
                &Extra::default()
            )
            .unwrap(),
            [
                "REDIRECTOR_RUN=r".to_owned(),
                format!("LD_PRELOAD=/x.so:{}/libshim.so", here.display())
            ]
        );
    }

    #[test]
    fn a_redirected_program_is_named_and_a_stale_name_dropped() {
        let session = session(LIBRARY, &["REDIRECTOR_RUN=r1"]);
        let given = ["REDIRECTOR_EXEC=/old", "LD_PRELOAD=/opt/libshim.so", "REDIRECTOR_RUN=r1"];
        let kept = ["LD_PRELOAD=/opt/libshim.so", "REDIRECTOR_RUN=r1"];
        assert_eq!(repaired(&session, &given, &Extra::default()).unwrap(), kept);
        let extra = Extra { whitelist: Some(b"/w"), program: Some(c"/usr/bin/bwa") };
        assert_eq!(
            repaired(&session, &given, &extra).unwrap(),
            [kept[0], kept[1], "REDIRECTOR_WHITELIST=/w", "REDIRECTOR_EXEC=/usr/bin/bwa"]
        );
    }

    #[test]
    fn a_found_whitelist_does_not_replace_a_given_one() {
        let extra = Extra { whitelist: Some(b"/found"), program: None };
        let session = session(LIBRARY, &["REDIRECTOR_RUN=r1"]);
        let complete = ["LD_PRELOAD=/opt/libshim.so", "REDIRECTOR_RUN=r1"];
        assert_eq!(
            repaired(&session, &complete, &extra).unwrap(),
            [complete[0], complete[1], "REDIRECTOR_WHITELIST=/found"]
        );
        let given = [complete[0], complete[1], "REDIRECTOR_WHITELIST="];
        assert_eq!(repaired(&session, &given, &extra).unwrap(), given);
    }

    #[test]
    fn additions_stay_below_what_posix_leaves_free() {
        let session = child_session();
        let long = vec![b'x'; MOST_ADDED];
        let path = std::ffi::CString::new(long).unwrap();
        let extra = Extra { whitelist: None, program: Some(&path) };
        assert!(repaired(&session, &["A=1"], &extra).is_none());
    }

    fn stripped(given: &[&str]) -> Vec<String> {
        let session = child_session();
        let owned = Owned::new(given);
        let mut result = Vec::new();
        with_stripped(&View::of(owned.vector(), &session), &session, &mut |list| {
            // SAFETY: `with_stripped` ends its list with a null pointer.
            result = texts(unsafe { StringVector::from_raw(list) });
        });
        result
    }

    #[test]
    fn stripping_leaves_nothing_of_ours() {
        assert_eq!(
            stripped(&["A=1", "LD_PRELOAD=/opt/libshim.so", "REDIRECTOR_TOKEN=t", "B=2"]),
            ["A=1", "B=2"]
        );
        assert_eq!(
            stripped(&["LD_PRELOAD=/x.so:/opt/libshim.so /y.so", "A=1"]),
            ["A=1", "LD_PRELOAD=/x.so:/y.so"]
        );
        assert_eq!(stripped(&["LD_PRELOAD=/x.so /y.so", "A=1"]), ["LD_PRELOAD=/x.so /y.so", "A=1"]);
    }
}
