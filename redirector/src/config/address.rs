//! Where other computers reach this one, as people write it.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// A name or address, and a TCP port if a certain one is to be used: `login2`, `login2:7007`,
/// `10.0.0.5:7007`, `fd00::5`, `[fd00::5]:7007`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The name or address.
    pub name: String,
    /// The port.
    pub port: Option<u16>,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self { name: text.to_owned(), port: None });
        }
        let wrong = || {
            format!(
                "'{text}' is no address: expected a name or an address and perhaps a port, such as \
                 login2, login2:7007 or [fd00::5]:7007"
            )
        };
        let (name, port) = match text.rsplit_once(':') {
            Some((name, _)) if name.starts_with('[') != name.ends_with(']') => (text, None),
            Some((name, port)) => match port.parse() {
                Ok(0) | Err(_) => return Err(wrong()),
                Ok(port) => (name, Some(port)),
            },
            None => (text, None),
        };
        let is_v6 = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
        let name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(inner) if is_v6(inner) => inner,
            _ => name,
        };
        let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !(name.chars().all(is_plain) || is_v6(name)) {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.name),
            Some(port) if self.name.contains(':') => write!(f, "[{}]:{port}", self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port() {
        for (text, name, port) in [
            ("login2", "login2", None),
            ("login2.example.org:7007", "login2.example.org", Some(7007)),
            ("10.0.0.5:7007", "10.0.0.5", Some(7007)),
            ("fd00::5", "fd00::5", None),
            ("[fd00::5]:7007", "fd00::5", Some(7007)),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((&*address.name, address.port), (name, port), "{text}");
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("[fd00::5]".parse::<Address>().unwrap().name, "fd00::5");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", ":7007", "login2:", "login2:0", "login2:99999", "a b", "a/b", "http://a", "[a]:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
