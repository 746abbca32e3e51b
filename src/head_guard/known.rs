//! What is known of a head that is refused, for the log and for the form of the answer.
//!
//! Only what was read whole, or up to the limit that it went beyond, and had one reading that far.

use http::{HeaderMap, Request};

use super::HeadFault;

/// What is known of a head that is refused; nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The method.
    pub method: Option<&'a str>,
    /// The path, without the query; cut, since it may be what is too long.
    pub path: Option<&'a str>,
    /// The host, with its port.
    pub host: Option<&'a str>,
    /// The fields.
    pub headers: Option<&'a HeaderMap>,
}

impl<'a> Known<'a> {
    /// Most bytes of a path that are quoted.
    const MOST_OF_A_PATH: usize = 128;

    /// All of a request that came in frames.
    pub fn of_request<T>(request: &'a Request<T>) -> Self {
        Self {
            method: Some(request.method().as_str()),
            path: Some(cut(request.uri().path())),
            host: request.uri().authority().map(http::uri::Authority::as_str),
            headers: Some(request.headers()),
        }
    }

    /// The method and the path of a head of which the guard has let these bytes through: where it
    /// was too long or too large, and nothing else was wrong with it.
    #[must_use]
    pub fn of_bytes(fault: HeadFault, bytes: &'a [u8]) -> Self {
        if !fault.is_of_size() {
            return Self::default();
        }
        let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        let line = bytes.split(|byte| *byte == b'\r').next();
        let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Self::default();
        };
        let path = target.split(|byte| *byte == b'?').next();
        // A target with an authority may have a name and a password in it.
        let path = path.filter(|path| path.starts_with(b"/"));
        Self {
            method: str::from_utf8(method).ok(),
            path: path.and_then(|path| str::from_utf8(path).ok()).map(cut),
            ..Self::default()
        }
    }
}

fn cut(path: &str) -> &str {
    let end = path.floor_char_boundary(Known::MOST_OF_A_PATH);
    path.get(..end).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(fault: HeadFault, bytes: &str) -> (Option<&str>, Option<&str>) {
        let known = Known::of_bytes(fault, bytes.as_bytes());
        (known.method, known.path)
    }

    #[test]
    fn what_is_too_large_is_named_without_its_query() {
        let large = |bytes| known(HeadFault::TooLarge, bytes);
        let named = (Some("GET"), Some("/a/b"));
        assert_eq!(large("GET /a/b?code=x HTTP/1.1\r\nHost: x\r\n"), named);
        assert_eq!(large("\r\nGET /a/b HTTP/1.1\r\nHost: x y\r\n"), named);
        assert_eq!(known(HeadFault::TargetTooLong, "GET /a/b?code=x"), named);
        assert_eq!(large("GET http://u:p@x/a HTTP/1.1\r\n").1, None);
        let long = format!("GET /{} HTTP/1.1", "\u{e9}".repeat(100));
        let (_, path) = known(HeadFault::TooManyFields, &long);
        assert_eq!(path.unwrap().len(), 127, "whole characters");
    }

    #[test]
    fn nothing_is_quoted_of_what_can_be_read_in_two_ways_or_did_not_come() {
        for (fault, bytes) in [
            (HeadFault::LineEnd, "GET /a HTTP/1.1\r\n"),
            (HeadFault::MalformedField, "GET /a HTTP/1.1\r\n"),
            (HeadFault::Late, "GET /a HTTP/1.1\r\n"),
            (HeadFault::TooLarge, ""),
            (HeadFault::TooLarge, "\r\n"),
            (HeadFault::TooLarge, "GET"),
        ] {
            assert_eq!(known(fault, bytes), (None, None), "{bytes:?}");
        }
    }
}
