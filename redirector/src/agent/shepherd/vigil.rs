//! Watches over a running attempt until nothing of it is left.
//!
//! ```text
//!              it ends by itself
//!   running ───────────────────────────────┐
//!      │ an order, or its time is over      ▼
//!      └──► ending: SIGTERM ── grace ──► clearing: SIGKILL to what is left, until
//!                    │ its group is gone ──► ▲     the shepherd has no child
//!                    └───────────────────────┘
//! ```

use std::{
    collections::VecDeque,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    family::{self, Reaped},
    task::{Cause, Said, Task},
};
use crate::{
    agent::{
        control_group::ControlGroup,
        protocol::{Assignment, AttemptId},
        wire::{self, Inbox},
    },
    model::{Outcome, Usage},
};

/// How long the agent may be left unaware that an attempt has ended whose place another one has
/// taken: of several that are over sooner it hears at once, and is woken once.
const SILENCE: Duration = Duration::from_millis(4);

/// The list of a process's children may lack one while others end (proc(5)): as long as
/// some are to be killed, it is read again after this time even if no child ended.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A killed process that hangs in the kernel for longer than this is left behind.
const PATIENCE: Duration = Duration::from_mins(1);

/// How an attempt ended.
pub(super) struct End {
    pub outcome: Outcome,
    pub usage: Usage,
    /// Whether no process of it is left.
    pub is_all_gone: bool,
}

/// The shepherd's eyes and ears.
pub(super) struct Vigil {
    socket: UnixStream,
    /// A signalfd for SIGCHLD.
    children: OwnedFd,
    agent_is_gone: bool,
    /// What is to be done when the attempt that is watched has ended.
    waiting: VecDeque<Task>,
    /// What the agent is to hear once the next attempt has started, or there is none: a cpu is
    /// not to wait for words.
    unsaid: Vec<u8>,
    /// When it is to hear that at the latest, once the next attempt has started.
    speak_at: Option<Instant>,
}

/// The state of one attempt.
struct Attempt {
    pid: libc::pid_t,
    /// Set when the main process has ended.
    main: Option<(Outcome, Usage)>,
    /// Set when it is ended before its time.
    ending: Option<Ending>,
    /// Since when what is left is being killed.
    clearing: Option<Instant>,
}

struct Ending {
    cause: Cause,
    kill_at: Instant,
}

impl Vigil {
    pub(super) fn new(socket: UnixStream, children: OwnedFd) -> Self {
        let (waiting, unsaid) = (VecDeque::new(), Vec::new());
        Self { socket, children, agent_is_gone: false, waiting, unsaid, speak_at: None }
    }

    /// The next task, for which it waits; `None` when the agent is gone.
    pub(super) fn next_task(&mut self, inbox: &mut Inbox) -> io::Result<Option<Task>> {
        loop {
            if self.agent_is_gone {
                return Ok(None);
            }
            if let Some(task) =
                self.waiting.pop_front().map_or_else(|| inbox.take(), |it| Ok(Some(it)))?
            {
                return Ok(Some(task));
            }
            self.speak()?;
            if inbox.read_from(&self.socket)? == 0 {
                return Ok(None);
            }
        }
    }

    /// Has the agent hear this, at the latest with the next [`Self::speak`].
    pub(super) fn say(&mut self, said: &Said) -> io::Result<()> {
        let now = Instant::now();
        match said {
            Said::Ended { .. } => self.speak_at = self.speak_at.or(Some(now + SILENCE)),
            Said::Started(_) | Said::Withdrawn { .. } => self.speak_at = Some(now),
        }
        wire::append(&mut self.unsaid, said)
    }

    /// Tells the agent what there is to be told.
    pub(super) fn speak(&mut self) -> io::Result<()> {
        self.speak_at = None;
        let result = self.socket.write_all(&self.unsaid);
        self.unsaid.clear();
        result
    }

    /// The same, once it is time; until when it is not, if there is something.
    fn speak_in_time(&mut self, now: Instant) -> io::Result<Option<Instant>> {
        if self.speak_at.is_some_and(|at| at <= now) {
            self.speak()?;
        }
        Ok(self.speak_at)
    }

