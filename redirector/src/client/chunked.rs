//! Decodes an HTTP/1.1 answer whose chunked body is lines, as it arrives.

/// What the decoder found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// A line of the body, without its end.
    Line(Vec<u8>),
    /// The whole answer, if it is not a success.
    Error {
        /// HTTP status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// The body is over.
    End,
    /// Not an answer of this kind; says what is wrong with it.
    Malformed(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Head,
    ChunkSize,
    Chunk { left: usize },
    ChunkEnd,
    Plain { status: u16, length: usize },
    End,
}

/// Takes bytes in any pieces, gives lines.
#[derive(Debug)]
pub struct Decoder {
    input: Vec<u8>,
    taken: usize,
    line: Vec<u8>,
    error_status: Option<u16>,
    position: Position,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            input: Vec::new(),
            taken: 0,
            line: Vec::new(),
            error_status: None,
            position: Position::Head,
        }
    }
}

impl Decoder {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
    }

    /// What the bytes so far hold next; `None` if more are needed.
    pub fn next_answer(&mut self) -> Option<Answer> {
        loop {
            match self.position {
                Position::Head => {
                    let head = self.take_through(b"\r\n\r\n")?;
                    if let Err(what) = self.read_head(&head) {
                        return Some(Answer::Malformed(what));
                    }
                }
                Position::ChunkSize => {
                    let size = self.take_through(b"\r\n")?;
                    let digits = std::str::from_utf8(&size).unwrap_or_default().trim();
                    match usize::from_str_radix(digits, 16) {
                        Ok(0) => self.position = Position::End,
                        Ok(left) => self.position = Position::Chunk { left },
                        Err(_) => return Some(Answer::Malformed("a chunk without a size")),
                    }
                }
                Position::Chunk { left } => {
                    if let Some(line) = self.take_line(left) {
                        return Some(Answer::Line(line));
                    }
                    if self.taken == self.input.len() {
                        return None;
                    }
                }
                Position::ChunkEnd => {
                    self.take_through(b"\r\n")?;
                    self.position = Position::ChunkSize;
                }
                Position::Plain { status, length } => {
                    let rest = &self.input[self.taken..];
                    if rest.len() < length {
                        return None;
                    }
                    let body = rest[..length].to_vec();
                    self.taken += length;
                    self.position = Position::End;
                    return Some(Answer::Error { status, body });
                }
                Position::End => {
                    return Some(match self.error_status.take() {
                        Some(status) => {
                            Answer::Error { status, body: std::mem::take(&mut self.line) }
                        }
                        None => Answer::End,
                    });
                }
            }
        }
    }

    /// A line of a chunk of which `left` bytes are to come, once its end is there.
    fn take_line(&mut self, left: usize) -> Option<Vec<u8>> {
        let available = (self.input.len() - self.taken).min(left);
        let chunk = &self.input[self.taken..self.taken + available];
        let end =
            chunk.iter().position(|byte| *byte == b'\n').filter(|_| self.error_status.is_none());
        let used = end.map_or(available, |end| end + 1);
        self.line.extend_from_slice(&chunk[..end.unwrap_or(used)]);
        self.taken += used;
        self.position = match left - used {
            0 => Position::ChunkEnd,
            left => Position::Chunk { left },
        };
        end.map(|_| std::mem::take(&mut self.line))
    }

    fn take_through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let rest = &self.input[self.taken..];
        let at = rest.windows(end.len()).position(|window| window == end)?;
        let found = rest[..at].to_vec();
        self.taken += at + end.len();
        Some(found)
    }

    fn read_head(&mut self, head: &[u8]) -> Result<(), &'static str> {
        let head = std::str::from_utf8(head).map_err(|_| "a head that is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|line| line.get(..3)?.parse::<u16>().ok())
            .ok_or("no HTTP/1.1 status")?;
        let header = |name: &str| {
            head.split("\r\n").find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let success = (200..300).contains(&status);
        let chunked =
            header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        self.error_status = (!success && chunked).then_some(status);
        self.position = if chunked {
            Position::ChunkSize
        } else {
            let length = header("content-length").and_then(|value| value.parse().ok());
            Position::Plain { status, length: length.ok_or("neither a length nor chunks")? }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Answer> {
        let mut decoder = Decoder::default();
        let mut answers = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            while let Some(answer) = decoder.next_answer() {
                let last = !matches!(answer, Answer::Line(_));
                answers.push(answer);
                if last {
                    return answers;
                }
            }
        }
        answers
    }

    const STREAM: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\ncd\r\n4\r\ne\nf\n\r\n0\r\n\r\n";

    #[test]
    fn lines_may_cross_chunks() {
        let line = |text: &str| Answer::Line(text.into());
        assert_eq!(decode(&[STREAM]), [line("ab"), line("cde"), line("f"), Answer::End]);
    }

    #[test]
    fn an_error_comes_whole() {
        let plain = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nfull";
        let chunked = b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfu\n\r\n2\r\nll\r\n0\r\n\r\n";
        assert_eq!(decode(&[plain]), [Answer::Error { status: 503, body: b"full".into() }]);
        assert_eq!(decode(&[chunked]), [Answer::Error { status: 503, body: b"fu\nll".into() }]);
    }

    #[test]
    fn other_programs_are_told_apart() {
        assert!(matches!(decode(&[b"SSH-2.0-OpenSSH\r\n\r\n"])[..], [Answer::Malformed(_)]));
        assert!(matches!(decode(&[b"HTTP/1.1 200 OK\r\n\r\n"])[..], [Answer::Malformed(_)]));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(cut in 0..STREAM.len(), second in 0..STREAM.len()) {
            let (low, high) = (cut.min(second), cut.max(second));
            prop_assert_eq!(decode(&[&STREAM[..low], &STREAM[low..high], &STREAM[high..]]), decode(&[STREAM]));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, more: Vec<u8>) {
            decode(&[&bytes, &more]);
            decode(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &bytes, &more]);
        }
    }
}
