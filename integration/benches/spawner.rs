//! Runs `spawner.c` and reads what it measured.

use std::{
    ffi::OsString,
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// How a process is started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    /// `posix_spawn`, as make, Java and Rust do it.
    PosixSpawn,
    /// `vfork` and `execve`, as dash and Python do it.
    Vfork,
}

/// Where commands write to. For the gateway, a pipe may join one job to others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// As under `pipeline > log`.
    File,
    /// As under `pipeline | tee log`.
    Pipe,
}

/// One way of starting one command again and again.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    /// `spawner.c`, compiled.
    pub(crate) program: PathBuf,
    /// Working directory.
    pub(crate) directory: PathBuf,
    /// The whole environment.
    pub(crate) environment: Vec<(String, OsString)>,
    /// How.
    pub(crate) start: Start,
    /// Where its standard output goes.
    pub(crate) output: Output,
    /// From how many processes at once.
    pub(crate) workers: usize,
    /// Calls of each worker that come first and are not measured.
    pub(crate) warm_ups: usize,
    /// What the command must exit with.
    pub(crate) expected_status: i32,
    /// The command; its program by path.
    pub(crate) command: Vec<OsString>,
}

/// What one run of the spawner measured.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// From the first start to the last end, in seconds.
    pub(crate) wall: f64,
    /// Of spawner and commands, in seconds; not of gateways and other servers.
    pub(crate) cpu: f64,
    /// Of each call, in seconds, ascending.
    pub(crate) latencies: Vec<f64>,
}

impl Sample {
    /// Of calls that were made one after the other, in seconds.
    pub(crate) fn of(latencies: impl Iterator<Item = f64>) -> Self {
        let mut latencies: Vec<f64> = latencies.collect();
        latencies.sort_by(f64::total_cmp);
        Self { wall: latencies.iter().sum(), cpu: 0.0, latencies }
    }
}

impl Spawner {
    /// With a preload library.
    pub(crate) fn preloading(self, library: &Path) -> Self {
        self.with([("LD_PRELOAD", library)])
    }

    /// With more environment.
    pub(crate) fn with<Value: Into<OsString>>(
        mut self,
        environment: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let entries = environment.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        self.environment.extend(entries);
        self
    }

    /// Measures the first call, too: of what takes minutes.
    pub(crate) fn without_warm_up(mut self) -> Self {
        self.warm_ups = 0;
        self
    }

    /// Each worker calls the command so many times.
    ///
    /// # Panics
    ///
    /// When the command fails or the spawner cannot run: then there is nothing to measure.
    pub(crate) fn run(&self, calls: usize) -> Sample {
        let start = match self.start {
            Start::PosixSpawn => "posix_spawn",
            Start::Vfork => "vfork",
        };
        let counts = [self.workers, self.warm_ups, calls];
        let mut command = Command::new(&self.program);
        command
            .arg(start)
            .args(counts.map(|count| count.to_string()))
            .arg(self.expected_status.to_string())
            .args(&self.command)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        let text = self.output_of(&mut command);
        let seconds: Vec<f64> = text
            .lines()
            .map(|line| line.parse::<f64>().expect("the spawner prints numbers") / 1e9)
            .collect();
        let [wall, cpu, ref latencies @ ..] = seconds[..] else {
            panic!("the spawner printed too little: {text}");
        };
        let mut latencies = latencies.to_vec();
        latencies.sort_by(f64::total_cmp);
        assert_eq!(latencies.len(), self.workers * calls, "a call was not measured");
        Sample { wall, cpu, latencies }
    }

    /// Standard output of `command`, which must succeed.
    fn output_of(&self, command: &mut Command) -> String {
        let file = || tempfile::tempfile_in(&self.directory).expect("a directory of ours");
        let (mut numbers, mut complaints) = (file(), file());
        let handle = |file: &File| Stdio::from(file.try_clone().expect("descriptors are left"));
        command.stderr(handle(&complaints));
        command.stdout(match self.output {
            Output::File => handle(&numbers),
            Output::Pipe => Stdio::piped(),
        });
        let output = command.spawn().and_then(std::process::Child::wait_with_output);
        let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        assert!(
            output.status.success(),
            "{command:?} ended with {}: {}",
            output.status,
            content(&mut complaints)
        );
        match self.output {
            Output::File => content(&mut numbers),
            Output::Pipe => String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }
}

/// All that was written to `file`.
fn content(file: &mut File) -> String {
    let mut text = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut text)).expect("files can be read");
    String::from_utf8_lossy(&text).into_owned()
}
