//! Addresses as they are written: of an app towards people, and of the app itself.
//!
//! An address is accepted in one form only, so that what is compared has no second spelling. Nothing
//! here resolves a name. Source: RFC 3986 3, <https://www.rfc-editor.org/rfc/rfc3986#section-3>.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use http::uri::PathAndQuery;
use url::Host;

use super::{
    near::nearest,
    plain_path,
    route::{Authority, From, HostHeader, UpstreamAddress},
    values::{Fault, Format, shown},
};
use crate::reserved::is_own_path;

impl Format for From {
    const NAME: &'static str = "public-address";
    const ALLOWED: &'static str = "write the address people type: \"https://app.example.com\", with \
                                   a port or a path if need be: \"https://app.example.com:8443/app\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| Fault::new(format!("{} {why}", shown_url(text)), Self::ALLOWED);
        let rest = without_scheme(text, "https://")
            .ok_or_else(|| fault("does not begin with https://"))?;
        if rest.contains(['?', '#']) {
            return Err(fault("has a query or a fragment"));
        }
        let (authority, path) = rest
            .find('/')
            .map_or((rest, ""), |slash| rest.split_at(slash));
        let (host, port) =
            host_and_port(authority).map_err(|why| refused(text, &why, Self::ALLOWED))?;
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() {
            plain_path::check(path).map_err(|why| fault(&why.to_string()))?;
            if prefix.contains('*') {
                return Err(fault(
                    "has a wildcard; a prefix holds everything below it anyway",
                ));
            }
            if is_own_path(prefix) {
                return Err(fault("lies below /.vestibule/, which is vestibule's own"));
            }
        }
        Ok(Self {
            authority: Authority {
                host,
                port: port.unwrap_or(443),
            },
            prefix: prefix.to_owned(),
        })
    }
}

/// A path is as it was written; a relative one is resolved by whoever knows the base.
impl Format for UpstreamAddress {
    const NAME: &'static str = "upstream-address";
    const ALLOWED: &'static str = "write \"http://127.0.0.1:8080\", \"https://app.example.com\" or \
                                   \"unix:/run/app.sock\", nothing behind the host; or a list of \
                                   addresses of one kind";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| Fault::new(format!("{} {why}", shown_url(text)), Self::ALLOWED);
        let (rest, kind, usual_port): (_, fn(Authority) -> Self, _) =
            if let Some(rest) = without_scheme(text, "http://") {
                (rest, Self::Http, 80)
            } else if let Some(rest) = without_scheme(text, "https://") {
                (rest, Self::Https, 443)
            } else if let Some(path) = without_scheme(text, "unix:") {
                return socket(path).map_err(fault);
            } else {
                let message = fault("does not begin with http://, https:// or unix:").message;
                let meant = meant(text).map(|meant| format!("did you mean \"{meant}\"?"));
                let remedy = meant.unwrap_or_else(|| Self::ALLOWED.to_owned());
                return Err(Fault::new(message, remedy));
            };
        if rest.contains(['/', '?', '#']) {
            return Err(fault("has something behind the host"));
        }
        // In the one form that is compared: two spellings would be two apps.
        let (host, port) = host_and_port(rest).map_err(|why| refused(text, &why, Self::ALLOWED))?;
        Ok(kind(Authority {
            host,
            port: port.unwrap_or(usual_port),
        }))
    }
}

/// The socket that stands behind `unix:`.
fn socket(path: &str) -> Result<UpstreamAddress, &'static str> {
    if path.is_empty() || path.ends_with('/') {
        return Err("names no socket");
    }
    if path.starts_with("//") {
        return Err("has a host, or one slash too many: there is none behind unix:");
    }
    if path.starts_with('@') {
        return Err("names an abstract socket, which anybody on this machine could open");
    }
    if path.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    Ok(UpstreamAddress::Unix(PathBuf::from(path)))
}

/// The address that somebody most likely meant who wrote another scheme or none.
fn meant(text: &str) -> Option<String> {
    let meant = match text.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = match scheme.to_ascii_lowercase().as_str() {
                "ws" | "tcp" | "h2c" => "http",
                "wss" | "tls" | "ssl" | "h2" => "https",
                other => nearest(other, ["http", "https"].into_iter())?,
            };
            format!("{scheme}://{rest}")
        }
        None if text.starts_with('/') => format!("unix:{text}"),
        None => format!("http://{text}"),
    };
    // What would be refused as well is not worth saying, and may hold a password.
    UpstreamAddress::parse(&meant).is_ok().then_some(meant)
}

/// The name that an app's certificate is verified for: a host or an IP address, in the one form that
/// is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CertifiedName(pub(super) String);

