//! Where this computer can be reached.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

use crate::place;

/// Names and addresses of this computer, those that only it can use itself at the end. Which of
/// them another computer can reach is not known here.
pub(super) fn own() -> Vec<String> {
    let interfaces = getifaddrs().into_iter().flatten().filter_map(|it| it.address);
    let addresses = interfaces.filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    let mut addresses: Vec<_> = addresses.filter(|address| !is_of_one_link(*address)).collect();
    addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
    addresses.dedup();
    let mut all: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    let first_loopback = addresses.iter().take_while(|address| !address.is_loopback()).count();
    let full_name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    all.insert(first_loopback, full_name.unwrap_or_else(place::host_name));
    all
}

/// Whether `address` means nothing without the name of an interface.
fn is_of_one_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_comes_last() {
        let own = own();
        let is_loopback = |text: &String| text.parse().is_ok_and(|it: IpAddr| it.is_loopback());
        let first = own.iter().position(is_loopback).expect("there is 127.0.0.1");
        assert!(first > 0, "the name comes before: {own:?}");
        assert!(own[first..].iter().all(is_loopback), "{own:?}");
    }
}
