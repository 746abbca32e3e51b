//! Who a request comes from: the address at the other end of the connection, or the one that a front
//! names which is believed.
//!
//! Nobody is believed for where they are, only for being in `trusted_proxies` (S-023). Of such a
//! front `X-Forwarded-For` alone is read, from the right, which is the end that the nearest front
//! wrote; what cannot be read ends the reading there (S-027).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{config::listener::TrustedProxies, peer::Peer};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Most addresses that are taken over from a list; nobody has so many fronts in a row.
const MAX_ADDRESSES: usize = 32;

/// Who sent a request.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// For the log and for limits; an IPv4 address in its IPv6 form is what it is.
    pub(super) address: IpAddr,
    /// `X-Forwarded-For` as the app sees it.
    pub(super) forwarded_for: HeaderValue,
}

/// The other end of one connection.
#[derive(Debug)]
pub(super) struct Origin {
    peer: Client,
    /// Whether a front came and did not know for whom: it cannot be believed then.
    is_unnamed: bool,
}

impl Client {
    /// Somebody who speaks for nobody else.
    pub(super) fn of_peer(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            forwarded_for: list_of(&[address]),
        }
    }
}

impl Origin {
    pub(super) fn new(peer: &Peer) -> Self {
        Self {
            peer: Client::of_peer(peer.address.ip()),
            is_unnamed: peer.unnamed,
        }
    }

    /// Who sent a request with these fields. Allocates nothing unless a front is believed.
    pub(super) fn client(&self, headers: &HeaderMap, trusted: &TrustedProxies) -> Client {
        let may_be_believed = !self.is_unnamed && headers.contains_key(X_FORWARDED_FOR);
        // Asked with each request: whom the operator believes may change while a connection lasts.
        if !may_be_believed || !trusted.contains(self.peer.address) {
            return self.peer.clone();
        }
        let mut addresses = vec![self.peer.address];
        addresses.extend(named(headers).take(MAX_ADDRESSES));
        // The nearest first; if all are fronts, the farthest of them asked for itself.
        let client = addresses
            .iter()
            .find(|address| !trusted.contains(**address));
        let address = client.or(addresses.last()).copied();
        addresses.reverse();
        Client {
            address: address.unwrap_or(self.peer.address),
            forwarded_for: list_of(&addresses),
        }
    }
}

/// The addresses of all lines, the last one first, up to the first that is none.
fn named(headers: &HeaderMap) -> impl Iterator<Item = IpAddr> {
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    lines
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .map_while(|element| address_in(str::from_utf8(element.trim_ascii()).ok()?))
}

