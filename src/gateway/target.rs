//! What a request is aimed at: host, port and path, from the request line and `Host` alone.
//!
//! No header but `Host` takes part, whatever it claims (S-024, S-026, S-029). Two answers to the same
//! question are a refusal, never a choice (RFC 9112 3.2).

use std::{borrow::Cow, net::Ipv6Addr};

use http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::Authority as UriAuthority,
};
use memchr::memrchr;

use super::error::Refusal;
use crate::{
    config::{plain_path::is_unreadable, route::Authority},
    head_guard::is_plain_length,
};

/// Host and port a request names.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Named<'a> {
    /// In lower case.
    pub(super) host: Cow<'a, str>,
    /// As written, or that of HTTPS.
    pub(super) port: u16,
}

const HTTPS_PORT: u16 = 443;

/// Host and port that routes are looked up by for a request; `None` if it would be refused.
#[must_use]
pub fn authority_of(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let named = named_host(uri, headers).ok()?;
    Some(Authority {
        host: named.host.into_owned(),
        port: named.port,
    })
}

/// Reads host and port of a request.
///
/// # Errors
/// Returns a [`Refusal`] if there is no host, more than one, or one that is malformed.
pub(super) fn named_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Named<'a>, Refusal> {
    let mut lines = headers.get_all(HOST).iter();
    let host = match (lines.next(), lines.next()) {
        (_, Some(_)) => return Err(Refusal::HostTwice),
        (Some(line), None) => Some(line.to_str().map_err(|_| Refusal::HostMalformed)?),
        (None, None) => None,
    };
    let target = uri.authority().map(UriAuthority::as_str);
    match (target, host) {
        (None, None) => Err(Refusal::HostMissing),
        (Some(one), None) | (None, Some(one)) => parse(one),
        (Some(target), Some(host)) => {
            let (target, host) = (parse(target)?, parse(host)?);
            if target == host {
                Ok(target)
            } else {
                Err(Refusal::HostsDiffer)
            }
        }
    }
}