    /// Watches over the attempt whose main process is `pid`.
    pub(super) fn keep(
        &mut self,
        pid: libc::pid_t,
        assignment: &Assignment,
        group: Option<&ControlGroup>,
        inbox: &mut Inbox,
    ) -> End {
        let time_limit = assignment.time_limit.map(Duration::from_millis);
        let time_is_over = time_limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut attempt = Attempt { pid, main: None, ending: None, clearing: None };
        let is_all_gone = loop {
            // Orders may have come together with the one to run it.
            self.hear(&mut attempt, assignment, inbox);
            let now = Instant::now();
            let speak_at = self.speak_in_time(now).unwrap_or_else(|error| {
                eprintln!("redirector: a shepherd cannot tell its agent: {error}");
                self.agent_is_gone = true;
                attempt.end(Cause::AgentLeaves, Duration::ZERO);
                None
            });
            if attempt.reap() && attempt.main.is_some() {
                break true;
            }
            if attempt.ending.is_none() && time_is_over.is_some_and(|over| over <= now) {
                attempt.end(Cause::Time, Duration::from_millis(assignment.grace));
            }
            if attempt.is_to_be_killed(now) {
                if let Some(group) = group {
                    group.kill();
                }
                family::kill(pid);
                if now.duration_since(*attempt.clearing.get_or_insert(now)) > PATIENCE {
                    eprintln!(
                        "redirector: job {}: some of its processes hang in the kernel and cannot \
                         be killed; they are left behind",
                        assignment.attempt.job
                    );
                    break false;
                }
            }
            let wake = attempt.next_deadline(now, time_is_over).into_iter().chain(speak_at).min();
            if let Err(error) = self.wait(wake.map(|at| at.saturating_duration_since(now)), inbox) {
                eprintln!("redirector: a shepherd cannot hear its agent: {error}");
                self.agent_is_gone = true;
            }
        };
        let (outcome, usage) = attempt.outcome(assignment, group);
        End { outcome, usage, is_all_gone }
    }

    /// Waits for the end of a child, or something from the agent.
    fn wait(&mut self, limit: Option<Duration>, inbox: &mut Inbox) -> io::Result<()> {
        // Rounded up, lest the deadline be missed by less than a millisecond again and again.
        let limit = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let mut descriptors = [
            PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
        ];
        let heard = if self.agent_is_gone { 1 } else { 2 };
        match poll(&mut descriptors[..heard], limit) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [child_ended, agent_spoke] = descriptors.map(|one| one.any().unwrap_or(false));
        if child_ended {
            let mut record = [0u8; size_of::<libc::signalfd_siginfo>()];
            // Only to have the descriptor quiet again; whose end it was, reaping tells.
            let _siginfo = nix::unistd::read(&self.children, &mut record);
        }
        if agent_spoke && inbox.read_from(&self.socket)? == 0 {
            self.agent_is_gone = true;
        }
        Ok(())
    }

    fn hear(&mut self, attempt: &mut Attempt, assignment: &Assignment, inbox: &mut Inbox) {
        loop {
            match inbox.take() {
                Ok(Some(Task::End { attempt: which, cause, grace })) => {
                    if which == assignment.attempt {
                        attempt.end(cause, Duration::from_millis(grace));
                    }
                }
                Ok(Some(Task::Signal { attempt: which, signal, to_group })) => {
                    if which == assignment.attempt {
                        attempt.signal(signal, to_group);
                    }
                }
                Ok(Some(Task::Withdraw { attempt })) => self.withdraw(attempt),
                Ok(Some(later @ (Task::Environment(_) | Task::Run(_)))) => {
                    self.waiting.push_back(later);
                }
                Ok(None) => break,
                Ok(Some(Task::RunAttached { .. })) => {
                    eprintln!("redirector: a shepherd was given two attempts; it ends its job");
                    self.agent_is_gone = true;
                }
                Err(error) => {
                    eprintln!("redirector: a shepherd was told nonsense; it ends its job: {error}");
                    self.agent_is_gone = true;
                }
            }
        }
        if self.agent_is_gone {
            attempt.end(Cause::AgentLeaves, Duration::ZERO);
        }
    }