impl Format for CertifiedName {
    const NAME: &'static str = "certified-name";
    const ALLOWED: &'static str =
        "write a name that stands in the app's certificate: \"app.example.com\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let name = host(text).map_err(|why| refused(text, &why, Self::ALLOWED))?;
        Ok(Self(name))
    }
}

/// A path with its query, as a request target has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RequestPath(pub(super) String);

impl Format for RequestPath {
    const NAME: &'static str = "request-path";
    const ALLOWED: &'static str = "write a path, perhaps with a query: \"/health\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if text.starts_with('/') && is_plain && text.parse::<PathAndQuery>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            let message = format!("{} is no path of an app", shown(text));
            Err(Fault::new(message, Self::ALLOWED))
        }
    }
}

impl Format for HostHeader {
    const NAME: &'static str = "host-header";
    const ALLOWED: &'static str =
        "write \"preserve\", \"upstream\", or the host the app wants to see";

    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "preserve" => Ok(Self::Preserve),
            "upstream" => Ok(Self::Upstream),
            _ => host_and_port(text)
                .map(|_| Self::Literal(text.to_owned()))
                .map_err(|why| refused(text, &why, Self::ALLOWED)),
        }
    }
}

/// The domain of an e-mail address, in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Domain(pub(super) String);

impl Format for Domain {
    const NAME: &'static str = "domain";
    const ALLOWED: &'static str = "write what stands behind the @: \"example.com\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        let why = match host(text) {
            Ok(host) if host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok() => {
                "is an IP address".to_owned()
            }
            Ok(host) if host.contains('.') => return Ok(Self(host)),
            Ok(_) => "is not a whole domain".to_owned(),
            Err(why) => why,
        };
        Err(Fault::new(format!("{} {why}", shown(text)), Self::ALLOWED))
    }
}

/// Whether a host, as written in an address, is this machine whatever the network says.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let lower = host.to_ascii_lowercase();
    let bare = lower.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn refused(text: &str, why: &str, allowed: &str) -> Fault {
    Fault::new(format!("{} {why}", shown_url(text)), allowed)
}

/// What a URL looks like in a finding: without what may be a password or a token.
pub(super) fn shown_url(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (head, tail) = text.split_at(end);
    let more = if tail.is_empty() { "" } else { "?..." };
    let start = head.find("://").map_or(0, |scheme| scheme + 3);
    match head.rfind('@').filter(|at| *at >= start) {
        Some(at) => shown(&format!("{}...{}{more}", &head[..start], &head[at..])),
        None => shown(&format!("{head}{more}")),
    }
}

fn without_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (begin, rest) = text.split_at_checked(scheme.len())?;
    begin.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The canonical host and the port of `host[:port]`.
pub(super) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    if authority.contains('@') {
        return Err("holds a user name".to_owned());
    }
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let colon = authority[end_of_host..]
        .find(':')
        .map(|colon| colon + end_of_host);
    let (name, port) = match colon {
        Some(colon) => (&authority[..colon], Some(&authority[colon + 1..])),
        None => (authority, None),
    };
    let port = port.map(self::port).transpose()?;
    Ok((host(name)?, port))
}

fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .ok()
        .filter(|port| *port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| "has a port outside 1 to 65535".to_owned())
}

