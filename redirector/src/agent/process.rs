//! Starts a command as a child of this process, and waits for it.
//!
//! The child is made by `clone(CLONE_VM | CLONE_VFORK)` as `posix_spawn` does it,
//! which costs a third of `fork` from this program; `posix_spawn` itself cannot
//! ask for a parent-death signal.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    io, mem, ptr,
};

use super::{
    birth::Birth,
    signals::{Catcher, Inherited},
};
use crate::model::{Outcome, Usage};

/// A program with its arguments and environment, ready for `execve`.
pub struct Command<'a> {
    /// The program's path.
    pub program: &'a CStr,
    /// Pointers to the arguments, closed by a null pointer.
    pub arguments: &'a [*const c_char],
    /// Pointers to the `NAME=VALUE` entries, closed by a null pointer.
    pub environment: &'a [*const c_char],
    /// The cpus that it is kept to; `None`: those of this process.
    pub cpus: Option<CpuSet>,
}

/// Cpus as `sched_setaffinity` takes them.
#[derive(Clone, Copy)]
pub struct CpuSet(libc::cpu_set_t);

impl CpuSet {
    /// The cpus `ids`, by the kernel's numbers; `None` if there are none, or if this process may
    /// not run on all of them: it was kept to others before it was told of these.
    pub fn own(ids: &[u32]) -> Option<Self> {
        if ids.is_empty() {
            return None;
        }
        // SAFETY: a cpu_set_t is a plain bit set, for which all zeroes is a value; the call
        // writes at most its size.
        let allowed = unsafe {
            let mut set: libc::cpu_set_t = mem::zeroed();
            libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set);
            set
        };
        // SAFETY: as above.
        let mut chosen: libc::cpu_set_t = unsafe { mem::zeroed() };
        for id in ids {
            let id = *id as usize;
            // SAFETY: the set has room for this cpu.
            unsafe {
                if id >= libc::CPU_SETSIZE as usize || !libc::CPU_ISSET(id, &allowed) {
                    return None;
                }
                libc::CPU_SET(id, &mut chosen);
            }
        }
        Some(Self(chosen))
    }
}

/// A started command.
#[derive(Debug)]
pub struct Process {
    pid: libc::pid_t,
    missed: u64,
}

/// What became of a command since the last look.
#[derive(Debug)]
pub enum Change {
    /// It ended.
    Ended(Outcome, Usage),
    /// This signal stopped it.
    Stopped(c_int),
    /// It goes on after a stop.
    Continued,
    /// Nothing.
    None,
}

struct Start<'a> {
    command: &'a Command<'a>,
    inherited: &'a Inherited,
    parent: libc::pid_t,
    error: c_int,
}

/// Bytes of stack for the child until its `execve`; it makes half a dozen calls.
const CHILD_STACK: usize = 32 * 1024;

impl Process {
    /// Starts `command` with the signal set-up that this process had before `catcher`. It is
    /// killed if this process dies.
    ///
    /// # Errors
    /// What `execve` reported, or the reason why there could be no child.
    pub fn start(command: &Command, catcher: &Catcher) -> io::Result<Self> {
        debug_assert!(
            command.arguments.ends_with(&[ptr::null()])
                && command.environment.ends_with(&[ptr::null()])
        );
        let mut start = Start {
            command,
            inherited: catcher.inherited(),
            // SAFETY: getpid has no preconditions.
            parent: unsafe { libc::getpid() },
            error: 0,
        };
        let birth = Birth::open(catcher);
        // SAFETY: `start` outlives the call, and `run_child` takes one and calls only
        // functions that are safe after vfork.
        let pid = unsafe { clone_until_exec(run_child, (&raw mut start).cast()) };
        let missed = birth.close(catcher);
        let pid = pid?;
        if start.error != 0 {
            // SAFETY: pid is our child, which has ended or is about to.
            unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
            return Err(io::Error::from_raw_os_error(start.error));
        }
        Ok(Self { pid, missed })
    }

