//! The host a request names: in one spelling, or not at all (S-045, S-217).
//!
//! The first line of the input is the target, each further one a `Host` field.

use http::{HeaderMap, HeaderValue, Uri, header::HOST};
use vestibule::{config::route::Authority, gateway::authority_of};

/// Asks which host `input` names.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    let mut lines = input.split(|it| *it == b'\n');
    let target = lines.next().unwrap_or_default();
    let uri = Uri::try_from(target).unwrap_or_else(|_| Uri::from_static("/"));
    let mut headers = HeaderMap::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HOST, value);
        }
    }
    let Some(named) = authority_of(&uri, &headers) else {
        return;
    };
    let written = headers.get_all(HOST).iter().count();
    let in_target = uri.authority().is_some();
    assert!(
        written == 1 || written == 0 && in_target,
        "S-217: named by {written} fields"
    );
    is_canonical(&named);
    for field in headers.get_all(HOST) {
        is_what_is_written(&named, field.as_bytes());
    }
    if let Some(authority) = uri.authority() {
        is_what_is_written(&named, authority.as_str().as_bytes());
    }
    for spelling in [
        named.in_https_url(),
        format!("{}:{}", named.host, named.port),
        named.in_https_url().to_ascii_uppercase(),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(
            HOST,
            HeaderValue::try_from(spelling).expect("it is plain ASCII"),
        );
        let again = authority_of(&Uri::from_static("/"), &headers);
        assert_eq!(
            again.as_ref(),
            Some(&named),
            "S-045: two spellings, two hosts"
        );
    }
}

fn is_canonical(named: &Authority) {
    let Authority { host, port } = named;
    assert_ne!(*port, 0, "S-217: no port");
    let is_known =
        |it: u8| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'[' | b']' | b':');
    let is_address = host.starts_with('[') && host.ends_with(']');
    assert!(
        !host.is_empty() && host.bytes().all(is_known) && (is_address || !host.contains(':')),
        "S-217: {host:?}"
    );
    assert!(
        !host.ends_with('.') && !host.starts_with('.'),
        "S-217: {host:?}"
    );
}

fn is_what_is_written(named: &Authority, text: &[u8]) {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let with_port = format!("{}:{}", named.host, named.port);
    assert!(
        text == with_port || named.port == 443 && text == named.host,
        "S-045: {text:?} is not {with_port:?}"
    );
}
