//! A terminal with a person's hands on it.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command},
    time::Instant,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, openpty},
};

use crate::finish::DEADLINE;

/// The screen and keyboard of a pseudo-terminal in which a command runs as session leader.
pub struct Terminal {
    controller: File,
    shown: String,
}

impl Terminal {
    /// Starts `command` as the leader of a new session whose controlling terminal this is.
    ///
    /// # Panics
    ///
    /// When there is no terminal to be had or the command cannot be started.
    pub fn start(command: &mut Command) -> (Self, Child) {
        Self::open(command, None)
    }

    /// As [`Terminal::start`], with a window of this size from the beginning.
    ///
    /// # Panics
    ///
    /// As [`Terminal::start`].
    pub fn start_sized(command: &mut Command, rows: u16, columns: u16) -> (Self, Child) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Self::open(command, Some(&size))
    }

    fn open(command: &mut Command, size: Option<&Winsize>) -> (Self, Child) {
        let pair = openpty(size, None).expect("the system has pseudo-terminals");
        let duplicate = || pair.slave.try_clone().expect("descriptors are left");
        command.stdin(duplicate()).stdout(duplicate()).stderr(duplicate());
        // SAFETY: only setsid and ioctl run between fork and exec; both are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                Errno::result(libc::setsid())?;
                Errno::result(libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0))?;
                Ok(())
            });
        }
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // The command holds the terminal's other end; dropped here, so that reading ends with it.
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        (Self { controller: File::from(pair.master), shown: String::new() }, child)
    }

    /// Presses keys; `\x03` is Ctrl-C, `\x1a` Ctrl-Z, `\x1c` Ctrl-\.
    ///
    /// # Panics
    ///
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.controller.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Drags the window to another size.
    ///
    /// # Panics
    ///
    /// When the terminal is gone.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads one winsize, and `size` outlives the call.
        let done =
            unsafe { libc::ioctl(self.controller.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        Errno::result(done).expect("the terminal has a size");
    }

    /// Waits until `text` is shown and returns everything up to its end; that is then forgotten.
    ///
    /// # Panics
    ///
    /// When it was not shown in time, or everything that could show it has ended.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(start) = self.shown.find(text) {
                let rest = self.shown.split_off(start + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            assert!(
                self.read_more(deadline),
                "'{text}' was not shown; on the screen: {}",
                self.shown
            );
        }
    }

    /// Everything that is shown until the last process leaves the terminal.
    ///
    /// # Panics
    ///
    /// When processes are still there after the deadline.
    #[track_caller]
    pub fn wait_for_end(mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        while self.read_more(deadline) {}
        self.shown
    }

    /// False when nobody is left who could show something.
    #[track_caller]
    fn read_more(&mut self, deadline: Instant) -> bool {
        let patience = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut watched = [PollFd::new(self.controller.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut watched, timeout).expect("polling a descriptor that we own");
        assert!(ready > 0, "nothing more within {DEADLINE:?}; on the screen: {}", self.shown);
        let mut buffer = [0; 4096];
        // EIO is how Linux says that the other end was closed by everyone.
        let count = self.controller.read(&mut buffer).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
        count > 0
    }
}
