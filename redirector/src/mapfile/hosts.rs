//! Hosts' names as a person writes several: `lce001..009,head`.

use crate::model::NodeName;

/// Most hosts that one text may stand for.
const MOST: u64 = 100_000;

/// The hosts that `text` names: separated by commas, and numbers counted up from `..` as LOFAR's
/// parsets have it, with as many digits as the first one.
///
/// # Errors
/// A sentence for the person.
pub fn expand(text: &str) -> Result<Vec<NodeName>, String> {
    let mut hosts = Vec::new();
    for word in text.split(',') {
        let word = word.trim();
        match word.split_once("..") {
            _ if word.is_empty() => {
                return Err(format!("a host's name is missing in '{text}'"));
            }
            None => hosts.push(NodeName(word.to_owned())),
            Some((first, last)) => hosts.extend(range(word, first, last)?),
        }
    }
    Ok(hosts)
}

fn range(word: &str, first: &str, last: &str) -> Result<Vec<NodeName>, String> {
    let expected = || format!("expected hosts such as lce001..009, found '{word}'");
    let stem = first.trim_end_matches(|character: char| character.is_ascii_digit());
    let digits = &first[stem.len()..];
    // 'lce001..lce009' is meant as well.
    let last = last.strip_prefix(stem).unwrap_or(last);
    let number = |digits: &str| {
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| are_digits).ok_or_else(expected)
    };
    let (from, to) = (number(digits)?, number(last)?);
    if to < from {
        return Err(format!("'{word}' ends before it begins"));
    }
    if to - from >= MOST {
        return Err(format!("'{word}' stands for more than {MOST} hosts"));
    }
    let width = digits.len();
    Ok((from..=to).map(|number| NodeName(format!("{stem}{number:0width$}"))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_ranges() {
        for (text, expected) in [
            ("head", "head"),
            ("a, b", "a b"),
            ("lce001..003,head", "lce001 lce002 lce003 head"),
            ("lce008..011", "lce008 lce009 lce010 lce011"),
            ("n8..lce", ""),
            ("n8..n11", "n8 n9 n10 n11"),
            ("n..3", ""),
            ("n3..1", ""),
            ("a,,b", ""),
            ("", ""),
            ("n1..+3", ""),
            ("n0..18446744073709551615", ""),
        ] {
            let found = expand(text)
                .map(|hosts| hosts.into_iter().map(|host| host.0).collect::<Vec<_>>().join(" "));
            assert_eq!(found.unwrap_or_default(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            drop(expand(&text));
        }
    }
}
