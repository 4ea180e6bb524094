//! The command line of ssh.

use super::{cipher, problem::Problem};
use crate::config::Ssh;

/// What ssh is told beside the address. It takes the first of two values, so that what
/// `ssh.command` and no configuration file says goes over these.
const OPTIONS: [&str; 11] = [
    // Never ask: nobody is there.
    "BatchMode=yes",
    "ConnectTimeout=10",
    // A second guard beside the keep-alive of the link: it lets ssh say what was wrong.
    "ServerAliveInterval=5",
    "ServerAliveCountMax=6",
    // A connection that others share must not end with this one.
    "ControlMaster=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    // No banners, but whatever is wrong.
    "LogLevel=ERROR",
];

/// The program and its arguments that run `command` at `address`, which is
/// `[user@]name[:port]`.
pub(super) async fn of(ssh: &Ssh, address: &str, command: String) -> Result<Vec<String>, Problem> {
    let (destination, port) = split(address);
    if destination.is_empty() || destination.starts_with('-') {
        return Err(Problem::Address);
    }
    let mut words = ssh.command.clone();
    words.push("-T".to_owned());
    words.extend(OPTIONS.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
    if let Some(ciphers) = cipher::preferred(ssh, &destination).await {
        words.extend(["-o".to_owned(), format!("Ciphers={ciphers}")]);
    }
    words.extend(port.into_iter().flat_map(|port| ["-p".to_owned(), port.to_owned()]));
    words.extend(["--".to_owned(), destination, command]);
    Ok(words)
}

/// Destination and port. More than one colon means an IPv6 address, which has a port only if
/// it is in brackets.
fn split(address: &str) -> (String, Option<&str>) {
    let without_brackets = |text: &str| text.replace(['[', ']'], "");
    match address.rsplit_once(':') {
        Some((rest, port))
            if !port.is_empty()
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && (rest.ends_with(']') || !rest.contains(':')) =>
        {
            (without_brackets(rest), Some(port))
        }
        _ => (without_brackets(address), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port_or_not() {
        assert_eq!(split("me@node7"), ("me@node7".to_owned(), None));
        assert_eq!(split("me@node7:2222"), ("me@node7".to_owned(), Some("2222")));
        assert_eq!(split("fe80::17"), ("fe80::17".to_owned(), None));
        assert_eq!(split("me@[fe80::17]:22"), ("me@fe80::17".to_owned(), Some("22")));
        assert_eq!(split("[fe80::17]"), ("fe80::17".to_owned(), None));
    }

    #[tokio::test]
    async fn an_address_is_never_taken_for_an_option() {
        for address in ["-oProxyCommand=evil", "", ":22"] {
            let words = of(&Ssh::default(), address, "true".to_owned()).await;
            assert!(matches!(words, Err(Problem::Address)), "{address}");
        }
        let words = of(&Ssh::default(), "me@node7:2222", "a b".to_owned()).await.unwrap();
        assert_eq!(words[words.len() - 5..], ["-p", "2222", "--", "me@node7", "a b"]);
    }
}
