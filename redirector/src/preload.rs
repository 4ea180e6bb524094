//! libshim.so in `LD_PRELOAD`: finding it, adding it, taking it out.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::agent::invocation::Invocation;

/// The library's file name.
pub const SHIM: &str = "libshim.so";

/// libshim.so cannot be preloaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not where it belongs.
    #[error("{SHIM} is neither beside {program} nor in ../lib: build or install it there")]
    Missing {
        /// This program's path.
        program: String,
    },
    /// The dynamic linker would take its path apart.
    #[error(
        "{path} cannot be preloaded: the dynamic linker splits LD_PRELOAD at blanks and colons; install it elsewhere"
    )]
    Unusable {
        /// The library's path.
        path: String,
    },
}

/// The library that belongs to this program.
pub fn shim() -> Result<PathBuf, Error> {
    let program = env::current_exe().unwrap_or_default();
    let directory = program.parent().unwrap_or(Path::new("/"));
    let found = [directory.join(SHIM), directory.join("../lib").join(SHIM)]
        .into_iter()
        .find(|path| path.is_file());
    let path = found.ok_or_else(|| Error::Missing { program: program.display().to_string() })?;
    let text = path.display().to_string();
    if text.contains([' ', ':', '\t', '\n']) {
        return Err(Error::Unusable { path: text });
    }
    Ok(path)
}

/// Appends `shim` to the invocation's `LD_PRELOAD`, unless some libshim.so is there:
/// it stands last, so that it sees what the other libraries make of a call.
pub fn add_shim(invocation: &mut Invocation, shim: &Path) {
    let list = invocation.variable(b"LD_PRELOAD").unwrap_or_default().to_vec();
    if elements(&list).any(is_shim) {
        return;
    }
    let separator: &[u8] = if list.is_empty() { b"" } else { b":" };
    let list = [&list[..], separator, shim.as_os_str().as_encoded_bytes()].concat();
    invocation.set("LD_PRELOAD", &list);
}

/// Takes libshim.so out of the invocation's `LD_PRELOAD`, and the variable too if
/// nothing is left in it.
pub fn remove_shim(invocation: &mut Invocation) {
    let Some(list) = invocation.variable(b"LD_PRELOAD") else { return };
    let Some(rest) = without_shim(list) else { return };
    if rest.is_empty() {
        invocation.remove(b"LD_PRELOAD");
    } else {
        invocation.set("LD_PRELOAD", &rest);
    }
}

/// The list without libshim.so; `None` if that is not in it.
pub(crate) fn without_shim(list: &[u8]) -> Option<Vec<u8>> {
    elements(list).any(is_shim).then(|| {
        let rest: Vec<_> = elements(list).filter(|element| !is_shim(element)).collect();
        rest.join(&b':')
    })
}

fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| b" :".contains(byte)).filter(|element| !element.is_empty())
}

fn is_shim(element: &[u8]) -> bool {
    element.rsplit(|byte| *byte == b'/').next() == Some(SHIM.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shim_is_taken_out() {
        for (list, rest) in [
            ("/opt/libshim.so", Some("")),
            ("libjemalloc.so:/opt/libshim.so", Some("libjemalloc.so")),
            ("libshim.so libfakeroot.so", Some("libfakeroot.so")),
            ("/opt/mylibshim.so", None),
            ("libjemalloc.so", None),
        ] {
            assert_eq!(
                without_shim(list.as_bytes()),
                rest.map(|rest| rest.as_bytes().to_vec()),
                "{list}"
            );
        }
    }
}