    /// The command's process id; its own until [`Change::Ended`] was seen.
    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// The caught signals that this process got just before the command was there, as
    /// [`bit`](super::signals::bit)s. Those to the group have not reached the command.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Sends `signal` to the command.
    pub fn signal(&self, signal: c_int) {
        // SAFETY: the pid is our child's and was not waited for yet, so it cannot
        // have passed to another process.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Looks, without waiting, what became of the command.
    pub fn poll(&self) -> io::Result<Change> {
        self.wait(libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED)
    }

    fn wait(&self, options: c_int) -> io::Result<Change> {
        let mut status = 0;
        // SAFETY: rusage is a plain C struct for which all zeroes is a value.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        // SAFETY: both pointers are to live, writable variables of the right type.
        let pid = unsafe { libc::wait4(self.pid, &raw mut status, options, &raw mut usage) };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(if pid == 0 {
            Change::None
        } else if let Some(outcome) = outcome(status) {
            Change::Ended(outcome, used(&usage))
        } else if libc::WIFSTOPPED(status) {
            Change::Stopped(libc::WSTOPSIG(status))
        } else {
            Change::Continued
        })
    }
}

/// Has threads that are started from now on allocate from one heap: to make a heap of its own costs
/// one that lives for a millisecond more than it would ever wait for another thread.
pub fn share_one_heap() {
    // The C library of other targets has one heap.
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a parameter of the allocator, which locks itself.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// How a process ended, by its wait status; `None` if it has not.
pub(super) fn outcome(status: c_int) -> Option<Outcome> {
    if libc::WIFEXITED(status) {
        Some(Outcome::Exited { exit_code: libc::WEXITSTATUS(status) })
    } else if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        Some(Outcome::Signaled { signal, core_dumped: libc::WCOREDUMP(status) })
    } else {
        None
    }
}

/// Makes a child that shares this process's memory and runs `child(argument)`; returns
/// its process id when it has left for `execve` or `_exit`.
///
/// # Safety
/// `argument` must be what `child` takes, and `child` must end in `execve` or `_exit`,
/// call only functions that are safe after vfork, and take little stack.
pub(super) unsafe fn clone_until_exec(
    child: extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> io::Result<libc::pid_t> {
    // Not zeroed: only the pages that are used are to be touched.
    let mut stack: Vec<u128> = Vec::with_capacity(CHILD_STACK / mem::size_of::<u128>());
    // SAFETY: the stack outlives the child's use of it, because CLONE_VFORK holds this
    // thread until the child has left. The caller vouches for the rest.
    let pid = unsafe {
        libc::clone(
            child,
            stack.as_mut_ptr().add(stack.capacity()).cast(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD,
            argument,
        )
    };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid) }
}

extern "C" fn run_child(start: *mut c_void) -> c_int {
    Birth::is_done();
    // SAFETY: `Process::start` passes a `Start` that lives until this function is
    // done; the parent thread does not run meanwhile.
    let start = unsafe { &mut *start.cast::<Start>() };
    // SAFETY: async-signal-safe system calls with valid arguments only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // The parent may have died before the line above took effect.
        if libc::getppid() != start.parent {
            libc::_exit(1);
        }
        if let Some(CpuSet(set)) = &start.command.cpus {
            // A cpu may have been taken offline; then it runs on any.
            libc::sched_setaffinity(0, mem::size_of_val(set), set);
        }
        start.inherited.restore();
        libc::execve(
            start.command.program.as_ptr(),
            start.command.arguments.as_ptr(),
            start.command.environment.as_ptr(),
        );
        start.error = *libc::__errno_location();
        libc::_exit(127)
    }
}

/// What a process and those it waited for used.
pub(super) fn used(usage: &libc::rusage) -> Usage {
    /// Unit of `ru_inblock` and `ru_oublock` in bytes (getrusage(2)).
    const BLOCK: u64 = 512;
    let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Usage {
        user_us: microseconds(usage.ru_utime),
        system_us: microseconds(usage.ru_stime),
        max_rss: usage.ru_maxrss as u64 * 1024,
        read_bytes: usage.ru_inblock as u64 * BLOCK,
        written_bytes: usage.ru_oublock as u64 * BLOCK,
    }
}
