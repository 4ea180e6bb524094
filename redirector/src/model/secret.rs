//! Keeps passwords out of the journal: which environment values look secret.

use super::Text;

/// What stands in the journal for a value that looks secret.
pub const REDACTED: &[u8] = b"(not stored)";

/// Parts of variable names that announce a secret, in upper case.
const NAMES: [&[u8]; 12] = [
    b"SECRET",
    b"TOKEN",
    b"PASSWORD",
    b"PASSWD",
    b"PASSPHRASE",
    b"CREDENTIAL",
    b"API_KEY",
    b"APIKEY",
    b"ACCESS_KEY",
    b"PRIVATE_KEY",
    b"COOKIE",
    b"_AUTH",
];

/// Beginnings of values that are keys, whatever the variable is called.
const VALUES: [&[u8]; 6] = [b"-----BEGIN", b"ghp_", b"github_pat_", b"glpat-", b"AKIA", b"Bearer "];

/// `environment` with the values that look secret replaced by [`REDACTED`].
pub fn redact(environment: Vec<Text>) -> Vec<Text> {
    environment.into_iter().map(redact_entry).collect()
}

/// The name of the variable whose value was left out of this entry, if it was.
pub fn redacted_name(entry: &Text) -> Option<&[u8]> {
    let name = entry.as_bytes().strip_suffix(REDACTED)?;
    name.strip_suffix(b"=")
}

fn redact_entry(entry: Text) -> Text {
    let Some(equals) = entry.0.iter().position(|byte| *byte == b'=') else { return entry };
    let (name, value) = (&entry.0[..equals], &entry.0[equals + 1..]);
    let secret = NAMES.iter().any(|part| contains_ignoring_case(name, part))
        || VALUES.iter().any(|start| value.starts_with(start))
        || has_password_in_url(value);
    if !secret || value.is_empty() {
        return entry;
    }
    Text([name, b"=", REDACTED].concat())
}

fn contains_ignoring_case(name: &[u8], upper: &[u8]) -> bool {
    name.len() >= upper.len()
        && name.windows(upper.len()).any(|window| window.eq_ignore_ascii_case(upper))
}

/// `scheme://user:password@host`
fn has_password_in_url(value: &[u8]) -> bool {
    let Some(start) = value.windows(3).position(|window| window == b"://") else { return false };
    let authority = value[start + 3..].split(|byte| *byte == b'/').next().unwrap_or_default();
    let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else { return false };
    authority[..at].contains(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_secret_are_not_stored() {
        for (entry, stored) in [
            ("PATH=/usr/bin", "PATH=/usr/bin"),
            ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=(not stored)"),
            ("github_token=abc", "github_token=(not stored)"),
            ("MYVAR=ghp_abcdef", "MYVAR=(not stored)"),
            ("DB=postgres://me:pw@host/db", "DB=(not stored)"),
            ("URL=https://host/a@b:c", "URL=https://host/a@b:c"),
            ("DB_PASSWORD=", "DB_PASSWORD="),
            ("odd", "odd"),
        ] {
            assert_eq!(redact(vec![entry.into()]), vec![Text::from(stored)], "{entry}");
        }
    }
}
