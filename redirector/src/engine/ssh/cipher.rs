//! Which cipher ssh is to prefer, where nobody has said anything about ciphers.
//!
//! OpenSSH's first choice takes twice the time of AES in Galois/Counter Mode on a processor that has
//! instructions for it, and most of what streams cost is ssh's (docs/decisions/streams.md). Both
//! are among those that it offers by itself, and a host that lacks one is talked to with another.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::config::Ssh;

/// What is put before all others.
const QUICK: &str = "^aes128-gcm@openssh.com";

/// How long ssh may think about what it has been told. Without an answer, nothing is changed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The value for ssh's option `Ciphers` for the connection to `destination`; `None` where its
/// configuration or the command says something already.
pub(super) async fn preferred(ssh: &Ssh, destination: &str) -> Option<&'static str> {
    if !has_instructions() {
        return None;
    }
    let (program, _) = ssh.command.split_first()?;
    let untold = [program.clone(), "-F".to_owned(), "/dev/null".to_owned()];
    let (told, untold) =
        tokio::join!(ciphers(&ssh.command, destination), ciphers(&untold, destination));
    (told? == untold?).then_some(QUICK)
}

/// The ciphers that ssh would offer, as it lists them.
async fn ciphers(command: &[String], destination: &str) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let mut asked = Command::new(program);
    crate::huge_pages::keep_from(asked.as_std_mut());
    asked.args(arguments).args(["-T", "-G", "--", destination]);
    asked.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, asked.output()).await.ok()?.ok()?;
    ciphers_in(&String::from_utf8_lossy(&output.stdout))
}

fn ciphers_in(settings: &str) -> Option<String> {
    settings.lines().find_map(|line| line.strip_prefix("ciphers ")).map(str::to_owned)
}

#[cfg(target_arch = "x86_64")]
fn has_instructions() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn has_instructions() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ciphers_are_found_among_all_settings() {
        let settings = "host h1\nciphers a,b\ncasignaturealgorithms c\n";
        assert_eq!(ciphers_in(settings), Some("a,b".to_owned()));
        assert_eq!(ciphers_in("host h1\nmyciphers a\n"), None);
    }

    /// Whatever the person's own configuration says goes over it.
    #[tokio::test]
    async fn nobody_who_has_said_something_is_overruled() {
        let preferred = async |command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            preferred(&Ssh { command, ..Ssh::default() }, "nowhere.invalid").await
        };
        assert_eq!(preferred(&["ssh", "-F", "/dev/null", "-c", "aes256-ctr"]).await, None);
        assert_eq!(preferred(&["ssh", "-F", "/dev/null", "-o", "Ciphers=aes256-ctr"]).await, None);
        assert_eq!(preferred(&["false"]).await, None);
        assert_eq!(preferred(&["/no/such/program"]).await, None);
        if has_instructions() && Command::new("ssh").arg("-V").output().await.is_ok() {
            assert_eq!(preferred(&["ssh", "-F", "/dev/null"]).await, Some(QUICK));
        }
    }
}
