//! A command as the whitelist sees it: the program's path and its arguments.
//!
//! The arguments are behind a trait because the callers hold them in different shapes: the shim
//! has a C `argv`, the client a `Vec<OsString>`. Neither should have to copy.

/// An argument vector, `argv[0]` included.
pub trait Arguments {
    /// The argument at `index`, where 0 is `argv[0]`; `None` past the end.
    fn get(&self, index: usize) -> Option<&[u8]>;
}

impl<T: AsRef<[u8]>> Arguments for [T] {
    fn get(&self, index: usize) -> Option<&[u8]> {
        <[T]>::get(self, index).map(AsRef::as_ref)
    }
}

/// A program that is about to start.
#[derive(Debug)]
pub struct Command<'a, A: Arguments + ?Sized> {
    /// The resolved path. A relative path or a bare name works too, but then rules that name a
    /// whole path may not match.
    pub path: &'a [u8],
    /// The arguments, `argv[0]` included.
    pub arguments: &'a A,
}

impl<A: Arguments + ?Sized> Command<'_, A> {
    /// The part of the path after the last `/`.
    pub(crate) fn file_name(&self) -> &[u8] {
        self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}
