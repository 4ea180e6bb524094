//! NULL-terminated lists of C strings: argument vectors and environments.
//!
//! ```ignore
//! let environment = unsafe { StringVector::from_raw(envp) };
//! let path = environment.value(b"PATH=");
//! ```

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

/// The form in which C passes such a list.
pub(crate) type RawVector = *const *const c_char;

/// A list of C strings that ends with a null pointer. A null list is an empty one.
#[derive(Clone, Copy)]
pub(crate) struct StringVector<'a> {
    first: RawVector,
    strings: PhantomData<&'a CStr>,
}

impl<'a> StringVector<'a> {
    /// # Safety
    /// `first` is null or points to C strings up to a null pointer, all of which stay
    /// unchanged for `'a`.
    pub(crate) unsafe fn from_raw(first: RawVector) -> Self {
        Self { first, strings: PhantomData }
    }

    pub(crate) fn as_raw(self) -> RawVector {
        self.first
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Entry<'a>> {
        let mut next = self.first;
        core::iter::from_fn(move || {
            if next.is_null() {
                return None;
            }
            // SAFETY: `next` has not passed the terminating null pointer yet.
            let entry = unsafe { *next };
            if entry.is_null() {
                return None;
            }
            // SAFETY: behind an entry is another one or the terminating null pointer.
            next = unsafe { next.add(1) };
            Some(Entry { text: entry, string: PhantomData })
        })
    }

    pub(crate) fn len(self) -> usize {
        self.iter().count()
    }

    /// The value of the first entry that begins with `prefix`, which is a name with its `=`.
    pub(crate) fn value(self, prefix: &[u8]) -> Option<&'a CStr> {
        self.iter().find_map(|entry| entry.strip_prefix(prefix)).map(Entry::text)
    }
}

/// One string of a list, whose length is not known yet.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    text: *const c_char,
    string: PhantomData<&'a CStr>,
}

impl<'a> Entry<'a> {
    pub(crate) fn as_ptr(self) -> *const c_char {
        self.text
    }

    /// What follows `prefix`, when the string begins with it.
    ///
    /// Reads no further than the first difference: an environment is scanned at every
    /// program start and most of its entries differ in their first byte.
    pub(crate) fn strip_prefix(self, prefix: &[u8]) -> Option<Self> {
        for (index, expected) in prefix.iter().enumerate() {
            // SAFETY: all bytes before `index` are equal to those of `prefix`, which has
            // no zero byte, so the string does not end before `index`.
            let byte = unsafe { *self.text.add(index) } as u8;
            if byte != *expected {
                return None;
            }
        }
        // SAFETY: as above, the string is at least as long as `prefix`.
        Some(Self { text: unsafe { self.text.add(prefix.len()) }, string: PhantomData })
    }

    pub(crate) fn text(self) -> &'a CStr {
        // SAFETY: the promise of `StringVector::from_raw`.
        unsafe { CStr::from_ptr(self.text) }
    }
}

/// The last component of a path.
pub(crate) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The name of a `NAME=value` entry, with its `=`.
pub(crate) fn name_of(entry: &[u8]) -> &[u8] {
    let length = entry.iter().position(|byte| *byte == b'=').map_or(entry.len(), |at| at + 1);
    &entry[..length]
}

/// Copies `parts` one after the other to the start of `buffer`, with a zero byte at the
/// end. `None` when they do not fit.
pub(crate) fn join<'b>(buffer: &'b mut [u8], parts: &[&[u8]]) -> Option<&'b CStr> {
    let mut end = 0;
    for part in parts {
        buffer.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    *buffer.get_mut(end)? = 0;
    CStr::from_bytes_with_nul(buffer.get(..=end)?).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::ffi::CString;

    /// An owned list for tests.
    pub(crate) struct Owned {
        _strings: Vec<CString>,
        pointers: Vec<*const c_char>,
    }

    impl Owned {
        pub(crate) fn new(strings: &[&str]) -> Self {
            let strings: Vec<CString> =
                strings.iter().map(|string| CString::new(*string).unwrap()).collect();
            let pointers = strings
                .iter()
                .map(|string| string.as_ptr())
                .chain(core::iter::once(core::ptr::null()))
                .collect();
            Self { _strings: strings, pointers }
        }

        pub(crate) fn vector(&self) -> StringVector<'_> {
            // SAFETY: `new` ended the list with a null pointer and `self` owns its strings.
            unsafe { StringVector::from_raw(self.pointers.as_ptr()) }
        }
    }

    pub(crate) fn texts(vector: StringVector<'_>) -> Vec<String> {
        vector.iter().map(|entry| entry.text().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_null_list_is_empty() {
        // SAFETY: null is allowed.
        let vector = unsafe { StringVector::from_raw(core::ptr::null()) };
        assert_eq!(vector.len(), 0);
        assert!(vector.value(b"PATH=").is_none());
    }

    #[test]
    fn values_are_found_by_their_whole_name() {
        let owned = Owned::new(&["PAT=1", "PATHS=2", "PATH", "PATH=3", "PATH=4", ""]);
        assert_eq!(owned.vector().value(b"PATH=").unwrap(), c"3");
        assert!(owned.vector().value(b"HOME=").is_none());
        assert_eq!(owned.vector().len(), 6);
    }

    #[test]
    fn file_names_are_last_components() {
        for (path, name) in [("bwa", "bwa"), ("/usr/bin/bwa", "bwa"), ("./x/", ""), ("", "")] {
            assert_eq!(file_name(path.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn names_end_with_the_equals_sign() {
        assert_eq!(name_of(b"A=b=c"), b"A=");
        assert_eq!(name_of(b"A"), b"A");
    }

    #[test]
    fn join_needs_room_for_the_zero_byte() {
        let mut buffer = [b'x'; 5];
        assert_eq!(join(&mut buffer, &[b"ab", b"", b"cd"]), Some(c"abcd"));
        assert_eq!(join(&mut buffer, &[b"ab", b"cde"]), None);
        assert_eq!(join(&mut buffer, &[b"abcdef"]), None);
    }
}
