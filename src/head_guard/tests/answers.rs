//! Answers of apps: each to one request, and nothing besides.

use std::io::ErrorKind::InvalidData;

use super::support::{LIMITS, Outcome, Said, answer, answers, of_answers, shown};
use crate::head_guard::HeadFault::{self, *};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const INTERIM: &str = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";

const ANY: Option<bool> = Some(false);
const BARE: Option<bool> = Some(true);
const UNASKED: Option<bool> = None;

fn assert_passes(said: &[Said<'_>], heads: u64, is_between: bool) {
    let bytes: Vec<_> = said.iter().map(|(_, bytes)| *bytes).collect();
    let expected = Outcome {
        passed: bytes.concat(),
        fault: None,
        heads,
        is_between,
        error: None,
    };
    assert_eq!(answers(said), expected, "{}", shown(&bytes.concat()));
}

fn assert_refused(bytes: &[u8], fault: HeadFault) {
    let outcome = answer(bytes);
    let shown = shown(bytes);
    assert_eq!(outcome.fault, Some(fault), "{shown}");
    assert_eq!(outcome.error, Some(InvalidData), "{shown}");
    assert_eq!(outcome.heads, 0, "{shown}");
    assert!(outcome.passed.len() < bytes.len(), "{shown}");
    assert!(bytes.starts_with(&outcome.passed), "{shown}");
}

#[test]
fn answers_of_every_form_pass() {
    // S-225
    for bytes in [
        OK,
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 599 \t Fine \xe9\r\nContent-Length:0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let again = [(ANY, bytes), (ANY, OK), (ANY, bytes)];
        assert_passes(&again, 3, true);
    }
}

#[test]
fn a_head_alone_answers_what_asked_for_no_more() {
    // S-225: HEAD, whatever the head says of a body.
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
    ] {
        assert_passes(&[(BARE, bytes), (ANY, OK), (BARE, bytes)], 3, true);
    }
    let with_body = answers(&[(BARE, OK)]);
    assert_eq!(with_body.fault, Some(Surplus));
    assert_eq!(with_body.passed, &OK[..OK.len() - 2]);
}

#[test]
fn an_answer_without_a_length_goes_on_to_the_end() {
    // S-225
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Fine\r\nServer: old\r\n\r\n",
    ] {
        let bytes = format!("{head}all of it\nHTTP/1.1 200 OK\r\n\r\n\0");
        assert_passes(&[(ANY, bytes.as_bytes())], 1, false);
    }
}

#[test]
fn a_switch_of_protocols_is_the_last_head() {
    let bytes = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n\0\n\r whatever";
    assert_passes(&[(ANY, bytes)], 1, false);
}

#[test]
fn interim_answers_come_before_the_one_that_counts() {
    // S-225
    let some = [INTERIM.repeat(16).as_bytes(), OK].concat();
    assert_passes(&[(ANY, &some), (ANY, &some)], 34, true);
    assert_passes(&[(ANY, INTERIM.as_bytes())], 1, false);
    assert_passes(&[(ANY, INTERIM.as_bytes()), (UNASKED, OK)], 2, true);
    let storm = [INTERIM.repeat(17).as_bytes(), OK].concat();
    let outcome = answer(&storm);
    assert_eq!((outcome.fault, outcome.heads), (Some(Surplus), 16));
    // A length in one of them is the length of nothing.
    let odd = [b"HTTP/1.1 100 Go on\r\nContent-Length: 5\r\n\r\n", OK].concat();
    assert_passes(&[(ANY, &odd)], 2, true);
}

#[test]
fn bytes_that_nobody_asked_for_are_withheld() {
    // S-096
    let twice = OK.repeat(2);
    for said in [
        &[(ANY, &*twice)][..],
        &[(ANY, OK), (UNASKED, OK)],
        &[(ANY, OK), (UNASKED, b"\r\n")],
        &[(ANY, OK), (UNASKED, b"HTTP/1.1 100 Continue\r\n\r\n")],
        &[(ANY, OK), (UNASKED, OK), (ANY, OK)],
    ] {
        let outcome = answers(said);
        assert_eq!(outcome.passed, OK);
        assert_eq!(outcome.fault, Some(Surplus));
        assert_eq!(outcome.error, Some(InvalidData));
        assert!(!outcome.is_between);
    }
    let unasked = answers(&[(UNASKED, OK)]);
    assert_eq!((unasked.passed.len(), unasked.fault), (0, Some(Surplus)));
    let behind = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhim";
    let outcome = answer(behind);
    assert_eq!(outcome.passed, &behind[..behind.len() - 1]);
    assert_eq!(outcome.fault, Some(Surplus));
}

