//! `redirector log`

use std::{env, path::PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use super::{Outcome, SUCCESS, block_on, persistently};
use crate::{
    agent::LOG_SOCKET_VARIABLE,
    client::api::Client,
    place::StateDirectory,
    protocol::{Level, LogEntry},
};

/// Log a record from inside a job
///
/// It is kept beside the job's output and shown by 'redirector logs --lines'. It works the same
/// wherever the job runs; on a host, this program is `$REDIRECTOR_BIN`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How serious it is
    #[arg(long, default_value = "info", value_parser = parse_level)]
    level: Level,
    /// A fact beside the message, again for each; JSON, else text
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = parse_field)]
    fields: Vec<(String, Value)>,
    /// What is said
    #[arg(required = true)]
    message: Vec<String>,
}

fn parse_level(text: &str) -> Result<Level, String> {
    let words = || Level::ALL.map(Level::word).join(", ");
    Level::ALL
        .into_iter()
        .find(|level| level.word() == text)
        .ok_or_else(|| format!("a level is one of {}", words()))
}

fn parse_field(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("a field is KEY=VALUE")?;
    if key.is_empty() {
        return Err("a field needs a name: KEY=VALUE".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

pub(super) fn main(arguments: Arguments) -> Outcome {
    let Arguments { level, fields, message } = arguments;
    let token = env::var("REDIRECTOR_TOKEN").unwrap_or_default();
    if token.is_empty() {
        bail!("this is no job: $REDIRECTOR_TOKEN is not set, 'redirector log' is for use in jobs");
    }
    let fields = fields.into_iter().collect();
    let entry = LogEntry { level, message: message.join(" "), fields };
    let socket = env::var_os(LOG_SOCKET_VARIABLE).filter(|socket| !socket.is_empty());
    if let Some(socket) = socket {
        let client = Client::at(PathBuf::from(socket))?;
        block_on(client.log(&token, &entry))?
            .context("the agent of this host did not take the record")?;
    } else {
        let state = StateDirectory::locate()?;
        let connect = || Client::reading(&state);
        block_on(persistently(connect, async |client| client.log(&token, &entry).await))??;
    }
    Ok(SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_json_where_they_can_be() {
        for (text, value) in
            [("n=3", Value::from(3)), ("s=a b", Value::from("a b")), ("e=", Value::from(""))]
        {
            assert_eq!(parse_field(text).unwrap().1, value, "{text}");
        }
        assert!(parse_field("nothing").is_err() && parse_field("=x").is_err());
    }

    #[test]
    fn levels_are_words() {
        assert_eq!(parse_level("warn"), Ok(Level::Warn));
        assert!(parse_level("loud").unwrap_err().contains("error, warn, info"));
    }
}
