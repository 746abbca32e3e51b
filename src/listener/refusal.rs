//! The answer to a head that hyper never sees, as bytes of HTTP/1.1 (RFC 9112 4, 6.3).
//!
//! It is always the last one of its connection and always has its body: nobody knows whether the
//! request was a HEAD.

use bytes::Bytes;
use http::{
    Response,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING},
};
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::clock::Timestamp;

/// The bytes of `answer`. Its framing and its connection fields are replaced by our own.
pub(super) fn written(answer: &Response<Bytes>, now: Timestamp) -> Vec<u8> {
    let (status, body) = (answer.status(), answer.body());
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in answer.headers() {
        if [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING].contains(name) {
            continue;
        }
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if let Some(date) = http_date(now) {
        bytes.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    let length = body.len();
    bytes.extend_from_slice(
        format!("content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes(),
    );
    bytes.extend_from_slice(body);
    bytes
}

/// `Sat, 21 Nov 2026 19:29:53 GMT` (RFC 9110 5.6.7); `None` for a year that has no four digits.
fn http_date(now: Timestamp) -> Option<String> {
    let timestamp = jiff::Timestamp::from_second(now.unix_seconds()).ok()?;
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&timestamp)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_whole_last_answer() {
        let answer = Response::builder()
            .status(431)
            .header("content-type", "application/problem+json")
            .header("content-length", "9999")
            .header("transfer-encoding", "chunked")
            .header("connection", "keep-alive")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let bytes = written(&answer, Timestamp::from_unix_seconds(1_795_289_393));
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "HTTP/1.1 431 Request Header Fields Too Large\r\n\
             content-type: application/problem+json\r\n\
             date: Sat, 21 Nov 2026 19:29:53 GMT\r\n\
             content-length: 2\r\nconnection: close\r\n\r\n{}"
        );
    }

    #[test]
    fn an_answer_without_a_body_says_so() {
        let answer = Response::builder().status(400).body(Bytes::new()).unwrap();
        let bytes = written(&answer, Timestamp::from_unix_seconds(i64::MAX));
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }
}
