//! What a request is aimed at: host, port and path, from the request line and `Host` alone.
//!
//! No header but `Host` takes part, whatever it claims (S-024, S-026, S-029). Two answers to the same
//! question are a refusal, never a choice (RFC 9112 3.2).

use std::{borrow::Cow, net::Ipv6Addr};

use http::{
    HeaderMap, Method, Uri, Version,
    header::{EXPECT, HOST, TRANSFER_ENCODING},
    uri::Authority as UriAuthority,
};

use super::error::Refusal;
use crate::config::plain_path::is_unreadable;

/// Host and port a request names.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Named<'a> {
    /// In lower case.
    pub(super) host: Cow<'a, str>,
    /// As written, or that of HTTPS.
    pub(super) port: u16,
}

const HTTPS_PORT: u16 = 443;

/// Reads host and port of a request.
///
/// # Errors
/// Returns a [`Refusal`] if there is no host, more than one, or one that is malformed.
pub(super) fn named_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Named<'a>, Refusal> {
    let mut lines = headers.get_all(HOST).iter();
    let host = match (lines.next(), lines.next()) {
        (_, Some(_)) => return Err(Refusal::Host),
        (Some(line), None) => Some(line.to_str().map_err(|_| Refusal::Host)?),
        (None, None) => None,
    };
    let target = uri.authority().map(UriAuthority::as_str);
    match (target, host) {
        (None, None) => Err(Refusal::Host),
        (Some(one), None) | (None, Some(one)) => parse(one),
        (Some(target), Some(host)) => {
            let (target, host) = (parse(target)?, parse(host)?);
            if target == host {
                Ok(target)
            } else {
                Err(Refusal::Host)
            }
        }
    }
}

fn parse(text: &str) -> Result<Named<'_>, Refusal> {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let port = match port {
        None => HTTPS_PORT,
        // One spelling for each port: no sign, no leading zero, not empty.
        Some(digits) if digits.starts_with(|c: char| matches!(c, '1'..='9')) => {
            digits.parse().map_err(|_| Refusal::Host)?
        }
        Some(_) => return Err(Refusal::Host),
    };
    if !is_host(host) {
        return Err(Refusal::Host);
    }
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    Ok(Named { host, port })
}

/// A name of letters, digits, `-`, `_` and `.`, or an IPv6 address in brackets; no trailing dot.
fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.strip_suffix(']').map(str::parse::<Ipv6Addr>);
        return address.is_some_and(|address| address.is_ok());
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    host.len() <= 253
        && host
            .split('.')
            .all(|label| !label.is_empty() && label.bytes().all(known))
}

/// The longest path with query, in bytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// Checks that a method is one that may be forwarded, whatever the host.
///
/// # Errors
/// Returns [`Refusal::Method`] for CONNECT, TRACE and TRACK.
pub(super) fn check_method(method: &Method) -> Result<(), Refusal> {
    match method.as_str() {
        "CONNECT" | "TRACE" | "TRACK" => Err(Refusal::Method),
        _ => Ok(()),
    }
}

/// Checks target and framing; the path is judged later, by the rules of its route.
///
/// # Errors
/// Returns a [`Refusal`] for targets nobody can read, and for expectations and transfer codings that
/// we do not know.
pub(super) fn check(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    check_target(method, uri)?;
    // HTTP/2 comes over TLS alone here, and `:scheme` has to say so (RFC 9113 8.3.1).
    if version == Version::HTTP_2 && uri.scheme_str().is_some_and(|it| it != "https") {
        return Err(Refusal::Target);
    }
    let mut expectations = headers.get_all(EXPECT).iter();
    if expectations.any(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None)
            if version == Version::HTTP_11
                && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(())
        }
        _ => Err(Refusal::Framing),
    }
}

