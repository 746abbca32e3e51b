//! Origins of pages, as they are written in a route file (RFC 6454 6.2).
//!
//! In the one form in which browsers send them, so that they can be compared byte for byte.

use super::{
    addresses::{host_and_port, shown_url},
    route::AllowedOrigin,
    values::{Fault, Format},
};

impl Format for AllowedOrigin {
    const NAME: &'static str = "origin";
    const ALLOWED: &'static str = "write the origin of the pages, a scheme, a host and perhaps a port: \
                                   \"https://other.example\"; or \"none\" for clients that send no \
                                   Origin at all";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "none" {
            return Ok(Self::None);
        }
        let fault = |why: &str| Fault::new(format!("{} {why}", shown_url(text)), Self::ALLOWED);
        if text == "null" {
            return Err(fault(
                "is what every page without an origin of its own sends",
            ));
        }
        let (scheme, authority) = text
            .split_once("://")
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| fault("is no origin"))?;
        if authority.contains(['/', '?', '#']) {
            return Err(fault("has something behind the host; no origin has"));
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = host_and_port(authority).map_err(|why| fault(&why))?;
        let port = port.filter(|port| Some(*port) != default_port(&scheme));
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        Ok(Self::Exact(format!("{scheme}://{host}{port}")))
    }
}

/// RFC 3986 3.1.
fn is_scheme(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(fits)
}

/// Browsers leave it out.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_in_the_form_that_browsers_send() {
        let exact = |text: &str| Ok(AllowedOrigin::Exact(text.to_owned()));
        for (written, meant) in [
            ("https://Other.Example", "https://other.example"),
            ("HTTPS://other.example:443", "https://other.example"),
            ("https://other.example:8443", "https://other.example:8443"),
            ("http://localhost:80", "http://localhost"),
            ("https://[::1]:1", "https://[::1]:1"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(AllowedOrigin::parse(written), exact(meant), "{written}");
        }
        assert_eq!(AllowedOrigin::parse("none"), Ok(AllowedOrigin::None));
    }

    #[test]
    fn what_no_browser_sends_as_an_origin_is_refused() {
        // S-240
        for text in [
            "",
            "*",
            "null",
            "None",
            "other.example",
            "https://",
            "https://*.example",
            "https://other.example/",
            "https://other.example/app",
            "https://other.example?x",
            "https://u:p@other.example",
            "https://other.example:0",
            "https://other.example.",
            "://other.example",
            "1x://other.example",
        ] {
            let fault = AllowedOrigin::parse(text).unwrap_err();
            assert!(!fault.message.contains("p@"), "{fault:?}");
        }
    }
}
