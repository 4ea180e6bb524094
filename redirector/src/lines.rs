//! Cuts what comes in pieces into lines.
//!
//! ```text
//!   "on" "e\ntw" "o"  ──►  "one", and at the end "two"
//! ```
//!
//! Where the pieces end makes no difference, so that whoever reads the same once more gets the same
//! lines.

/// A longer line of a job's is made several of, in bytes.
pub(crate) const LONGEST: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lines {
    /// What came of the line that is not complete.
    partial: Vec<u8>,
    /// A longer one is made several of, in bytes.
    longest: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_longest(LONGEST)
    }
}

impl Lines {
    /// Lines of so many bytes at most.
    pub(crate) const fn with_longest(longest: usize) -> Self {
        Self { partial: Vec::new(), longest }
    }

    /// Takes a piece, and gives each line that is complete to `take`, without its newline.
    pub(crate) fn add(&mut self, mut piece: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(&first) = piece.first() {
            if self.partial.len() == self.longest && first != b'\n' {
                self.finish(&mut take);
            }
            let room = self.longest - self.partial.len();
            let in_reach = &piece[..piece.len().min(room + 1)];
            if let Some(length) = in_reach.iter().position(|byte| *byte == b'\n') {
                self.partial.extend_from_slice(&piece[..length]);
                take(&self.partial);
                self.partial.clear();
                piece = &piece[length + 1..];
            } else {
                let length = piece.len().min(room);
                self.partial.extend_from_slice(&piece[..length]);
                piece = &piece[length..];
            }
        }
    }

    /// There is no more to come: gives the line that has no newline to `take`, if there is one.
    pub(crate) fn finish(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            take(&self.partial);
            self.partial.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.add(piece, |line| taken.push(line.to_owned()));
        }
        lines.finish(|line| taken.push(line.to_owned()));
        taken
    }

    #[test]
    fn a_long_line_becomes_several() {
        let full = vec![b'x'; LONGEST];
        let just_fits = [&full[..], b"\n"].concat();
        assert_eq!(lines_of([&just_fits[..]]), std::slice::from_ref(&full));
        let longer = [&full[..], b"y\nz"].concat();
        assert_eq!(lines_of([&longer[..]]), [full, b"y".to_vec(), b"z".to_vec()]);
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole_wherever_it_is_cut(
            text in "[ab\\n]{0,60}",
            cuts in proptest::collection::vec(0usize..60, 0..8),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let starts = std::iter::once(0).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().chain([text.len()]);
            let pieces = starts.zip(ends).map(|(start, end)| &text.as_bytes()[start..end]);
            let expected: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(lines_of(pieces), expected);
        }

        #[test]
        fn long_lines_are_cut_at_the_same_places_whatever_the_pieces(
            length in LONGEST - 3..2 * LONGEST + 3,
            piece in 1usize..100_000,
        ) {
            let text = [vec![b'x'; length], b"\nend".to_vec()].concat();
            prop_assert_eq!(lines_of(text.chunks(piece)), lines_of([&text[..]]));
        }
    }
}
