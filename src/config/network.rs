//! Addresses and networks of fronts, as `[listen] trusted_proxies` names them.
//!
//! Never accepts a network that could be everybody: who is in it may say to be anybody.

use std::net::IpAddr;

use ipnet::IpNet;

use super::values::{Fault, Format, shown};

/// The shortest prefixes that are believed: the widest private networks there are, `10.0.0.0/8` and
/// `fc00::/7`.
const SHORTEST_PREFIX_V4: u8 = 8;
const SHORTEST_PREFIX_V6: u8 = 7;

/// One address, or a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Network(pub(super) IpNet);

impl Format for Network {
    const NAME: &'static str = "network";
    const ALLOWED: &'static str = "write addresses or networks of the fronts: \"192.0.2.7\", \
                                   \"10.0.0.0/8\", \"::1\", \"2001:db8::/64\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let network = read(text).ok_or_else(|| {
            let message = format!("{} is no address and no network", shown(text));
            Fault::new(message, Self::ALLOWED)
        })?;
        check(network).map(|()| Self(network))
    }
}

/// The standard library reads addresses, because `ipnet` takes leading zeros, which elsewhere are octal.
fn read(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return text.parse::<IpAddr>().ok().map(IpNet::from);
    };
    let is_plain = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse().ok().filter(|_| is_plain)?;
    IpNet::new(address.parse().ok()?, prefix).ok()
}

fn check(network: IpNet) -> Result<(), Fault> {
    let is_one = network.prefix_len() == network.max_prefix_len();
    if let Some(plain) = as_ipv4(network) {
        let plain = if is_one {
            plain.addr().to_string()
        } else {
            plain.to_string()
        };
        let message = format!("{} is IPv4 in its IPv6 form", shown_network(network));
        let remedy = match Network::parse(&plain) {
            Ok(_) => format!("write \"{plain}\""),
            Err(_) => {
                "write IPv4 networks, those of the fronts alone: \"192.0.2.7\", \"10.0.0.0/8\""
                    .to_owned()
            }
        };
        return Err(Fault::new(message, remedy));
    }
    let shortest = match network {
        IpNet::V4(_) => SHORTEST_PREFIX_V4,
        IpNet::V6(_) => SHORTEST_PREFIX_V6,
    };
    if network.prefix_len() == 0 || (is_one && network.addr().is_unspecified()) {
        let message = format!("{} is everybody", shown_network(network));
        let remedy = format!("nobody can trust everybody: {}", Network::ALLOWED);
        return Err(Fault::new(message, remedy));
    }
    if network.prefix_len() < shortest {
        let message = format!("{} is too wide to be trusted", shown_network(network));
        let remedy = format!("write a network of /{shortest} or longer, best the fronts alone");
        return Err(Fault::new(message, remedy));
    }
    if network.addr() != network.network() {
        let message = format!(
            "{network} names an address within the network {}",
            network.trunc()
        );
        let address = network.addr().to_canonical().to_string();
        let alone = Network::parse(&address).map(|_| address);
        let alone = alone.map(|address| format!(", or \"{address}\" for that address alone"));
        let remedy = format!("write \"{}\"{}", network.trunc(), alone.unwrap_or_default());
        return Err(Fault::new(message, remedy));
    }
    Ok(())
}

/// The IPv4 network that this one is in other words.
fn as_ipv4(network: IpNet) -> Option<IpNet> {
    let IpNet::V6(network) = network else {
        return None;
    };
    let address = network.addr().to_ipv4_mapped()?;
    let prefix = network.prefix_len().checked_sub(96)?;
    IpNet::new(address.into(), prefix)
        .ok()
        .map(|network| network.trunc())
}

fn shown_network(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_its_own() {
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("2001:DB8::/64", "2001:db8::/64"),
            ("fc00::/7", "fc00::/7"),
        ] {
            let parsed = Network::parse(text).map(|it| it.0.to_string());
            assert_eq!(parsed.as_deref(), Ok(network));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "*",
            "10.0.0.0/33",
            "::1/129",
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.0/-8",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.0-10.0.0.9",
            "10.0.0.1:443",
            "[::1]",
            "fe80::1%eth0",
            "front.example",
            " 10.0.0.1",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nobody_can_trust_everybody() {
        // S-317
        for text in [
            "0.0.0.0/0",
            "::/0",
            "1.2.3.4/0",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0/96",
            "::ffff:0.0.0.0",
            "0.0.0.0/1",
            "128.0.0.0/1",
            "192.0.0.0/7",
            "2000::/3",
        ] {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_fault_says_what_was_meant() {
        for (text, message, remedy) in [
            ("10.1.2.3/8", "the network 10.0.0.0/8", "\"10.0.0.0/8\""),
            ("10.1.2.3/8", "10.1.2.3/8", "\"10.1.2.3\" for that address"),
            ("2001:db8::1/64", "2001:db8::/64", "\"2001:db8::1\""),
            ("::ffff:192.0.2.7", "IPv6 form", "\"192.0.2.7\""),
            ("::ffff:10.0.0.0/104", "IPv6 form", "\"10.0.0.0/8\""),
            ("::ffff:0.0.0.0/96", "IPv6 form", "write IPv4 networks"),
            ("::ffff:128.0.0.0/97", "IPv6 form", "write IPv4 networks"),
            ("::ffff:0.0.0.0", "IPv6 form", "write IPv4 networks"),
            ("::ffff:192.0.2.7/90", "::ffc0:0:0/90", "\"192.0.2.7\""),
        ] {
            let fault = Network::parse(text).unwrap_err();
            assert!(fault.message.contains(message), "{fault:?}");
            assert!(fault.remedy.contains(remedy), "{fault:?}");
        }
    }
}
