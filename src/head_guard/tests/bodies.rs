//! Bodies in chunks: a fault breaks the reading off, and nothing behind it is let through.

use std::io::ErrorKind::InvalidData;

use super::support::{LIMITS, Outcome, answer, requests, shown};
use crate::head_guard::HeadFault::Chunk;

const REQUEST: &str = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Of a request and of an answer, behind a good chunk and without one.
fn each(body: &[u8], check: impl Fn(Outcome, Vec<u8>, usize)) {
    for before in ["", "2\r\nhi\r\n"] {
        for (head, look) in [
            (REQUEST, requests as fn(&[u8]) -> Outcome),
            (ANSWER, answer),
        ] {
            let bytes = [head.as_bytes(), before.as_bytes(), body].concat();
            check(look(&bytes), bytes, head.len() + before.len());
        }
    }
}

fn assert_whole(body: &[u8]) {
    each(body, |outcome, bytes, _| {
        let expected = Outcome {
            passed: bytes,
            fault: None,
            heads: 1,
            is_between: true,
            error: None,
        };
        assert_eq!(outcome, expected, "{}", shown(body));
    });
}

fn assert_broken(body: &[u8]) {
    each(body, |outcome, bytes, begin| {
        let shown = shown(body);
        assert_eq!(outcome.fault, Some(Chunk), "{shown}");
        assert_eq!(outcome.error, Some(InvalidData), "{shown}");
        assert_eq!(outcome.heads, 1, "{shown}");
        assert!(!outcome.is_between, "{shown}");
        assert!(bytes.starts_with(&outcome.passed), "{shown}");
        assert!(
            (begin..bytes.len()).contains(&outcome.passed.len()),
            "{shown}"
        );
    });
}

#[test]
fn chunks_of_every_form_pass() {
    // S-213
    for body in [
        "0\r\n\r\n",
        "0000000000000000\r\n\r\n",
        "00000\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "000000000000000A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
        "3\r\n\n\r0\r\n0\r\n\r\n",
        "1;\r\na\r\n0;\r\n\r\n",
        "1;a=b;c=\"d;e\"; f\t\r\na\r\n0;last=\"\\\"\\\\\"\r\n\r\n",
        "0\r\nT: 1\r\nU:\r\n\r\n",
        "0\r\nContent-Lengths: 1\r\nTransfer: chunked\r\n\r\n",
    ] {
        assert_whole(body.as_bytes());
    }
    assert_whole(b"1;a=\x80\xff\r\na\r\n0\r\nT: \x80\xff\r\n\r\n");
}

#[test]
fn a_size_is_plain_hexadecimal_digits() {
    // S-213, S-094
    for size in [
        "",
        " ",
        "0x1",
        "+1",
        "-1",
        "1_0",
        " 1",
        "1 ",
        "1\t",
        "g",
        "1g",
        "1,1",
        "1.",
        "\"1\"",
        "\0",
        "00000000000000001",
        "10000000000000000",
        "fffffffffffffffff",
        "\n",
        "\r",
    ] {
        assert_broken(format!("{size}\r\na\r\n0\r\n\r\n").as_bytes());
    }
    assert_broken(format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(1000)).as_bytes());
    let largest = requests(format!("{REQUEST}ffffffffffffffff\r\nand so on").as_bytes());
    assert_eq!((largest.fault, largest.is_between), (None, false));
}

#[test]
fn an_extension_cannot_hide_a_line_end() {
    // S-213, S-214
    for extension in [
        ";\nX",
        ";\rX",
        ";a\nb",
        ";a\rb",
        ";a=\"b\r\nc\"",
        ";a=\"",
        ";a=\"b\\\"",
        ";\"a\\",
        ";a\0",
        ";a\x7f",
        ";a\x0b",
        "\n",
        "\r",
        "z",
    ] {
        assert_broken(format!("1{extension}\r\na\r\n0\r\n\r\n").as_bytes());
        assert_broken(format!("0{extension}\r\n\r\n").as_bytes());
    }
}

#[test]
fn extensions_have_room_for_what_is_allowed_and_not_a_byte_more() {
    // S-213
    let body = |first: usize, last: usize| {
        let (first, last) = ("x".repeat(first), "x".repeat(last));
        format!("1;{first}\r\na\r\n0;{last}\r\n\r\n")
    };
    assert_whole(body(4096, 0).as_bytes());
    assert_whole(body(4000, 96).as_bytes());
    assert_broken(body(4097, 0).as_bytes());
    assert_broken(body(4000, 97).as_bytes());
    assert_broken(body(16 * 1024, 0).as_bytes());
}

#[test]
fn data_is_followed_by_its_line_end() {
    // S-213
    for body in [
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\rb0\r\n\r\n",
        "1\r\na\r\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\ra\r\n0\r\n\r\n",
        "2\r\na\r\n0\r\n\r\n",
    ] {
        assert_broken(body.as_bytes());
    }
}

#[test]
fn trailers_are_fields_that_frame_nothing() {
    // S-213
    for trailers in [
        "Content-Length: 1\r\n\r\n",
        "content-length:\r\n\r\n",
        "T: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        " T: 1\r\n\r\n",
        "T: 1\r\n 2\r\n\r\n",
        "T : 1\r\n\r\n",
        ": 1\r\n\r\n",
        "T\r\n\r\n",
        "T: \0\r\n\r\n",
        "T: 1\n\r\n",
        "T: 1\r2\r\n\r\n",
        "T: 1\r\n\n",
        "\n",
        "\rX",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        assert_broken(format!("0\r\n{trailers}").as_bytes());
    }
}

#[test]
fn trailers_have_the_room_of_a_head() {
    // S-213
    let of = |bytes: usize| format!("0\r\nT: {}\r\n\r\n", "x".repeat(bytes - 7));
    assert_whole(of(LIMITS.head_bytes).as_bytes());
    assert_broken(of(LIMITS.head_bytes + 1).as_bytes());
    assert_broken(of(64 * 1024).as_bytes());
    let many = |fields: usize| format!("0\r\n{}\r\n", "T: 1\r\n".repeat(fields));
    assert_whole(many(LIMITS.headers).as_bytes());
    assert_broken(many(LIMITS.headers + 1).as_bytes());
}