    fn withdraw(&mut self, attempt: AttemptId) {
        let before = self.waiting.len();
        self.waiting.retain(|task| !matches!(task, Task::Run(it) if it.attempt == attempt));
        if self.waiting.len() < before
            && let Err(error) = self.say(&Said::Withdrawn { attempt })
        {
            eprintln!("redirector: a shepherd cannot say what it has to: {error}");
            self.agent_is_gone = true;
        }
    }
}

impl Attempt {
    /// Takes note of all children that have ended; whether none is left.
    fn reap(&mut self) -> bool {
        loop {
            match family::reap() {
                Reaped::Child(pid, outcome, usage) if pid == self.pid && self.main.is_none() => {
                    self.main = Some((outcome, usage));
                }
                Reaped::Child(..) => {}
                Reaped::NoneYet => return false,
                Reaped::NoneLeft => return true,
            }
        }
    }

    /// Passes on a signal that somebody sent to the process that waits for it elsewhere.
    fn signal(&self, signal: libc::c_int, to_group: bool) {
        if self.main.is_some() {
            return;
        }
        // Its group has nobody in its session who could let it go on, so that the kernel lets
        // none of these stop it (signal(7), "orphaned process group").
        let signal = match signal {
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => libc::SIGSTOP,
            signal => signal,
        };
        if to_group {
            family::signal_group(self.pid, signal);
        } else {
            family::signal_child(self.pid, signal);
        }
    }

    /// Begins to end it, or makes its end come sooner.
    fn end(&mut self, cause: Cause, grace: Duration) {
        let kill_at = Instant::now() + grace;
        match &mut self.ending {
            Some(ending) => ending.kill_at = ending.kill_at.min(kill_at),
            // It has ended by itself, and what it left is being killed.
            None if self.main.is_some() => {}
            None => {
                if !grace.is_zero() {
                    family::signal_group(self.pid, libc::SIGTERM);
                    // A stopped process cannot end itself.
                    family::signal_group(self.pid, libc::SIGCONT);
                }
                self.ending = Some(Ending { cause, kill_at });
            }
        }
    }

    fn is_to_be_killed(&self, now: Instant) -> bool {
        match &self.ending {
            None => self.main.is_some(),
            // The rest of its group may still be about to end in good order.
            Some(ending) => {
                ending.kill_at <= now || (self.main.is_some() && !family::group_exists(self.pid))
            }
        }
    }

    fn next_deadline(&self, now: Instant, time_is_over: Option<Instant>) -> Option<Instant> {
        match (&self.clearing, &self.ending) {
            (Some(_), _) => Some(now + LOOK_AGAIN),
            (None, Some(ending)) => Some(ending.kill_at),
            (None, None) => time_is_over,
        }
    }

    fn outcome(self, assignment: &Assignment, group: Option<&ControlGroup>) -> (Outcome, Usage) {
        let (own, mut usage) = self.main.unwrap_or_else(|| {
            let reason = "its process hangs in the kernel and cannot be killed".to_owned();
            (Outcome::Lost { reason }, Usage::default())
        });
        let peak = group.and_then(ControlGroup::peak).unwrap_or_default();
        usage.max_rss = usage.max_rss.max(peak);
        let out_of_memory = |mem_used| Outcome::OutOfMemory { mem_limit: assignment.mem, mem_used };
        let cancelled = |reason: &str| Outcome::Cancelled { reason: reason.to_owned() };
        let outcome = match self.ending.map(|ending| ending.cause) {
            Some(Cause::Time) => {
                Outcome::TimedOut { time_limit: assignment.time_limit.unwrap_or_default() }
            }
            Some(Cause::Memory(used)) => out_of_memory(used),
            Some(Cause::Ordered) => cancelled("it was told to end"),
            Some(Cause::AgentLeaves) => cancelled("the agent that ran it was told to leave"),
            None if !own.is_success() && group.is_some_and(ControlGroup::ran_out_of_memory) => {
                out_of_memory(peak)
            }
            None => own,
        };
        (outcome, usage)
    }
}
