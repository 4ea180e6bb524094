//! The value of `LD_PRELOAD`: library names separated by colons or blanks.
//!
//! ```ignore
//! if !preload::contains(value, b"/opt/redirector/lib/libshim.so") { … }
//! ```

/// The separator that every loader understands.
pub(crate) const SEPARATOR: u8 = b':';

fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b' ')
}

/// Whether `name` can be an element: it is not empty and holds no separator.
pub(crate) fn expressible(name: &[u8]) -> bool {
    !name.is_empty() && !name.iter().any(|byte| is_separator(*byte))
}

/// The names in `value`, in order.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| is_separator(*byte)).filter(|name| !name.is_empty())
}

/// Whether `name` is one of the elements of `value`.
pub(crate) fn contains(value: &[u8], name: &[u8]) -> bool {
    elements(value).any(|element| element == name)
}

/// Writes the elements of `value` that `keep` accepts to `buffer`, which is at least as
/// long as `value`, and returns the length of what was written.
pub(crate) fn retain(value: &[u8], keep: &dyn Fn(&[u8]) -> bool, buffer: &mut [u8]) -> usize {
    let mut end = 0;
    for element in elements(value).filter(|element| keep(element)) {
        let start = if end == 0 { 0 } else { end + 1 };
        let Some(room) = buffer.get_mut(start..start + element.len()) else { break };
        room.copy_from_slice(element);
        if start > 0 {
            buffer[start - 1] = SEPARATOR;
        }
        end = start + element.len();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_matched_as_a_whole() {
        let value = b"/a/libjemalloc.so /b/libshim.so:/c/libshim.so.1";
        assert!(contains(value, b"/b/libshim.so"));
        assert!(!contains(value, b"/c/libshim.so"));
        assert!(!contains(value, b"libshim.so"));
        assert!(!contains(b"", b"libshim.so"));
    }

    #[test]
    fn retained_elements_are_joined_by_single_colons() {
        for (value, expected) in [
            ("", ""),
            ("drop", ""),
            ("a:drop:b", "a:b"),
            ("drop a  b: drop", "a:b"),
            (":a:", "a"),
            ("a b", "a:b"),
        ] {
            let mut buffer = vec![0; value.len()];
            let length = retain(value.as_bytes(), &|element| element != b"drop", &mut buffer);
            assert_eq!(&buffer[..length], expected.as_bytes(), "{value}");
        }
    }

    #[test]
    fn names_with_separators_cannot_be_elements() {
        assert!(expressible(b"/opt/libshim.so"));
        for name in [&b""[..], b"/my dir/libshim.so", b"/a:b/libshim.so"] {
            assert!(!expressible(name));
        }
    }
}
