//! The functions this library stands before, as one table.
//!
//! In glibc no such function calls another one through a symbol that could be replaced, so
//! each of them is hooked by itself. A hook turns its arguments into a [`Request`] and a
//! [`Start`], and leaves the rest to `start`. `system`, `popen` and `wordexp` run a shell:
//! they only see to it that the shell loads this library, too.
//!
//! Each row of the table defines the exported function and a field of [`Real`]: the
//! function of the same name that the program would have reached without us.

use crate::arch::{number, system_call, variadic};
use crate::kernel::Errno;
use crate::loader::{self, Wanted};
use crate::path::Lookup;
use crate::session::{self, GetAuxiliaryValue};
use crate::start::{Request, Start, in_repaired_environment, start};
use crate::strings::RawVector;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr;

type Text = *const c_char;

macro_rules! hooks {
    ($(
        $(#[$documentation:meta])*
        fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block
    )*) => {
        /// The functions behind the hooks; `None` where no loaded library has one.
        #[expect(non_snake_case, reason = "glibc has a function _IO_popen")]
        #[derive(Clone, Copy)]
        pub(crate) struct Real {
            $($name: Option<unsafe extern "C" fn($($type),*) -> $result>,)*
        }

        impl Real {
            pub(crate) const NONE: Self = Self { $($name: None,)* };
        }

        impl Loaded {
            /// Looks up everything in the loaded libraries.
            pub(crate) fn look_up() -> Self {
                let mut wanted = [
                    $(Wanted::new(function_name(concat!(stringify!($name), "\0"))),)*
                    Wanted::new(c"getauxval"),
                    Wanted::new(c"gnu_get_libc_version"),
                ];
                let library = loader::look_up(&mut wanted);
                let mut addresses = wanted.iter().map(|wanted| wanted.address);
                let mut next = || addresses.next().unwrap_or(ptr::null());
                // SAFETY: the functions of these names have these types in every libc, and
                // a null pointer is `None`. The fields are in the order of `wanted`.
                unsafe {
                    Self {
                        real: Real {
                            $($name: transmute::<
                                *const c_void,
                                Option<unsafe extern "C" fn($($type),*) -> $result>,
                            >(next()),)*
                        },
                        getauxval: transmute::<*const c_void, Option<GetAuxiliaryValue>>(next()),
                        is_glibc: !next().is_null(),
                        library,
                    }
                }
            }
        }

        $(
            $(#[$documentation])*
            ///
            /// # Safety
            /// As the C function of this name.
            #[cfg_attr(not(test), unsafe(no_mangle))]
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> $result $body
        )*
    };
}

/// What the loaded libraries offer.
pub(crate) struct Loaded {
    pub(crate) real: Real,
    pub(crate) getauxval: Option<GetAuxiliaryValue>,
    pub(crate) is_glibc: bool,
    /// The name under which the loader opened this library.
    pub(crate) library: Option<&'static CStr>,
}

const fn function_name(with_zero: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(with_zero.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!("a function name ends with its only zero byte"),
    }
}

const AT_FDCWD: c_int = -100;
const AT_EMPTY_PATH: c_int = 0x1000;

const HERE: bool = true;

hooks! {
    /// `execve(2)`.
    fn execve(path: Text, argv: RawVector, envp: RawVector) -> c_int {
        let lookup = Lookup::File { known_directory: HERE };
        exec(ExecFunction::Execve, lookup, path, argv, envp)
    }

    /// `execv(3)`.
    fn execv(path: Text, argv: RawVector) -> c_int {
        let lookup = Lookup::File { known_directory: HERE };
        exec(ExecFunction::Execv, lookup, path, argv, session::environment())
    }

    /// `execvp(3)`.
    fn execvp(file: Text, argv: RawVector) -> c_int {
        let lookup = Lookup::Path { known_directory: HERE };
        exec(ExecFunction::Execvp, lookup, file, argv, session::environment())
    }

    /// `execvpe(3)`.
    fn execvpe(file: Text, argv: RawVector, envp: RawVector) -> c_int {
        let lookup = Lookup::Path { known_directory: HERE };
        exec(ExecFunction::Execvpe, lookup, file, argv, envp)
    }

    /// `fexecve(3)`.
    fn fexecve(descriptor: c_int, argv: RawVector, envp: RawVector) -> c_int {
        let lookup = Lookup::Descriptor(descriptor);
        exec(ExecFunction::Fexecve(descriptor), lookup, c"".as_ptr(), argv, envp)
    }

    /// `execveat(2)`.
    fn execveat(
        directory: c_int,
        path: Text,
        argv: RawVector,
        envp: RawVector,
        flags: c_int
    ) -> c_int {
        // SAFETY: the path is a C string or null.
        let is_empty = !path.is_null() && unsafe { *path } == 0;
        let lookup = match flags {
            AT_EMPTY_PATH if is_empty && directory >= 0 => Lookup::Descriptor(directory),
            0 | AT_EMPTY_PATH if directory == AT_FDCWD => Lookup::File { known_directory: HERE },
            0 | AT_EMPTY_PATH => Lookup::Directory(directory),
            _ => Lookup::Unknown,
        };
        exec(ExecFunction::Execveat { directory, flags }, lookup, path, argv, envp)
    }

    /// `posix_spawn(3)`.
    fn posix_spawn(
        pid: *mut c_int,
        path: Text,
        actions: *const c_void,
        attributes: *const c_void,
        argv: RawVector,
        envp: RawVector
    ) -> c_int {
        let real = &session::current().real;
        let lookup = Lookup::File { known_directory: actions.is_null() };
        let functions = Functions { called: real.posix_spawn, by_path: real.posix_spawn };
        spawn(functions, lookup, pid, path, actions, attributes, argv, envp)
    }

    /// `posix_spawnp(3)`.
    fn posix_spawnp(
        pid: *mut c_int,
        file: Text,
        actions: *const c_void,
        attributes: *const c_void,
        argv: RawVector,
        envp: RawVector
    ) -> c_int {
        let real = &session::current().real;
        let lookup = Lookup::Path { known_directory: actions.is_null() };
        let functions = Functions { called: real.posix_spawnp, by_path: real.posix_spawn };
        spawn(functions, lookup, pid, file, actions, attributes, argv, envp)
    }

    /// `pidfd_spawn(3)`, in glibc since 2.39.
    fn pidfd_spawn(
        pidfd: *mut c_int,
        path: Text,
        actions: *const c_void,
        attributes: *const c_void,
        argv: RawVector,
        envp: RawVector
    ) -> c_int {
        let real = &session::current().real;
        let lookup = Lookup::File { known_directory: actions.is_null() };
        let functions = Functions { called: real.pidfd_spawn, by_path: real.pidfd_spawn };
        spawn(functions, lookup, pidfd, path, actions, attributes, argv, envp)
    }

    /// `pidfd_spawnp(3)`, in glibc since 2.39.
    fn pidfd_spawnp(
        pidfd: *mut c_int,
        file: Text,
        actions: *const c_void,
        attributes: *const c_void,
        argv: RawVector,
        envp: RawVector
    ) -> c_int {
        let real = &session::current().real;
        let lookup = Lookup::Path { known_directory: actions.is_null() };
        let functions = Functions { called: real.pidfd_spawnp, by_path: real.pidfd_spawn };
        spawn(functions, lookup, pidfd, file, actions, attributes, argv, envp)
    }

    /// `system(3)`.
    fn system(command: Text) -> c_int {
        let Some(real) = session::current().real.system else { return fail(Errno::ENOSYS) };
        let mut status = -1;
        // SAFETY: the caller's arguments.
        in_repaired_environment(&mut || status = unsafe { real(command) });
        status
    }

    /// `popen(3)`. The stream comes from the real function, so that `pclose` knows it.
    fn popen(command: Text, mode: Text) -> *mut c_void {
        let Some(real) = session::current().real.popen else { return no_stream() };
        let mut stream = ptr::null_mut();
        // SAFETY: the caller's arguments.
        in_repaired_environment(&mut || stream = unsafe { real(command, mode) });
        stream
    }

    /// glibc's other name of `popen(3)`.
    fn _IO_popen(command: Text, mode: Text) -> *mut c_void {
        let Some(real) = session::current().real._IO_popen else { return no_stream() };
        let mut stream = ptr::null_mut();
        // SAFETY: the caller's arguments.
        in_repaired_environment(&mut || stream = unsafe { real(command, mode) });
        stream
    }

    /// `wordexp(3)`.
    fn wordexp(words: Text, expansion: *mut c_void, flags: c_int) -> c_int {
        const WRDE_NOSYS: c_int = -1;
        let Some(real) = session::current().real.wordexp else { return WRDE_NOSYS };
        let mut result = WRDE_NOSYS;
        // SAFETY: the caller's arguments.
        in_repaired_environment(&mut || result = unsafe { real(words, expansion, flags) });
        result
    }
}

variadic! {
    /// `execl(3)`.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    execl => execv
}

variadic! {
    /// `execlp(3)`.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    execlp => execvp
}

variadic! {
    /// `execle(3)`.
    #[cfg_attr(not(test), unsafe(no_mangle))]
    execle => execle_vector
}

/// `execle` once its arguments lie in memory: behind their null pointer is the environment.
unsafe extern "C" fn execle_vector(path: Text, argv: *const RawVector) -> c_int {
    let mut end = argv;
    // SAFETY: the caller of `execle` ended its arguments with a null pointer and an
    // environment.
    unsafe {
        while !(*end).is_null() {
            end = end.add(1);
        }
        execve(path, argv.cast(), *end.add(1))
    }
}

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

fn errno() -> Errno {
    // SAFETY: libc gives the address of the calling thread's `errno`.
    Errno(unsafe { *__errno_location() })
}

/// Fails as system calls do in C.
fn fail(error: Errno) -> c_int {
    // SAFETY: libc gives the address of the calling thread's `errno`.
    unsafe { *__errno_location() = error.0 };
    -1
}

fn no_stream() -> *mut c_void {
    fail(Errno::ENOSYS);
    ptr::null_mut()
}

#[derive(Clone, Copy)]
enum ExecFunction {
    Execve,
    Execv,
    Execvp,
    Execvpe,
    Fexecve(c_int),
    Execveat { directory: c_int, flags: c_int },
}

/// A call of a function that replaces the process.
struct Exec {
    function: ExecFunction,
    name: Text,
    argv: RawVector,
    envp: RawVector,
}

fn exec(
    function: ExecFunction,
    lookup: Lookup,
    name: Text,
    argv: RawVector,
    envp: RawVector,
) -> c_int {
    let request = Request { name, lookup, arguments: argv, environment: envp };
    // SAFETY: the caller of the hook gave what the function of this name asks for.
    unsafe { start(&request, &Exec { function, name, argv, envp }) }
}

impl Start for Exec {
    fn as_asked(&self) -> c_int {
        let real = &session::current().real;
        let Self { name, argv, .. } = *self;
        // SAFETY: the caller's arguments.
        let result = unsafe {
            match self.function {
                ExecFunction::Execv => real.execv.map(|execv| execv(name, argv)),
                ExecFunction::Execvp => real.execvp.map(|execvp| execvp(name, argv)),
                _ => return self.with_environment(self.envp),
            }
        };
        result.unwrap_or_else(|| fail(Errno::ENOSYS))
    }

    fn with_environment(&self, environment: RawVector) -> c_int {
        let real = &session::current().real;
        let Self { name, argv, .. } = *self;
        // SAFETY: the caller's arguments, and a list made from the caller's environment.
        let result = unsafe {
            match self.function {
                ExecFunction::Execve | ExecFunction::Execv => {
                    real.execve.map(|execve| execve(name, argv, environment))
                }
                ExecFunction::Execvp | ExecFunction::Execvpe => match real.execvpe {
                    Some(execvpe) => Some(execvpe(name, argv, environment)),
                    // Better the right program in a poorer environment than none.
                    None => real.execvp.map(|execvp| execvp(name, argv)),
                },
                ExecFunction::Fexecve(descriptor) => {
                    real.fexecve.map(|fexecve| fexecve(descriptor, argv, environment))
                }
                ExecFunction::Execveat { directory, flags } => Some(match real.execveat {
                    Some(execveat) => execveat(directory, name, argv, environment, flags),
                    // Older libcs lack it, but our own export makes programs believe it is there.
                    None => kernel_execveat(directory, name, argv, environment, flags),
                }),
            }
        };
        result.unwrap_or_else(|| fail(Errno::ENOSYS))
    }

    fn instead(&self, program: &CStr, environment: RawVector) -> c_int {
        let Some(execve) = session::current().real.execve else { return fail(Errno::ENOSYS) };
        // SAFETY: a path, the caller's arguments and a list made for this call.
        unsafe { execve(program.as_ptr(), self.argv, environment) }
    }

    fn error(&self, result: c_int) -> Option<Errno> {
        (result == -1).then(errno)
    }
}

/// # Safety
/// As `execveat(2)`.
unsafe fn kernel_execveat(
    directory: c_int,
    path: Text,
    argv: RawVector,
    envp: RawVector,
    flags: c_int,
) -> c_int {
    let arguments = [
        directory as isize as usize,
        path as usize,
        argv as usize,
        envp as usize,
        flags as isize as usize,
    ];
    // SAFETY: the caller's promise.
    let answer = unsafe { system_call(number::EXECVEAT, arguments) };
    fail(Errno(-answer as c_int))
}

type SpawnFunction = unsafe extern "C" fn(
    *mut c_int,
    Text,
    *const c_void,
    *const c_void,
    RawVector,
    RawVector,
) -> c_int;

/// The real functions for one start.
#[derive(Clone, Copy)]
struct Functions {
    /// The one that the caller called.
    called: Option<SpawnFunction>,
    /// The one of the same kind that takes a path.
    by_path: Option<SpawnFunction>,
}

/// A call of a function that starts a child process.
struct Spawn {
    functions: Functions,
    child: *mut c_int,
    name: Text,
    actions: *const c_void,
    attributes: *const c_void,
    argv: RawVector,
    envp: RawVector,
}

impl Spawn {
    fn call(&self, function: Option<SpawnFunction>, name: Text, environment: RawVector) -> c_int {
        let Some(function) = function else { return Errno::ENOSYS.0 };
        let Self { child, actions, attributes, argv, .. } = *self;
        // SAFETY: the caller's arguments; name and environment are the caller's or made for
        // this call.
        unsafe { function(child, name, actions, attributes, argv, environment) }
    }
}

impl Start for Spawn {
    fn as_asked(&self) -> c_int {
        self.call(self.functions.called, self.name, self.envp)
    }

    fn with_environment(&self, environment: RawVector) -> c_int {
        self.call(self.functions.called, self.name, environment)
    }

    fn instead(&self, program: &CStr, environment: RawVector) -> c_int {
        self.call(self.functions.by_path, program.as_ptr(), environment)
    }

    fn error(&self, result: c_int) -> Option<Errno> {
        (result != 0).then_some(Errno(result))
    }
}

#[expect(clippy::too_many_arguments, reason = "posix_spawn has six of its own")]
fn spawn(
    functions: Functions,
    lookup: Lookup,
    child: *mut c_int,
    name: Text,
    actions: *const c_void,
    attributes: *const c_void,
    argv: RawVector,
    envp: RawVector,
) -> c_int {
    let request = Request { name, lookup, arguments: argv, environment: envp };
    let call = Spawn { functions, child, name, actions, attributes, argv, envp };
    // SAFETY: the caller of the hook gave what the function of this name asks for.
    unsafe { start(&request, &call) }
}
