//! What a process has from whoever started it, and must not keep.

use std::fs;

use nix::sys::signal::SigSet;

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

/// Lets all signals through. A client, which starts gateways, keeps those back that are for its command.
pub(crate) fn unblock_signals() {
    // Fails for wrong arguments only.
    let _unblocked = SigSet::empty().thread_set_mask();
}
