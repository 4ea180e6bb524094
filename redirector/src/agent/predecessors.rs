//! Agents that left in good order: with nothing running, and all ends acknowledged.
//!
//! A gateway that is killed between giving a job to an agent in its journal and telling that
//! agent leaves an agent with nothing to do, which leaves. The next gateway must know that the
//! job was never started, because otherwise it could not start it on another agent:
//!
//! ```text
//!  agent a leaves ─► a line in `agents.left` ─► Hello of agent b: "a left in good order"
//!                                                   ─► what a was given is given to b
//! ```

use std::{fs, io, path::Path};

/// Names that are kept; no journal refers to agents from long ago.
const KEPT: usize = 100;

/// The names of agents that left in good order, the last one last.
pub(super) fn read(file: &Path) -> Vec<String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!("cannot read {}: {error}", file.display());
            }
            return Vec::new();
        }
    };
    text.lines().map(str::to_owned).collect()
}

/// Adds `instance`, which leaves in good order, to those of `earlier`.
pub(super) fn add(file: &Path, earlier: &[String], instance: &str) -> io::Result<()> {
    let kept = earlier.len().saturating_sub(KEPT - 1);
    let names = earlier[kept..].iter().map(String::as_str).chain([instance]);
    let text: String = names.flat_map(|name| [name, "\n"]).collect();
    // By another name first, so that there never is half of it.
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("agents.left");
        assert!(read(&file).is_empty());
        for number in 0..KEPT + 3 {
            add(&file, &read(&file), &number.to_string()).unwrap();
        }
        let names = read(&file);
        assert_eq!(names.len(), KEPT);
        assert_eq!(names.first().map(String::as_str), Some("3"));
        assert_eq!(names.last(), Some(&(KEPT + 2).to_string()));
    }
}
