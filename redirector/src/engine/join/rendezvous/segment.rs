//! A piece of what one side says: a file that is written once, read once, and removed by its
//! reader.
//!
//! It begins with the digest of its bytes. What a file system shows too early, in part or with
//! holes, is not taken for all of it.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind::NotFound, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use blake3::OUT_LEN;

/// Writes `bytes` to the new file `file`.
pub(super) fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    new.write_all(blake3::hash(bytes).as_bytes())?;
    new.write_all(bytes)?;
    // With this a network file system gives all of it to its server, and says what went wrong.
    nix::unistd::close(new)?;
    Ok(())
}

/// What is in `file`; `None`: not all of it is there yet.
pub(super) fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = match fs::read(file) {
        Err(error) if error.kind() == NotFound => return Ok(None),
        read => read?,
    };
    if bytes.len() < OUT_LEN || blake3::hash(&bytes[OUT_LEN..]).as_bytes() != &bytes[..OUT_LEN] {
        return Ok(None);
    }
    bytes.drain(..OUT_LEN);
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("0");
        for bytes in [vec![], vec![7], (0..=255).cycle().take(70_000).collect()] {
            write(&file, &bytes).unwrap();
            assert_eq!(read(&file).unwrap(), Some(bytes));
            fs::remove_file(&file).unwrap();
        }
        assert_eq!(read(&file).unwrap(), None);
    }

    #[test]
    fn what_is_not_whole_is_not_there_yet() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("0");
        write(&file, b"all of it").unwrap();
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            assert_eq!(read(&file).unwrap(), None, "{length} bytes");
            let mut with_hole = whole.clone();
            with_hole[length..].fill(0);
            fs::write(&file, with_hole).unwrap();
            assert_eq!(read(&file).unwrap(), None, "zeros from {length} on");
        }
    }
}