fn check_target(method: &Method, uri: &Uri) -> Result<(), Refusal> {
    let target = uri.path_and_query().map_or(0, |it| it.as_str().len());
    if target > MAX_TARGET_BYTES {
        return Err(Refusal::TargetLength);
    }
    if let Some(scheme) = uri.scheme_str()
        && !scheme.eq_ignore_ascii_case("http")
        && !scheme.eq_ignore_ascii_case("https")
    {
        return Err(Refusal::Target);
    }
    let path = uri.path();
    let readable = path.starts_with('/') || (path == "*" && *method == Method::OPTIONS);
    let query = uri.query().unwrap_or_default();
    let odd_query = query.bytes().any(|byte| !(0x21..=0x7e).contains(&byte));
    if !readable || is_unreadable(path) || odd_query {
        return Err(Refusal::Target);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn named(uri: &str, hosts: &[&str]) -> Result<(String, u16), Refusal> {
        let uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        named_host(&uri, &headers).map(|named| (named.host.into_owned(), named.port))
    }

    #[test]
    fn host_and_port_have_one_spelling() {
        // S-045, S-217
        for (host, expected) in [
            ("app.test", ("app.test", 443)),
            ("APP.test", ("app.test", 443)),
            ("app.test:443", ("app.test", 443)),
            ("app.test:8443", ("app.test", 8443)),
            ("[::1]", ("[::1]", 443)),
            ("[::1]:8443", ("[::1]", 8443)),
            ("127.0.0.1:1", ("127.0.0.1", 1)),
        ] {
            assert_eq!(
                named("/", &[host]),
                Ok((expected.0.to_owned(), expected.1)),
                "{host}"
            );
        }
        for odd in [
            "",
            ".",
            "app.test.",
            "app..test",
            "app.test:",
            "app.test:0443",
            "app.test:0",
            "app.test:65536",
            "app.test:99999",
            "app.test:+1",
            "app.test:80:80",
            "u@app.test",
            "app.test/x",
            "app test",
            "a,b",
            "[::1",
            "::1",
            "[]",
            "[1.2.3.4]",
            "\u{e4}.test",
            "app.test:4x",
            "app%2etest",
            ":443",
            "[::1]443",
        ] {
            assert_eq!(named("/", &[odd]), Err(Refusal::Host), "{odd}");
        }
    }

    #[test]
    fn two_answers_to_the_same_question_are_refused() {
        // S-217, S-218, S-219
        assert_eq!(named("/", &[]), Err(Refusal::Host));
        assert_eq!(named("/", &["app.test", "app.test"]), Err(Refusal::Host));
        assert_eq!(
            named("http://other.test/", &["app.test"]),
            Err(Refusal::Host)
        );
        assert!(named("https://APP.test:443/", &["app.test"]).is_ok());
        assert!(named("https://app.test/", &[]).is_ok());
        assert_eq!(
            named("http://u@app.test/", &["app.test"]),
            Err(Refusal::Host)
        );
    }

    #[test]
    fn methods_and_targets_that_are_never_forwarded() {
        let ok = |method: &str, uri: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            check(
                &method,
                &uri.parse().unwrap(),
                Version::HTTP_11,
                &HeaderMap::new(),
            )
            .is_ok()
        };
        for method in ["TRACE", "TRACK", "CONNECT"] {
            assert!(check_method(&Method::from_bytes(method.as_bytes()).unwrap()).is_err());
        }
        assert!(check_method(&Method::from_bytes(b"PROPFIND").unwrap()).is_ok());
        assert!(ok("OPTIONS", "*") && !ok("GET", "*"));
        assert!(!ok("GET", "ftp://app.test/") && !ok("GET", "/%zz") && !ok("GET", "/?\u{e4}"));
        assert!(ok("GET", "/a//b;c?d=%zz") && ok("PROPFIND", "/"));
    }

    #[test]
    fn an_expectation_or_a_coding_that_we_do_not_know_is_refused() {
        // S-091, S-212
        let verdict = |version, fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            check(&Method::POST, &Uri::from_static("/"), version, &headers)
        };
        let h11 = Version::HTTP_11;
        assert_eq!(verdict(h11, &[("expect", "100-Continue")]), Ok(()));
        for odd in ["y 100-continue", "100-continue, x", "", "200-ok"] {
            assert_eq!(
                verdict(h11, &[("expect", odd)]),
                Err(Refusal::Expectation),
                "{odd}"
            );
        }
        assert_eq!(verdict(h11, &[("transfer-encoding", "Chunked")]), Ok(()));
        for odd in [
            "gzip, chunked",
            "identity",
            "chunked, chunked",
            "xchunked",
            "",
        ] {
            assert_eq!(
                verdict(h11, &[("transfer-encoding", odd)]),
                Err(Refusal::Framing),
                "{odd}"
            );
        }
        let twice = [
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        assert_eq!(verdict(h11, &twice), Err(Refusal::Framing));
        assert_eq!(
            verdict(Version::HTTP_10, &twice[..1]),
            Err(Refusal::Framing)
        );
    }

    #[test]
    fn a_target_has_a_longest_length() {
        let uri: Uri = format!("/{}", "a".repeat(MAX_TARGET_BYTES))
            .parse()
            .unwrap();
        let verdict = check(&Method::GET, &uri, Version::HTTP_11, &HeaderMap::new());
        assert_eq!(verdict, Err(Refusal::TargetLength));
    }
}