fn parse(text: &str) -> Result<Named<'_>, Refusal> {
    let (host, port) = match memrchr(b':', text.as_bytes()) {
        Some(colon) if !text.ends_with(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let port = match port {
        None => HTTPS_PORT,
        // One spelling for each port: no sign, no leading zero, not empty.
        Some(digits) if digits.starts_with(|c: char| matches!(c, '1'..='9')) => {
            digits.parse().map_err(|_| Refusal::HostMalformed)?
        }
        Some(_) => return Err(Refusal::HostMalformed),
    };
    if !is_host(host) {
        return Err(Refusal::HostMalformed);
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
    let mut label_is_empty = true;
    for byte in host.bytes() {
        match byte {
            b'.' if label_is_empty => return false,
            b'.' => label_is_empty = true,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' => label_is_empty = false,
            _ => return false,
        }
    }
    !label_is_empty && host.len() <= 253
}

/// The longest method that anybody uses, twice over.
const MAX_METHOD_BYTES: usize = 32;

/// Checks that a method is one that may be forwarded, whatever the host.
///
/// # Errors
/// Returns a [`Refusal`] for CONNECT, TRACE and TRACK, and for what is no method: other than letters
/// in upper case, digits and `-`, or too long.
pub(super) fn check_method(method: &Method) -> Result<(), Refusal> {
    let text = method.as_str().as_bytes();
    let known = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-');
    let begins_well = text.first().is_some_and(u8::is_ascii_uppercase);
    if !begins_well || text.len() > MAX_METHOD_BYTES || !text.iter().all(known) {
        return Err(Refusal::MethodMalformed);
    }
    match text {
        b"CONNECT" | b"TRACE" | b"TRACK" => Err(Refusal::Method),
        _ => Ok(()),
    }
}

/// Checks target and framing; the path is judged later, by the rules of its route.
///
/// # Errors
/// Returns a [`Refusal`] for targets nobody can read or that are longer than `target_bytes`, for
/// lengths that can be read twice, and for expectations and transfer codings that we do not know.
pub(super) fn check(request: &Parts, target_bytes: usize) -> Result<(), Refusal> {
    check_target(request, target_bytes)?;
    check_length(&request.headers)?;
    check_coding(request)?;
    if request.version == Version::HTTP_2 {
        check_http2(request)?;
    }
    let mut expectations = request.headers.get_all(EXPECT).iter();
    if expectations.any(|it| !it.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    Ok(())
}

fn check_target(request: &Parts, target_bytes: usize) -> Result<(), Refusal> {
    let uri = &request.uri;
    let target = uri.path_and_query().map_or(0, |it| it.as_str().len());
    if target > target_bytes {
        return Err(Refusal::TargetLength);
    }
    // HTTP/2 comes over TLS alone here, and `:scheme` has to say so (RFC 9113 8.3.1).
    let is_known = |scheme: &str| match request.version {
        Version::HTTP_2 => scheme == "https",
        _ => scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"),
    };
    if uri.scheme_str().is_some_and(|scheme| !is_known(scheme)) {
        return Err(Refusal::Scheme);
    }
    let path = uri.path();
    let readable = path.starts_with('/') || (path == "*" && request.method == Method::OPTIONS);
    let query = uri.query().unwrap_or_default();
    let odd_query = query.bytes().any(|byte| !(0x21..=0x7e).contains(&byte));
    if !readable || is_unreadable(path) || odd_query {
        return Err(Refusal::Target);
    }
    Ok(())
}

/// What the library below lets pass and HTTP/1.1 could not say (RFC 9113 8.2.1, 8.3.1; S-219).
fn check_http2(request: &Parts) -> Result<(), Refusal> {
    // Without an authority the scheme is dropped before anybody can look at it.
    if request.uri.authority().is_none() {
        return Err(Refusal::HostMissing);
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let mut values = request.headers.values().map(HeaderValue::as_bytes);
    if values.any(|value| is_blank(value.first()) || is_blank(value.last())) {
        return Err(Refusal::FieldMalformed);
    }
    Ok(())
}

/// One length, in digits alone and not longer than any that can be counted (RFC 9112 6.3; S-221).
fn check_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if is_plain_length(length.as_bytes()) => Ok(()),
        _ => Err(Refusal::AmbiguousLength),
    }
}

fn check_coding(request: &Parts) -> Result<(), Refusal> {
    let mut codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    let is_known = |coding: &HeaderValue| {
        request.version == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
    };
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if is_known(coding) => Ok(()),
        _ => Err(Refusal::Coding),
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(named("/", &[odd]), Err(Refusal::HostMalformed), "{odd}");
        }
    }

    #[test]
    fn two_answers_to_the_same_question_are_refused() {
        // S-217, S-218, S-219
        assert_eq!(named("/", &[]), Err(Refusal::HostMissing));
        let twice = named("/", &["app.test", "app.test"]);
        assert_eq!(twice, Err(Refusal::HostTwice));
        let differ = named("http://other.test/", &["app.test"]);
        assert_eq!(differ, Err(Refusal::HostsDiffer));
        assert!(named("https://APP.test:443/", &["app.test"]).is_ok());
        assert!(named("https://app.test/", &[]).is_ok());
        assert_eq!(
            named("http://u@app.test/", &["app.test"]),
            Err(Refusal::HostMalformed)
        );
    }

    /// Whether a request passes; of the longest target, 64 bytes.
    fn verdict(
        method: &str,
        uri: &str,
        version: Version,
        fields: &[(&'static str, &'static str)],
    ) -> Result<(), Refusal> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(uri)
            .version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap().into_parts().0, 64)
    }

    #[test]
    fn methods_that_are_never_forwarded() {
        // S-216, S-226
        let verdict = |method: &[u8]| check_method(&Method::from_bytes(method).unwrap());
        for method in [&b"TRACE"[..], b"TRACK", b"CONNECT"] {
            assert_eq!(verdict(method), Err(Refusal::Method));
        }
        for method in [&b"PROPFIND"[..], b"VERSION-CONTROL", b"M2", &[b'A'; 32]] {
            assert_eq!(verdict(method), Ok(()));
        }
        for odd in [
            &b"get"[..],
            b"Get",
            b"GET_",
            b"2M",
            b"-GET",
            b"GE|T",
            &[b'A'; 33],
        ] {
            assert_eq!(verdict(odd), Err(Refusal::MethodMalformed), "{odd:?}");
        }
    }

    #[test]
    fn targets_that_are_never_forwarded() {
        let verdict = |method, uri| verdict(method, uri, Version::HTTP_11, &[]);
        for (method, target) in [
            ("OPTIONS", "*"),
            ("GET", "/a//b;c?d=%zz"),
            ("PROPFIND", "/"),
            ("GET", "http://app.test/"),
        ] {
            assert_eq!(verdict(method, target), Ok(()), "{target}");
        }
        for target in ["*", "/%zz", "/?\u{e4}"] {
            assert_eq!(verdict("GET", target), Err(Refusal::Target), "{target}");
        }
        assert_eq!(verdict("GET", "ftp://app.test/"), Err(Refusal::Scheme));
        let longest = format!("/{}", "a".repeat(63));
        assert_eq!(verdict("GET", &longest), Ok(()));
        assert_eq!(
            verdict("GET", &format!("{longest}a")),
            Err(Refusal::TargetLength)
        );
    }

    #[test]
    fn an_expectation_or_a_coding_that_we_do_not_know_is_refused() {
        // S-091, S-212
        let verdict = |version, fields: &[_]| verdict("POST", "/", version, fields);
        let h11 = Version::HTTP_11;
        assert_eq!(verdict(h11, &[("expect", "100-Continue")]), Ok(()));
        for odd in ["y 100-continue", "100-continue, x", "", "200-ok"] {
            let verdict = verdict(h11, &[("expect", odd)]);
            assert_eq!(verdict, Err(Refusal::Expectation), "{odd}");
        }
        let chunked = ("transfer-encoding", "chunked");
        assert_eq!(verdict(h11, &[("transfer-encoding", "Chunked")]), Ok(()));
        for odd in [
            "gzip, chunked",
            "identity",
            "chunked, chunked",
            "xchunked",
            "",
        ] {
            let verdict = verdict(h11, &[("transfer-encoding", odd)]);
            assert_eq!(verdict, Err(Refusal::Coding), "{odd}");
        }
        assert_eq!(verdict(h11, &[chunked, chunked]), Err(Refusal::Coding));
        assert_eq!(verdict(Version::HTTP_10, &[chunked]), Err(Refusal::Coding));
    }

    #[test]
    fn http2_says_no_more_than_http1_could() {
        // S-219
        let verdict = |uri, fields: &[_]| verdict("GET", uri, Version::HTTP_2, fields);
        let here = "https://app.test/";
        assert_eq!(verdict(here, &[("x-a", "b \t c"), ("x-b", "")]), Ok(()));
        assert_eq!(
            verdict("/", &[("host", "app.test")]),
            Err(Refusal::HostMissing)
        );
        for odd in [" ", "\t", " b", "b ", "\tb", "b\t"] {
            let verdict = verdict(here, &[("x-a", odd)]);
            assert_eq!(verdict, Err(Refusal::FieldMalformed), "{odd:?}");
        }
    }

    #[test]
    fn a_length_has_one_reading() {
        // S-221
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let verdict = |fields: &[_]| verdict("POST", "https://app.test/", version, fields);
            let length = |value| ("content-length", value);
            for good in ["0", "5", "9223372036854775807"] {
                assert_eq!(verdict(&[length(good)]), Ok(()), "{good}");
            }
            for odd in [
                "",
                "0005",
                "+5",
                "-1",
                "5, 5",
                "0x5",
                "5 ",
                "10000000000000000000000",
            ] {
                let verdict = verdict(&[length(odd)]);
                assert_eq!(verdict, Err(Refusal::AmbiguousLength), "{odd}");
            }
            let twice = [length("5"), length("5")];
            assert_eq!(verdict(&twice), Err(Refusal::AmbiguousLength));
        }
    }
}
