//! What happens at a program start: strip, redirect or pass on.
//!
//! Every exec and spawn hook comes here with the caller's arguments and a way to call the
//! function the caller meant. The order of the questions is the contract of this library:
//!
//! 1. Switched off: the plain call.
//! 2. A container runtime: it starts programs where this library is not, so it gets an
//!    environment without us.
//! 3. A file that this user may execute, that the whitelist wants and that the kernel could
//!    run: the process becomes `redirector`.
//! 4. Anything else: the real function with an environment in which we are not missing, so
//!    that what the program starts is seen, too. All errors are the real function's own.

use crate::decide;
use crate::environment::{self, Extra, View};
use crate::kernel::{self, Errno};
use crate::path::{self, Lookup, Program};
use crate::session::{self, BINARY, STRIP, Session, WHITELIST};
use crate::strings::{RawVector, StringVector, file_name, join};
use core::ffi::{CStr, c_char, c_int};

/// Programs that start others in a file system or on a machine of their own.
const CONTAINER_RUNTIMES: [&[u8]; 8] = [
    b"apptainer",
    b"singularity",
    b"docker",
    b"podman",
    b"bwrap",
    b"ch-run",
    b"nerdctl",
    b"udocker",
];

/// The function that a caller called, with its arguments.
pub(crate) trait Start {
    /// The very call that the caller made.
    fn as_asked(&self) -> c_int;

    /// The caller's call with another environment.
    fn with_environment(&self, environment: RawVector) -> c_int;

    /// The start of another program by its path, otherwise the same call.
    fn instead(&self, program: &CStr, environment: RawVector) -> c_int;

    /// The error that `result` of one of the calls above stands for.
    fn error(&self, result: c_int) -> Option<Errno>;
}

/// A program start as a hook found it.
pub(crate) struct Request {
    pub(crate) name: *const c_char,
    pub(crate) lookup: Lookup,
    pub(crate) arguments: RawVector,
    pub(crate) environment: RawVector,
}

/// Starts the program of `request`, here or redirected.
///
/// # Safety
/// The pointers of `request` are what a caller of `execve` must give: a C string and two
/// lists of C strings, each of which may be null.
pub(crate) unsafe fn start(request: &Request, call: &dyn Start) -> c_int {
    let session = session::current();
    if session.is_off() || request.name.is_null() {
        return call.as_asked();
    }
    // SAFETY: the caller's promise.
    let (name, arguments, environment) = unsafe {
        (
            CStr::from_ptr(request.name),
            StringVector::from_raw(request.arguments),
            StringVector::from_raw(request.environment),
        )
    };
    let view = View::of(environment, session);
    if view.is_off() {
        return call.as_asked();
    }
    let program = Program { name, lookup: request.lookup };
    if is_container_runtime(&program, &view, session) {
        let mut result = 0;
        environment::with_stripped(&view, session, &mut |list| {
            result = call.with_environment(list);
        });
        return result;
    }

    let mut result = None;
    with_whitelist(&view, session, &mut |whitelist| {
        result = redirect(whitelist, &program, arguments, &view, session, call)
            .or_else(|| pass_on(whitelist, &view, session, call));
    });
    result.unwrap_or_else(|| call.as_asked())
}

/// Where the rules are.
struct Whitelist<'a> {
    /// A colon list.
    files: &'a [u8],
    /// Whether the started program is to be told, because this process had to look.
    found_here: bool,
}

impl<'a> Whitelist<'a> {
    fn found(&self) -> Option<&'a [u8]> {
        self.found_here.then_some(self.files)
    }
}

