//! What of a command's argument may be a path.
//!
//! ```text
//! in.bam          -I/data/ref.fa      --ref=/data/ref.fa     I=in.bam
//! ^^^^^^            ^^^^^^^^^^^^            ^^^^^^^^^^^^       ^^^^^^
//! a.bam,b.bam     @arguments.txt      left=/a/x:/b/y
//! ^^^^^ ^^^^^      ^^^^^^^^^^^^^           ^^^^ ^^^^
//! ```
//!
//! Which of these are paths, the files that there are decide.

use std::ops::Range;

/// Longer ones the kernel does not take.
const LONGEST_PATH: usize = 4096;

/// Parts of an argument that may be paths, the likeliest first: as soon as one of them is one,
/// the others are not.
pub fn wholes(argument: &[u8]) -> Vec<Range<usize>> {
    let end = argument.len();
    let mut starts = Vec::new();
    match argument {
        [b'-', letter, _, ..] if letter.is_ascii_alphabetic() => starts.push(2),
        [b'-', ..] => {}
        [b'@', ..] => starts.extend([0, 1]),
        _ => starts.push(0),
    }
    let equals = |byte: &u8| *byte == b'=';
    starts.extend(argument.iter().position(equals).map(|at| at + 1));
    starts.extend(argument.iter().rposition(equals).map(|at| at + 1));
    starts.dedup();
    let is_possible = |range: &Range<usize>| range.len() <= LONGEST_PATH && !range.is_empty();
    starts.into_iter().map(|start| start..end).filter(is_possible).collect()
}

/// The members of the list that a part of an argument may be; none if it can be no list.
pub fn members(argument: &[u8], part: Range<usize>) -> Vec<Range<usize>> {
    let is_separator = |byte: &u8| matches!(byte, b',' | b':');
    let mut start = part.start;
    let mut members: Vec<_> = argument[part.clone()]
        .split(is_separator)
        .map(|member| {
            let range = start..start + member.len();
            start = range.end + 1;
            range
        })
        .collect();
    if members.len() < 2 {
        return Vec::new();
    }
    members.retain(|member| !member.is_empty() && member.len() <= LONGEST_PATH);
    members
}

/// `argument` with some parts, in their order, replaced.
pub fn replace(argument: &[u8], parts: &[(Range<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(argument.len());
    let mut end = 0;
    for (range, text) in parts {
        replaced.extend_from_slice(&argument[end..range.start]);
        replaced.extend_from_slice(text);
        end = range.end;
    }
    replaced.extend_from_slice(&argument[end..]);
    replaced
}
