//! What happens between the clone of a detached job's process and its `execve`.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    ptr,
};

use crate::agent::process::clone_until_exec;

/// All that the child needs, laid out before the clone: a child after vfork may not allocate.
pub(super) struct Plan<'a> {
    /// The program's path.
    pub program: &'a CStr,
    /// Pointers to the arguments, closed by a null pointer.
    pub arguments: &'a [*const c_char],
    /// Pointers to the `NAME=VALUE` entries, closed by a null pointer.
    pub environment: &'a [*const c_char],
    /// The working directory.
    pub directory: &'a CStr,
    /// `umask`.
    pub umask: libc::mode_t,
    /// What the command's descriptors of these numbers are, or that they are closed. Those
    /// that they are now have larger numbers than all of these.
    pub streams: &'a [(RawFd, Option<BorrowedFd<'a>>)],
    /// Where it may run; `None`: as this process.
    pub cpus: Option<libc::cpu_set_t>,
    /// The `cgroup.procs` of its control group.
    pub control_group: Option<BorrowedFd<'a>>,
}

/// What could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Making the process.
    Clone,
    /// Entering the control group.
    ControlGroup,
    /// Connecting the standard streams.
    Streams,
    /// Keeping to its cpus.
    Cpus,
    /// Entering the working directory.
    Directory,
    /// Starting the program.
    Program,
}

/// No process, or none any more.
#[derive(Debug)]
pub(super) struct Failure {
    pub step: Step,
    pub cause: io::Error,
}

struct Start<'a> {
    plan: &'a Plan<'a>,
    parent: libc::pid_t,
    failure: Option<(Step, c_int)>,
}

/// Starts the program in a session of its own, with every signal at its default. It is
/// killed if this process dies. The process's id, which is its session's and group's too.
pub(super) fn start(plan: &Plan) -> Result<libc::pid_t, Failure> {
    debug_assert!(
        plan.arguments.ends_with(&[ptr::null()]) && plan.environment.ends_with(&[ptr::null()])
    );
    // SAFETY: getpid has no preconditions.
    let mut start = Start { plan, parent: unsafe { libc::getpid() }, failure: None };
    // SAFETY: `start` outlives the call, and `run` takes one and keeps to what is safe.
    let pid = unsafe { clone_until_exec(run, (&raw mut start).cast()) }
        .map_err(|cause| Failure { step: Step::Clone, cause })?;
    match start.failure {
        None => Ok(pid),
        Some((step, errno)) => {
            // SAFETY: pid is our child, which has ended or is about to.
            unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
            Err(Failure { step, cause: io::Error::from_raw_os_error(errno) })
        }
    }
}

extern "C" fn run(start: *mut c_void) -> c_int {
    // SAFETY: `start` passes a `Start` that lives until this function is done; the
    // parent thread does not run meanwhile.
    let start = unsafe { &mut *start.cast::<Start>() };
    let step = prepare_and_exec(start.plan, start.parent);
    // SAFETY: reads the errno of the call that failed; _exit has no preconditions.
    unsafe {
        start.failure = Some((step, *libc::__errno_location()));
        libc::_exit(127)
    }
}

/// Returns only with what failed; the reason is in errno.
fn prepare_and_exec(plan: &Plan, parent: libc::pid_t) -> Step {
    // SAFETY: async-signal-safe system calls with valid arguments only.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // The parent may have died before the line above took effect.
        if libc::getppid() != parent {
            libc::_exit(1);
        }
        if let Some(group) = plan.control_group
            && libc::write(group.as_raw_fd(), c"0".as_ptr().cast(), 1) < 0
        {
            return Step::ControlGroup;
        }
        for &(wanted, stream) in plan.streams {
            match stream {
                // They are above all that is wanted, so none is overwritten.
                Some(stream) if libc::dup2(stream.as_raw_fd(), wanted) < 0 => {
                    return Step::Streams;
                }
                Some(_) => {}
                None => {
                    libc::close(wanted);
                }
            }
        }
        libc::umask(plan.umask);
        if let Some(cpus) = &plan.cpus
            && libc::sched_setaffinity(0, mem::size_of_val(cpus), cpus) < 0
        {
            return Step::Cpus;
        }
        if libc::chdir(plan.directory.as_ptr()) < 0 {
            return Step::Directory;
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        libc::execve(plan.program.as_ptr(), plan.arguments.as_ptr(), plan.environment.as_ptr());
        Step::Program
    }
}

/// The set of cpus with these numbers; numbers that no kernel has are left out.
pub(super) fn cpu_set(numbers: &[u32]) -> Option<libc::cpu_set_t> {
    if numbers.is_empty() {
        return None;
    }
    // SAFETY: a plain C struct for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for number in numbers.iter().filter(|number| **number < libc::CPU_SETSIZE as u32) {
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(*number as usize, &mut set) };
    }
    Some(set)
}