/// An address, perhaps in brackets, perhaps with a port. A zone means nothing beyond its own host, and
/// nobody sends from no address or from one of many.
fn address_in(text: &str) -> Option<IpAddr> {
    let bracketed = || -> Option<IpAddr> {
        let address = text.strip_prefix('[')?.strip_suffix(']')?;
        address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let with_port = || match text.parse::<SocketAddr>().ok()? {
        SocketAddr::V6(address) if address.scope_id() != 0 => None,
        address => Some(address.ip()),
    };
    let address = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    let address = address.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let is_absurd = address.is_unspecified() || address.is_multicast() || is_broadcast;
    (!is_absurd).then_some(address)
}

fn list_of(addresses: &[IpAddr]) -> HeaderValue {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    HeaderValue::try_from(texts.join(", "))
        .expect("addresses are written in digits, letters, dots and colons")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Transport;

    const PEER: &str = "10.0.0.9";

    fn peer(unnamed: bool) -> Peer {
        Peer {
            address: (PEER.parse::<IpAddr>().unwrap(), 1).into(),
            unnamed,
            server_name: None,
            transport: Transport::Http1,
        }
    }

    #[test]
    fn a_front_that_does_not_know_for_whom_it_speaks_is_not_believed() {
        // S-027
        let trusted = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"));
        for (unnamed, client) in [(false, "192.0.2.1"), (true, PEER)] {
            let origin = Origin::new(&peer(unnamed));
            let seen = origin.client(&headers, &trusted);
            assert_eq!(seen.address.to_string(), client);
        }
    }

    /// Client and list of a request from [`PEER`] with these lines.
    fn read(trusted: &[&str], lines: &[&str]) -> (String, String) {
        let networks = trusted.iter().map(|it| it.parse().unwrap());
        let trusted = TrustedProxies(networks.collect());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                X_FORWARDED_FOR,
                HeaderValue::from_bytes(line.as_bytes()).unwrap(),
            );
        }
        let client = Origin::new(&peer(false)).client(&headers, &trusted);
        let list = client.forwarded_for.to_str().unwrap().to_owned();
        (client.address.to_string(), list)
    }

    #[test]
    fn nobody_is_believed_for_where_they_are() {
        // S-023
        for trusted in [&[][..], &["10.0.0.8/32"], &["192.168.0.0/16"]] {
            let read = read(trusted, &["1.2.3.4"]);
            assert_eq!(read, (PEER.to_owned(), PEER.to_owned()));
        }
    }

    #[test]
    fn the_first_from_the_right_that_is_not_believed_is_the_client() {
        // S-027
        for (lines, client, list) in [
            (&[][..], PEER, "10.0.0.9"),
            (&["1.2.3.4"], "1.2.3.4", "1.2.3.4, 10.0.0.9"),
            (
                &["6.6.6.6, 1.2.3.4"],
                "1.2.3.4",
                "6.6.6.6, 1.2.3.4, 10.0.0.9",
            ),
            (
                &["6.6.6.6", "1.2.3.4"],
                "1.2.3.4",
                "6.6.6.6, 1.2.3.4, 10.0.0.9",
            ),
            (
                &["1.2.3.4,10.0.0.7"],
                "1.2.3.4",
                "1.2.3.4, 10.0.0.7, 10.0.0.9",
            ),
            (
                &["10.0.0.6, 10.0.0.7"],
                "10.0.0.6",
                "10.0.0.6, 10.0.0.7, 10.0.0.9",
            ),
            (&["garbage, 1.2.3.4"], "1.2.3.4", "1.2.3.4, 10.0.0.9"),
            (&["1.2.3.4, garbage"], PEER, "10.0.0.9"),
            (
                &["1.2.3.4, unknown, 10.0.0.7"],
                "10.0.0.7",
                "10.0.0.7, 10.0.0.9",
            ),
            (&["1.2.3.4", ""], PEER, "10.0.0.9"),
            (&["1.2.3.4, "], PEER, "10.0.0.9"),
        ] {
            let expected = (client.to_owned(), list.to_owned());
            assert_eq!(read(&["10.0.0.0/8"], lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_address_has_its_usual_spellings_and_no_others() {
        // S-027
        for (text, address) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:80", "1.2.3.4"),
            ("2001:DB8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("[::ffff:10.1.2.3]:1", "10.1.2.3"),
        ] {
            assert_eq!(address_in(text).unwrap().to_string(), address);
        }
        for odd in [
            "",
            "garbage",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.4:",
            "1.2.3.4:99999",
            "[1.2.3.4]",
            "[::1",
            "::1]",
            "fe80::1%eth0",
            "fe80::1%1",
            "[fe80::1%1]:80",
            "\"1.2.3.4\"",
            "1.2.3.4 5.6.7.8",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "1.2.3.4\u{e9}",
        ] {
            assert_eq!(address_in(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_list_without_end_is_cut_at_its_far_end() {
        // S-027
        let long = format!("{}, 5.6.7.8", vec!["1.2.3.4"; 500].join(", "));
        let (client, list) = read(&["10.0.0.0/8"], &[&long]);
        assert_eq!(client, "5.6.7.8");
        assert_eq!(list.split(", ").count(), MAX_ADDRESSES + 1);
        assert!(list.ends_with("1.2.3.4, 5.6.7.8, 10.0.0.9"), "{list}");
        // Fronts alone never lead to what was cut off.
        let fronts = vec!["10.0.0.1"; 500].join(", ");
        assert_eq!(read(&["10.0.0.0/8"], &["6.6.6.6", &fronts]).0, "10.0.0.1");
    }
}
