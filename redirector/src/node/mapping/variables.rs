//! Which variables are true of one computer only.

/// Those that stay here.
const OWN: [&[u8]; 34] = [
    // The computer's name, as shells keep it.
    b"HOST",
    b"HOSTNAME",
    // Screen, session and terminal.
    b"DISPLAY",
    b"WAYLAND_DISPLAY",
    b"XAUTHORITY",
    b"XDG_RUNTIME_DIR",
    b"XDG_SEAT",
    b"XDG_SEAT_PATH",
    b"XDG_VTNR",
    b"SESSION_MANAGER",
    b"DESKTOP_STARTUP_ID",
    b"WINDOWID",
    b"GPG_AGENT_INFO",
    b"GPG_TTY",
    b"TMUX",
    b"TMUX_PANE",
    b"STY",
    b"MAKE_TERMOUT",
    b"MAKE_TERMERR",
    // Descriptors and sockets of systemd's services.
    b"INVOCATION_ID",
    b"JOURNAL_STREAM",
    b"LISTEN_FDS",
    b"LISTEN_FDNAMES",
    b"LISTEN_PID",
    b"MAINPID",
    b"MANAGERPID",
    b"NOTIFY_SOCKET",
    b"SYSTEMD_EXEC_PID",
    b"WATCHDOG_PID",
    b"WATCHDOG_USEC",
    b"CREDENTIALS_DIRECTORY",
    // LSF's, beside those that begin with LSB_.
    b"LS_JOBPID",
    b"LS_SUBCWD",
    b"LS_EXECCWD",
];

/// Families of those that stay here: log-ins, sessions, and this program's own, of which the
/// host's agent sets those that its jobs need.
const FAMILIES: [&[u8]; 4] = [b"SSH_", b"DBUS_", b"XDG_SESSION_", b"REDIRECTOR_"];

/// … and jobs of batch systems.
const BATCH_FAMILIES: [&[u8]; 5] = [b"SLURM_", b"SLURMD_", b"SGE_", b"PBS_", b"LSB_"];

/// What of the families is not of one job or computer: where a batch system is to be found, and
/// what names the job and the element that a command belongs to.
const TRAVELLING: [&[u8]; 12] = [
    b"SLURM_CONF",
    b"SGE_ROOT",
    b"SGE_CELL",
    b"SGE_CLUSTER_NAME",
    b"SGE_QMASTER_PORT",
    b"SGE_EXECD_PORT",
    b"PBS_CONF_FILE",
    b"PBS_DEFAULT",
    b"PBS_SERVER",
    b"REDIRECTOR_ATTEMPT",
    b"REDIRECTOR_ELEMENT",
    b"REDIRECTOR_JOB",
];

/// What Grid Engine tells its jobs under names that could be anybody's.
const GRID_ENGINE: [&[u8]; 15] = [
    b"ARC",
    b"ENVIRONMENT",
    b"JOB_ID",
    b"JOB_NAME",
    b"JOB_SCRIPT",
    b"NHOSTS",
    b"NQUEUES",
    b"NSLOTS",
    b"PE",
    b"PE_HOSTFILE",
    b"QUEUE",
    b"REQNAME",
    b"REQUEST",
    b"RESTARTED",
    b"TASK_ID",
];

/// Whether the variable `name` is true of this computer only; `is_grid_engine`: it is that of a
/// job of Grid Engine.
pub(super) fn stays_here(name: &[u8], is_grid_engine: bool) -> bool {
    if TRAVELLING.contains(&name) {
        return false;
    }
    OWN.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || is_of_batch_job(name, is_grid_engine)
}

/// Whether a batch system tells its jobs something by the variable `name`.
pub(crate) fn is_of_batch_job(name: &[u8], is_grid_engine: bool) -> bool {
    BATCH_FAMILIES.iter().any(|family| name.starts_with(family))
        || is_grid_engine && GRID_ENGINE.contains(&name)
}

/// `PATH`, `MANPATH`, `LD_LIBRARY_PATH`, `XDG_DATA_DIRS`, ….
pub(super) fn is_list_of_paths(name: &[u8]) -> bool {
    name.ends_with(b"PATH") || name.ends_with(b"_DIRS")
}

/// The flags of `make` without its jobserver, which is a pair of descriptors or a FIFO here, and
/// without the number of jobs that goes with it; `None` if nothing is left.
///
/// ```text
/// ks -j8 --jobserver-auth=3,4 -- CC=gcc    becomes    ks -- CC=gcc
/// ```
pub(super) fn without_jobserver(flags: &[u8]) -> Option<Vec<u8>> {
    let is_jobserver = |word: &[u8]| word.starts_with(b"--jobserver-");
    if !flags.split(|byte| *byte == b' ').any(is_jobserver) {
        return Some(flags.to_vec());
    }
    let mut is_option = true;
    let kept: Vec<_> = flags
        .split(|byte| *byte == b' ')
        .filter(|word| {
            // What follows are variables' definitions.
            is_option &= *word != b"--";
            !is_option || !(is_jobserver(word) || is_number_of_jobs(word))
        })
        .collect();
    let rest = kept.join(&b' ');
    rest.iter().any(|byte| *byte != b' ').then_some(rest)
}

fn is_number_of_jobs(word: &[u8]) -> bool {
    word.strip_prefix(b"-j").is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

/// What stands behind a `$`.
pub(super) struct Reference<'t> {
    /// The variable that is meant; `None`: a `$` that means itself.
    pub name: Option<&'t [u8]>,
    /// The text behind it.
    pub rest: &'t [u8],
}

/// Reads `NAME…`, `{NAME}…`, or `$…`.
pub(super) fn reference(text: &[u8]) -> Reference<'_> {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if let Some(inner) = text.strip_prefix(b"{")
        && let Some(end) = inner.iter().position(|byte| *byte == b'}')
    {
        return Reference { name: Some(&inner[..end]), rest: &inner[end + 1..] };
    }
    if let Some(rest) = text.strip_prefix(b"$") {
        return Reference { name: None, rest };
    }
    let end = text.iter().position(|byte| !is_of_name(byte)).unwrap_or(text.len());
    let is_name = text.first().is_some_and(|first| is_of_name(first) && !first.is_ascii_digit());
    let end = if is_name { end } else { 0 };
    Reference { name: is_name.then(|| &text[..end]), rest: &text[end..] }
}
