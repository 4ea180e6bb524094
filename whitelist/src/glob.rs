//! Wildcards: `*` any bytes, `?` one byte, `[a-z]` one of these, `[!a-z]` none of these.
//!
//! ```text
//! matches(b"*.fast[aq]", b"reads.fastq", Reach::Anything)    true
//! matches(b"/opt/*/bwa", b"/opt/bio/bin/bwa", Reach::Segment)   false: `*` stays between slashes
//! ```
//!
//! Patterns are raw tokens (see [`crate::text`]). Matching remembers only the last `*`, so it takes
//! at most pattern length × text length steps however many stars there are: when the text after a
//! star fits, taking more with an *earlier* star can only leave less for the later ones.

use crate::error::{ErrorKind, Fault};
use crate::text::{Character, Characters};

/// What a wildcard may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Any byte.
    Anything,
    /// Any byte but `/`, as in paths.
    Segment,
}

impl Reach {
    const fn covers(self, byte: u8) -> bool {
        byte != b'/' || matches!(self, Self::Anything)
    }
}

/// Whether `pattern` describes the whole of `text`.
pub(crate) fn matches(pattern: &[u8], text: &[u8], reach: Reach) -> bool {
    let mut pattern = Characters::new(pattern);
    let mut text = text;
    let mut last_star: Option<(Characters<'_>, &[u8])> = None;
    loop {
        let mut ahead = pattern.clone();
        match (ahead.next(), text.split_first()) {
            (Some(character), _) if character.is_special(b'*') => {
                pattern = ahead.clone();
                last_star = Some((ahead, text));
                continue;
            }
            (Some(character), Some((&byte, rest)))
                if one_matches(character, &mut ahead, byte, reach) =>
            {
                pattern = ahead;
                text = rest;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        // No match this way: the last star takes one byte more.
        let Some((after_star, from)) = &mut last_star else { return false };
        match from.split_first() {
            Some((&byte, rest)) if reach.covers(byte) => {
                *from = rest;
                pattern = after_star.clone();
                text = rest;
            }
            _ => return false,
        }
    }
}

/// Whether `character`, with what follows it in `pattern` when it opens a set, describes `byte`.
fn one_matches(character: Character, pattern: &mut Characters<'_>, byte: u8, reach: Reach) -> bool {
    if character.is_special(b'?') {
        reach.covers(byte)
    } else if character.is_special(b'[') {
        matches!(set_holds(pattern, byte), Ok(true)) && reach.covers(byte)
    } else {
        character.byte == byte
    }
}

/// Whether the set that `pattern` is inside of holds `byte`; moves `pattern` behind its `]`.
///
/// As in a shell, a `]` that comes first and a `-` that comes last stand for themselves.
fn set_holds(pattern: &mut Characters<'_>, byte: u8) -> Result<bool, ErrorKind> {
    let mut ahead = pattern.clone();
    let negated = ahead.next().is_some_and(|it| it.is_special(b'!') || it.is_special(b'^'));
    if negated {
        *pattern = ahead;
    }
    let mut found = false;
    let mut is_first = true;
    loop {
        let low = pattern.next().ok_or(ErrorKind::SetNotClosed)?;
        if low.is_special(b']') && !is_first {
            return Ok(found != negated);
        }
        is_first = false;
        let mut high = low;
        let mut ahead = pattern.clone();
        if ahead.next().is_some_and(|it| it.is_special(b'-')) {
            let end = ahead.next().ok_or(ErrorKind::SetNotClosed)?;
            if !end.is_special(b']') {
                high = end;
                *pattern = ahead;
            }
        }
        if high.byte < low.byte {
            return Err(ErrorKind::RangeReversed);
        }
        found |= (low.byte..=high.byte).contains(&byte);
    }
}

/// Finds the first set in `pattern` that is not written properly.
pub(crate) fn check(pattern: &[u8]) -> Result<(), Fault<'_>> {
    let mut characters = Characters::new(pattern);
    loop {
        let at = characters.rest();
        let Some(character) = characters.next() else { return Ok(()) };
        if character.is_special(b'[') {
            set_holds(&mut characters, 0).map_err(|kind| Fault { at, kind })?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[track_caller]
    fn assert_glob(pattern: &str, text: &str, expected: bool) {
        let found = matches(pattern.as_bytes(), text.as_bytes(), Reach::Anything);
        assert_eq!(found, expected, "{pattern} against {text}");
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("bwa", "bwa", true),
            ("bwa", "bwa2", false),
            ("bwa*", "bwa", true),
            ("*", "", true),
            ("?", "", false),
            ("b?a", "bwa", true),
            ("*.fast[aq]", "reads.fastq", true),
            ("*.fast[aq]", "reads.fastx", false),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[a-]", "-", true),
            ("[\\]a]", "a", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "axb", false),
            ("'a b'*", "a bc", true),
            ("'*'.txt", "a b.txt", true),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("a**b", "ab", true),
            ("*", "a/b", true),
        ] {
            assert_glob(pattern, text, expected);
        }
    }

    #[test]
    fn in_paths_wildcards_stay_between_slashes() {
        for (pattern, text, expected) in [
            ("/opt/*/bin", "/opt/site/bin", true),
            ("/opt/*/bin", "/opt/a/b/bin", false),
            ("/opt/*", "/opt/a/b", false),
            ("/opt/?bin", "/opt//bin", false),
            ("/opt[!x]bin", "/opt/bin", false),
            ("*/a*b/c", "x/aab/c", true),
            ("*/bin/bwa", "/bin/bwa", true),
        ] {
            let found = matches(pattern.as_bytes(), text.as_bytes(), Reach::Segment);
            assert_eq!(found, expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn bad_sets_are_found_where_they_start() {
        for (pattern, at, kind) in [
            ("a[bc", 1, ErrorKind::SetNotClosed),
            ("a[b-", 1, ErrorKind::SetNotClosed),
            ("[a][]", 3, ErrorKind::SetNotClosed),
            ("x[z-a]", 1, ErrorKind::RangeReversed),
        ] {
            let fault = check(pattern.as_bytes()).unwrap_err();
            assert_eq!((pattern.len() - fault.at.len(), fault.kind), (at, kind), "{pattern}");
        }
        assert!(check(b"\\[a [x] []-a]").is_ok());
    }

    #[test]
    fn many_stars_do_not_explode() {
        // A matcher that tries every way to share the text among the stars would need more steps
        // than there are atoms in this machine.
        let pattern = b"a*".repeat(200);
        let mut text = b"a".repeat(MANY);
        text.push(b'b');
        let mut pattern_to_fail = pattern.clone();
        pattern_to_fail.push(b'c');
        assert!(matches(&pattern, &text, Reach::Anything));
        assert!(!matches(&pattern_to_fail, &text, Reach::Anything));
    }

    const MANY: usize = 5000;

    /// One element of a pattern, for the reference matcher and to print the pattern from.
    #[derive(Clone, Debug)]
    enum Element {
        Byte(u8),
        One,
        Any,
        Set(bool, u8, u8),
    }

    fn print(elements: &[Element]) -> Vec<u8> {
        let mut pattern = Vec::new();
        for element in elements {
            match *element {
                Element::Byte(byte) => pattern.extend([b'\\', byte]),
                Element::One => pattern.push(b'?'),
                Element::Any => pattern.push(b'*'),
                Element::Set(negated, low, high) => {
                    pattern.push(b'[');
                    pattern.extend(negated.then_some(b'!'));
                    pattern.extend([b'\\', low, b'-', b'\\', high, b']']);
                }
            }
        }
        pattern
    }

    /// Follows the definition word by word, however long it takes.
    fn naive(elements: &[Element], text: &[u8], reach: Reach) -> bool {
        let Some((element, elements)) = elements.split_first() else { return text.is_empty() };
        let one = |accepts: &dyn Fn(u8) -> bool| {
            text.split_first()
                .is_some_and(|(&byte, rest)| accepts(byte) && naive(elements, rest, reach))
        };
        let reaches = |byte: u8| reach == Reach::Anything || byte != b'/';
        match *element {
            Element::Byte(expected) => one(&|byte| byte == expected),
            Element::One => one(&reaches),
            Element::Set(negated, low, high) => {
                one(&|byte| reaches(byte) && (low <= byte && byte <= high) != negated)
            }
            Element::Any => (0..=text.len())
                .take_while(|&taken| text[..taken].iter().all(|&byte| reaches(byte)))
                .any(|taken| naive(elements, &text[taken..], reach)),
        }
    }

    fn byte() -> impl Strategy<Value = u8> {
        // Few different bytes, so that random patterns and texts often match.
        prop_oneof![Just(b'a'), Just(b'b'), Just(b'/'), Just(b']'), Just(b'-')]
    }

    fn element() -> impl Strategy<Value = Element> {
        prop_oneof![
            4 => byte().prop_map(Element::Byte),
            1 => Just(Element::One),
            3 => Just(Element::Any),
            2 => (any::<bool>(), byte(), byte())
                .prop_map(|(negated, a, b)| Element::Set(negated, a.min(b), a.max(b))),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            elements in prop::collection::vec(element(), 0..8),
            text in prop::collection::vec(byte(), 0..10),
        ) {
            let pattern = print(&elements);
            prop_assert!(check(&pattern).is_ok());
            for reach in [Reach::Anything, Reach::Segment] {
                prop_assert_eq!(matches(&pattern, &text, reach), naive(&elements, &text, reach));
            }
        }

        #[test]
        fn survives_any_bytes(pattern in any::<Vec<u8>>(), text in any::<Vec<u8>>()) {
            let _ = check(&pattern);
            let _ = matches(&pattern, &text, Reach::Segment);
        }

        #[test]
        fn an_escaped_text_matches_only_itself(
            text in any::<Vec<u8>>(), other in any::<Vec<u8>>(),
        ) {
            let pattern: Vec<u8> = text.iter().flat_map(|&byte| vec![b'\\', byte]).collect();
            prop_assert!(matches(&pattern, &text, Reach::Anything));
            prop_assert_eq!(matches(&pattern, &other, Reach::Anything), text == other);
        }
    }
}