#[test]
fn what_came_before_a_request_was_sent_is_no_answer_to_it() {
    // S-096: the answer to one person's request, late or doubled, is not the next one's.
    let (mut guard, expected) = of_answers();
    expected.next_answer(false);
    guard.io_mut().coming.push_back(OK.to_vec());
    let mut passed = Vec::new();
    let error = super::support::drain(&mut guard, &mut passed);
    assert_eq!((passed.len(), error), (0, Some(InvalidData)));
    assert_eq!(expected.fault(), Some(Surplus));
}

#[test]
fn the_rest_of_a_request_asks_for_no_second_answer() {
    // S-096: an answer may come while its request is still being sent.
    let (mut guard, expected) = of_answers();
    let mut passed = Vec::new();
    expected.next_answer(false);
    super::support::write(&mut guard, b"head");
    guard.io_mut().coming.push_back(OK.to_vec());
    assert_eq!(super::support::drain(&mut guard, &mut passed), None);
    super::support::write(&mut guard, b"body");
    assert!(guard.watch().is_between_messages());
    guard.io_mut().coming.push_back(OK.to_vec());
    let error = super::support::drain(&mut guard, &mut passed);
    assert_eq!((&*passed, error), (OK, Some(InvalidData)));
    assert_eq!(expected.fault(), Some(Surplus));
}

#[test]
fn a_status_line_has_one_spelling() {
    // S-225
    for (bytes, fault) in [
        ("garbage\r\n\r\n", MalformedStart),
        ("http/1.1 200 OK\r\n\r\n", MalformedStart),
        ("HTTP/1.1  200 OK\r\n\r\n", MalformedStart),
        ("HTTP/1.1\t200 OK\r\n\r\n", MalformedStart),
        ("HTTP/1.1 20 OK\r\n\r\n", MalformedStart),
        ("HTTP/1.1 2000 OK\r\n\r\n", MalformedStart),
        ("HTTP/1.1 099 Low\r\n\r\n", MalformedStart),
        ("HTTP/1.1 600 High\r\n\r\n", MalformedStart),
        ("HTTP/1.1 +20 OK\r\n\r\n", MalformedStart),
        ("HTTP/1.1 200\tOK\r\n\r\n", MalformedStart),
        ("HTTP/1.1 200 O\0K\r\n\r\n", MalformedStart),
        ("HTTP/1.1 200 O\x7fK\r\n\r\n", MalformedStart),
        ("HTTP/1.1\r\n\r\n", MalformedStart),
        ("HTTP/1.1 \r\n\r\n", MalformedStart),
        ("HTTP/2\r\n\r\n", MalformedStart),
        ("HTTP/1.10 200 OK\r\n\r\n", MalformedStart),
        (" HTTP/1.1 200 OK\r\n\r\n", MalformedStart),
        ("\x16\x03\x01\x00\x2a\x01\x00", MalformedStart),
        ("HTTP/2.0 200 OK\r\n\r\n", Version),
        ("HTTP/1.2 200 OK\r\n\r\n", Version),
        ("HTTP/2 200 OK\r\n\r\n", Version),
        ("HTTP/1.1 200 OK\n\n", LineEnd),
        ("HTTP/1.1 200\n\n", LineEnd),
        ("HTTP/1.1 200 OK\rX: a\r\n\r\n", LineEnd),
        ("HTTP/2.0\n", LineEnd),
        ("\nHTTP/1.1 200 OK\r\n\r\n", LineEnd),
        ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", LineEnd),
    ] {
        assert_refused(bytes.as_bytes(), fault);
    }
}

#[test]
fn the_fields_of_an_answer_follow_the_rules_of_a_request() {
    // S-225, S-233
    for (fields, fault) in [
        ("X: a\0b\r\n", MalformedField),
        ("X\u{e9}: 1\r\n", MalformedField),
        ("X: a\r\n b\r\n", MalformedField),
        ("X: a\nSet-Cookie: b\r\n", LineEnd),
        ("X: a\rSet-Cookie: b\r\n", LineEnd),
        (
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            AmbiguousLength,
        ),
        ("Content-Length: 2, 2\r\n", AmbiguousLength),
        ("Content-Length: +2\r\n", AmbiguousLength),
        (
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            AmbiguousLength,
        ),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
            AmbiguousLength,
        ),
        ("Transfer-Encoding: gzip, chunked\r\n", TransferCoding),
        ("Transfer-Encoding: gzip\r\n", TransferCoding),
    ] {
        for status in [
            "200 OK",
            "204 No Content",
            "304 Not Modified",
            "100 Continue",
        ] {
            let bytes = format!("HTTP/1.1 {status}\r\n{fields}\r\n");
            assert_refused(bytes.as_bytes(), fault);
        }
    }
    let old = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_refused(old, TransferCoding);
    let long = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "x".repeat(LIMITS.head_bytes)
    );
    assert_refused(long.as_bytes(), TooLarge);
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X: 1\r\n".repeat(LIMITS.headers + 1)
    );
    assert_refused(many.as_bytes(), TooManyFields);
}