/// A host in the one form that is compared: lower-case ASCII name, IPv4 address, or `[IPv6]`.
fn host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("names no host".to_owned());
    }
    if text.contains('*') {
        return Err("has a wildcard; there are none".to_owned());
    }
    if text.ends_with('.') {
        return Err("has a dot at the end of its host".to_owned());
    }
    if text.contains('%') {
        return Err("has a percent escape in its host".to_owned());
    }
    let parsed = Host::parse(text).map_err(|_| "names no valid host".to_owned())?;
    let canonical = parsed.to_string();
    if !text.is_ascii() {
        return Err(format!(
            "has a host outside ASCII; write it as {canonical:?}"
        ));
    }
    match parsed {
        Host::Domain(_) | Host::Ipv4(_) if canonical != text.to_ascii_lowercase() => Err(format!(
            "has a host with another spelling; write it as {canonical:?}"
        )),
        Host::Ipv4(_) | Host::Ipv6(_) => Ok(canonical),
        Host::Domain(_) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
            let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
            if canonical.len() <= 253 && canonical.split('.').all(label) {
                Ok(canonical)
            } else {
                Err("names no valid host".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<(String, u16, String), Fault> {
        From::parse(text).map(|from| (from.authority.host, from.authority.port, from.prefix))
    }

    #[test]
    fn a_public_address_has_one_form() {
        let address = |host: &str, port, prefix: &str| (host.to_owned(), port, prefix.to_owned());
        assert_eq!(
            from("https://Wiki.Example.com"),
            Ok(address("wiki.example.com", 443, ""))
        );
        assert_eq!(
            from("https://w.example/"),
            Ok(address("w.example", 443, ""))
        );
        assert_eq!(from("https://w:8443/App/"), Ok(address("w", 8443, "/App")));
        assert_eq!(from("HTTPS://[::1]:1/a/b"), Ok(address("[::1]", 1, "/a/b")));
    }

    #[test]
    fn a_public_address_that_could_be_read_twice_is_refused() {
        for text in [
            "",
            "https://",
            "wiki.example.com",
            "http://w",
            "https://w?x",
            "https://w#x",
            "https://u@w",
            "https://w.",
            "https://*.example.com",
            "https://w:0",
            "https://w:65536",
            "https://w:",
            "https://w:+1",
            "https://w/a//b",
            "https://w/a/../b",
            "https://w/./a",
            "https://w/a;b",
            "https://w/a\\b",
            "https://w/%2fa",
            "https://w/%2Ea",
            "https://w/%zz",
            "https://w/%",
            "https://w/%00",
            "https://w/\u{fc}",
            "https://w/a b",
            "https://w/*",
            "https://w/.vestibule",
            "https://w/.vestibule/login",
            "https://0x7f.1",
            "https://w//",
            "https://[::1",
            "https://a b",
            "https://w%2ex",
            "https://a..b",
            "https://b\u{fc}cher.example",
        ] {
            assert!(from(text).is_err(), "{text:?}: {:?}", from(text));
        }
        let fault = from("https://b\u{fc}cher.example").unwrap_err();
        assert!(fault.message.contains("xn--bcher-kva.example"), "{fault:?}");
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for text in ["https://ann:hunter2@w/", "https://w/x?secret=hunter2"] {
            let fault = from(text).unwrap_err();
            assert!(!fault.message.contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn an_upstream_is_one_address_in_one_form() {
        let to = |text| UpstreamAddress::parse(text).map(|to| to.to_string());
        for (text, written) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://App_1", "http://app_1:80"),
            ("HTTP://[::1]:80", "http://[::1]:80"),
            ("https://10.0.0.7", "https://10.0.0.7:443"),
            ("https://App.example:8443", "https://app.example:8443"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("unix:run/my app", "unix:run/my app"),
        ] {
            assert_eq!(to(text), Ok(written.to_owned()));
        }
        for text in [
            "vestibule:admin",
            "http://h/",
            "https://h/p",
            "http://h?q",
            "https://u:p@h",
            "http://h:0",
            "http://",
            "https://h#x",
            "unix:",
            "unix:/run/",
            "unix:///run/app.sock",
            "unix://run/app.sock",
            "unix:@app",
            "unix:/run/a\nb",
            "",
        ] {
            let fault = to(text).unwrap_err();
            assert!(fault.remedy.contains("unix:/run/app.sock"), "{fault:?}");
        }
    }

    #[test]
    fn an_address_of_another_scheme_or_none_names_the_one_that_was_meant() {
        for (text, meant) in [
            ("htps://app:8443", "https://app:8443"),
            ("htp://app", "http://app"),
            ("wss://app", "https://app"),
            ("ws://app:3000", "http://app:3000"),
            ("tcp://127.0.0.1:80", "http://127.0.0.1:80"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("app", "http://app"),
            ("/run/app.sock", "unix:/run/app.sock"),
        ] {
            let fault = UpstreamAddress::parse(text).unwrap_err();
            assert_eq!(fault.remedy, format!("did you mean \"{meant}\"?"));
        }
        // Nothing that would be refused as well is proposed, and no password repeated.
        for text in ["wss://ann:hunter2@app", "gopher://app", "app/x", "h:99999"] {
            let fault = UpstreamAddress::parse(text).unwrap_err();
            assert_eq!(fault.remedy, UpstreamAddress::ALLOWED, "{text}");
            assert!(!fault.message.contains("hunter2"), "{fault:?}");
        }
    }

    #[test]
    fn what_is_asked_of_an_app_is_a_path() {
        for text in ["/", "/health", "/health?deep=1", "/a/b%20c"] {
            assert_eq!(RequestPath::parse(text).unwrap().0, text);
        }
        for text in ["", "health", "http://h/", "/a b", "/a#b", "/\u{fc}", "*"] {
            assert!(RequestPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        for host in ["localhost", "A.LOCALHOST", "127.1.2.3", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "10.0.0.1",
            "localhost.example.com",
            "127.0.0.1.nip.io",
            "[::]",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
