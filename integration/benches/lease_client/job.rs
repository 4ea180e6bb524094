//! The job that both ways of speaking submit, and what they wait for.

use std::{env, ffi::c_int, io, process::Command, time::SystemTime};

use redirector::{
    client::submission::DEFAULT_RESOURCES,
    model::{Outcome, Spec, Text, Usage},
    protocol::{ClientMessage, Finished, GatewayMessage, Submission},
};

/// The submission of `program` as a job on its own.
pub(crate) fn submission(program: &str) -> ClientMessage {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let environment =
        env::vars().map(|(name, value)| Text::from(format!("{name}={value}").as_str()));
    ClientMessage::Submit(Box::new(Submission {
        key: format!("{}-{}", std::process::id(), since_epoch.as_nanos()),
        spec: Spec {
            name: program.to_owned(),
            argv: vec![program.into()],
            program: program.into(),
            directory: env::current_dir().map(Text::from).unwrap_or_default(),
            resources: DEFAULT_RESOURCES,
            ..Spec::default()
        },
        environment: environment.collect(),
        ..Submission::default()
    }))
}

/// The report that the job exited with `status`.
pub(crate) fn report(status: c_int) -> ClientMessage {
    let outcome = Outcome::Exited { exit_code: status };
    ClientMessage::Finished(Finished { outcome, usage: Usage::default(), attempt: 1 })
}

/// Runs `program` and returns its exit status.
pub(crate) fn run(program: &str) -> io::Result<c_int> {
    let status = Command::new(program).status()?;
    status.code().ok_or_else(|| io::Error::other(format!("{program} ended with {status}")))
}

/// What the gateway may say.
pub(crate) struct Answers;

impl Answers {
    /// Whether `message` lets the job run.
    pub(crate) fn is_grant(message: &GatewayMessage) -> io::Result<bool> {
        Self::is(message, |message| matches!(message, GatewayMessage::Granted { .. }))
    }

    /// Whether `message` says that the outcome is journalled.
    pub(crate) fn is_receipt(message: &GatewayMessage) -> io::Result<bool> {
        Self::is(message, |message| matches!(message, GatewayMessage::Recorded))
    }

    fn is(message: &GatewayMessage, wanted: fn(&GatewayMessage) -> bool) -> io::Result<bool> {
        match message {
            GatewayMessage::Refused { reason } => Err(io::Error::other(reason.clone())),
            _ => Ok(wanted(message)),
        }
    }
}
