//! Descriptors that a process has from whoever started it, and that it must not keep open.

use std::fs;

/// Closes every descriptor but the standard three, so that a pipe of a pipeline's sees its end.
pub(crate) fn close() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers: Vec<i32> = open
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // Fails for the one that was the directory's own and is closed already.
        let _closed = nix::unistd::close(number);
    }
}