fn with_whitelist(
    view: &View<'_>,
    session: &Session,
    with_whitelist: &mut dyn FnMut(&Whitelist<'_>),
) {
    if view.lacks_whitelist() {
        decide::with_found_whitelist(view, session, &mut |files| {
            with_whitelist(&Whitelist { files, found_here: true });
        });
    } else {
        let files = view.value(session, WHITELIST).unwrap_or_default();
        with_whitelist(&Whitelist { files, found_here: false });
    }
}

fn is_container_runtime(program: &Program<'_>, view: &View<'_>, session: &Session) -> bool {
    let is_runtime = |path: &[u8]| {
        let name = file_name(path);
        let extra = view.value(session, STRIP).unwrap_or_default();
        CONTAINER_RUNTIMES.contains(&name)
            || extra.split(|byte| *byte == b':').any(|other| !other.is_empty() && other == name)
    };
    let Lookup::Descriptor(descriptor) = program.lookup else {
        return is_runtime(program.name.to_bytes());
    };
    let mut result = false;
    kernel::with_descriptor_path(descriptor, &mut |path| result = is_runtime(path.to_bytes()));
    result
}

/// Makes the call start `redirector`. `None` when the program is to run here.
fn redirect(
    whitelist: &Whitelist<'_>,
    program: &Program<'_>,
    arguments: StringVector<'_>,
    view: &View<'_>,
    session: &Session,
    call: &dyn Start,
) -> Option<c_int> {
    if whitelist.files.is_empty() {
        return None;
    }
    // SAFETY: libc's environment is a NULL-terminated list.
    let own_environment = unsafe { StringVector::from_raw(session::environment()) };
    let search_path =
        own_environment.value(b"PATH=").map_or(session.default_path(), CStr::to_bytes);
    let mut result = None;
    path::with_resolved(program, search_path, &mut |path| {
        if !decide::wants(whitelist.files, path, arguments) || !decide::runnable(path) {
            return;
        }
        let found = with_redirector(view, session, &mut |redirector| {
            let extra = Extra { whitelist: whitelist.found(), program: Some(path) };
            environment::with_repaired(view, session, &extra, &mut |list| {
                let answer = call.instead(redirector, list);
                if call.error(answer).is_none() {
                    result = Some(answer);
                }
            });
        });
        if !found {
            kernel::complain(&[
                b"redirector: binary not found next to ",
                session.library(),
                b"; running '",
                file_name(path.to_bytes()),
                b"' here; set REDIRECTOR_BIN\n",
            ]);
        }
    });
    result
}

/// Makes the caller's call in an environment in which we are not missing. `None` when that
/// would need more room than there is.
fn pass_on(
    whitelist: &Whitelist<'_>,
    view: &View<'_>,
    session: &Session,
    call: &dyn Start,
) -> Option<c_int> {
    let mut result = None;
    let extra = Extra { whitelist: whitelist.found(), program: None };
    environment::with_repaired(view, session, &extra, &mut |list| {
        if list == view.as_raw() {
            result = Some(call.as_asked());
            return;
        }
        let answer = call.with_environment(list);
        if call.error(answer) != Some(Errno::E2BIG) {
            result = Some(answer);
        }
    });
    result
}

/// Runs `with_binary` on the path of the `redirector` program; `false` if there is none.
fn with_redirector(view: &View<'_>, session: &Session, with_binary: &mut dyn FnMut(&CStr)) -> bool {
    let library = session.library();
    let directory = library.strip_suffix(file_name(library)).unwrap_or_default();
    let named = view.value(session, BINARY).unwrap_or_default();
    // The first of each pair starts quicker and need not be there.
    let candidates: [&[&[u8]]; 5] = [
        &[named],
        &[directory, b"redirector-exec"],
        &[directory, b"redirector"],
        &[directory, b"../bin/redirector-exec"],
        &[directory, b"../bin/redirector"],
    ];
    for parts in candidates {
        let mut found = false;
        let length: usize = parts.iter().map(|part| part.len()).sum();
        crate::arch::with_stack(length + 1, |buffer| {
            if let Some(path) = join(buffer, parts)
                && kernel::executable(path).is_ok()
            {
                found = true;
                with_binary(path);
            }
        });
        if found {
            return true;
        }
    }
    false
}

/// Runs `call`, a libc function that starts a shell in the current environment, with us in
/// that environment.
///
/// The list itself is left alone: programs hold pointers to it. libc's pointer to it is
/// exchanged for the time of the call.
pub(crate) fn in_repaired_environment(call: &mut dyn FnMut()) {
    let session = session::current();
    let own = session::environment();
    // SAFETY: libc's environment is a NULL-terminated list.
    let view = View::of(unsafe { StringVector::from_raw(own) }, session);
    if session.is_off() || view.is_off() {
        return call();
    }
    let mut called = false;
    with_whitelist(&view, session, &mut |whitelist| {
        let extra = Extra { whitelist: whitelist.found(), program: None };
        called = environment::with_repaired(&view, session, &extra, &mut |list| {
            if list == own {
                return call();
            }
            // SAFETY: `list` is valid until `with_repaired` returns, and replaced before.
            unsafe { session::set_environment(list) };
            call();
            // SAFETY: this is the list that was there before.
            unsafe { session::set_environment(own) };
        });
    });
    if !called {
        call();
    }
}
