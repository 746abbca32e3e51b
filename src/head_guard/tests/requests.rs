//! Heads of requests.

use super::support::{LIMITS, Outcome, requests, requests_within, shown};
use crate::head_guard::{
    HeadFault::{self, *},
    HeadLimits,
};

const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn assert_passes(bytes: &[u8], heads: u64) {
    let expected = Outcome {
        passed: bytes.to_vec(),
        fault: None,
        heads,
        is_between: true,
        error: None,
    };
    assert_eq!(requests(bytes), expected, "{}", shown(bytes));
}

/// Refused wherever it stands, with nothing of it that could be taken for a whole head, and all of
/// what came before.
fn assert_refused(head: &[u8], fault: HeadFault) {
    for before in ["", GOOD, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"] {
        let bytes = [before.as_bytes(), head, GOOD.as_bytes()].concat();
        let outcome = requests(&bytes);
        let shown = shown(head);
        assert_eq!(outcome.fault, Some(fault), "{shown}");
        assert_eq!(outcome.heads, u64::from(!before.is_empty()), "{shown}");
        assert!(!outcome.is_between, "{shown}");
        assert_eq!(outcome.error, None, "{shown}");
        let begun = outcome.passed.strip_prefix(before.as_bytes()).unwrap();
        assert!(head.starts_with(begun), "{shown}");
        assert!(begun.len() < head.len(), "{shown}");
    }
}

fn assert_all_refused(heads: &[(&str, HeadFault)]) {
    for (head, fault) in heads {
        assert_refused(head.as_bytes(), *fault);
    }
}

#[test]
fn requests_of_every_form_pass() {
    // S-003
    for bytes in [
        GOOD.to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "\r\nGET / HTTP/1.1\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\n\r\n".to_owned(),
        "CONNECT a:443 HTTP/1.1\r\n\r\n".to_owned(),
        "GET http://a/b?c=d&e=%20 HTTP/1.1\r\n\r\n".to_owned(),
        "VERSION-CONTROL /!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.1\r\n\r\n".to_owned(),
        "M-SEARCH / HTTP/1.1\r\nX:\r\nY: \r\nZ:\t a\tb \r\n!#$%&'*+-.^_`|~0aZ:1\r\n\r\n".to_owned(),
        format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(32)),
        "PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "PUT / HTTP/1.1\r\ncontent-length:3\r\n\r\nabc".to_owned(),
        "PUT / HTTP/1.0\r\nCONTENT-LENGTH: 3\r\n\r\n\r\n\r".to_owned(),
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "PUT / HTTP/1.1\r\ntransfer-encoding:CHUNKED\r\n\r\n0\r\n\r\n".to_owned(),
        "PUT / HTTP/1.1\r\nContent-Lengt: x\r\nContent-Length2: x\r\nTransfer-Encodin: x\r\n\
         Transfer-Encodings: x\r\nC: x\r\nT: x\r\n\r\n"
            .to_owned(),
    ] {
        assert_passes(bytes.as_bytes(), 1);
    }
    let obsolete = b"GET / HTTP/1.1\r\nX: \x80\xff\r\n\r\n";
    assert_passes(obsolete, 1);
}

#[test]
fn one_message_begins_where_the_one_before_ends() {
    // S-003: an upgrade, a CONNECT and a version without a body change nothing.
    for first in [
        GOOD,
        "GET / HTTP/1.0\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\r\n",
        "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\n0\r\n\r\n0\r\nT: 1\r\n\r\n",
    ] {
        for between in ["", "\r\n"] {
            let bytes = format!("{first}{between}{GOOD}{first}");
            assert_passes(bytes.as_bytes(), 3);
        }
    }
}

#[test]
fn a_request_line_has_one_spelling() {
    // S-216, S-035
    assert_all_refused(&[
        ("get / HTTP/1.1\r\n\r\n", MalformedMethod),
        ("GeT / HTTP/1.1\r\n\r\n", MalformedMethod),
        ("G_T / HTTP/1.1\r\n\r\n", MalformedMethod),
        ("-GET / HTTP/1.1\r\n\r\n", MalformedMethod),
        ("1GET / HTTP/1.1\r\n\r\n", MalformedMethod),
        (" GET / HTTP/1.1\r\n\r\n", MalformedStart),
        ("G\0T / HTTP/1.1\r\n\r\n", MalformedMethod),
        ("GÉT / HTTP/1.1\r\n\r\n", MalformedMethod),
        ("GET\t/ HTTP/1.1\r\n\r\n", MalformedMethod),
        ("GET\r\n\r\n", MalformedStart),
        ("GET  / HTTP/1.1\r\n\r\n", MalformedStart),
        ("GET /\r\n\r\n", MalformedStart),
        ("GET / \r\n\r\n", MalformedStart),
        ("GET /  HTTP/1.1\r\n\r\n", MalformedStart),
        ("GET / HTTP/1.1 \r\n\r\n", MalformedStart),
        ("GET / HTTP/1.1\t\r\n\r\n", MalformedStart),
        ("GET / HTTP/01.1\r\n\r\n", MalformedStart),
        ("GET / HTTP/1.10\r\n\r\n", MalformedStart),
        ("GET / HTTP/1.\r\n\r\n", MalformedStart),
        ("GET / HTTP/2.\r\n\r\n", MalformedStart),
        ("GET / HTTP/2.00\r\n\r\n", MalformedStart),
        ("GET / HTTP/2.0 \r\n\r\n", MalformedStart),
        ("GET / HTTP/11111111111111111\r\n\r\n", MalformedStart),
        ("GET / HTTP/\r\n\r\n", MalformedStart),
        ("GET / HTTP/x\r\n\r\n", MalformedStart),
        ("GET / HTTP/1,1\r\n\r\n", MalformedStart),
        ("GET / http/1.1\r\n\r\n", MalformedStart),
        ("GET / HTTPS/1.1\r\n\r\n", MalformedStart),
        ("GET / XTTP/1.1\r\n\r\n", MalformedStart),
        ("GET / b HTTP/1.1\r\n\r\n", MalformedStart),
        ("\x16\x03\x01\x00\x2a\x01\x00", MalformedMethod),
        ("GET /\t HTTP/1.1\r\n\r\n", MalformedTarget),
        ("GET /#/../admin HTTP/1.1\r\n\r\n", MalformedTarget),
        ("GET # HTTP/1.1\r\n\r\n", MalformedTarget),
        ("GET /\0 HTTP/1.1\r\n\r\n", MalformedTarget),
        ("GET /\x7f HTTP/1.1\r\n\r\n", MalformedTarget),
        ("GET /é HTTP/1.1\r\n\r\n", MalformedTarget),
        ("GET / HTTP/1.2\r\n\r\n", Version),
        ("GET / HTTP/0.9\r\n\r\n", Version),
        ("GET / HTTP/3.0\r\n\r\n", Version),
        ("GET / HTTP/1\r\n\r\n", Version),
        ("GET / HTTP/2\r\n\r\n", Version),
        ("GET / HTTP/11\r\n\r\n", Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Version),
    ]);
    let long = format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(33));
    assert_refused(long.as_bytes(), MalformedMethod);
}

#[test]
fn a_line_ends_in_one_way() {
    // S-215
    assert_all_refused(&[
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", LineEnd),
        ("\nGET / HTTP/1.1\r\n\r\n", LineEnd),
        ("\r\n\nGET / HTTP/1.1\r\n\r\n", LineEnd),
        ("\r\r\nGET / HTTP/1.1\r\n\r\n", LineEnd),
        ("\rGET / HTTP/1.1\r\n\r\n", LineEnd),
        ("GET\n", LineEnd),
        ("GE\rT / HTTP/1.1\r\n\r\n", LineEnd),
        ("GET /\n", LineEnd),
        ("GET /\rb HTTP/1.1\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\n\n", LineEnd),
        ("GET / HTTP/1.1\rX", LineEnd),
        ("GET / HTTP/1.1\r\r\n\r\n", LineEnd),
        ("GET / HTTP/2.0\n\n", LineEnd),
        ("GET / HTTP/2.0\r\r\n", LineEnd),
        ("GET / HTTP/\rX", LineEnd),
        ("GET / HTTP/1.1\r\n\n", LineEnd),
        ("GET / HTTP/1.1\r\n\rX: a\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nX: a\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nX: a\r\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nX: a\r\n\r\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nX: a\r\n\n", LineEnd),
        ("GET / HTTP/1.1\r\nX\n", LineEnd),
        ("GET / HTTP/1.1\r\nX\rY: a\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nContent-Length: 1\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r2\r\n\r\n", LineEnd),
        ("GET / HTTP/1.1\r\nContent-Length: \r2\r\n\r\n", LineEnd),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\n\r\n",
            LineEnd,
        ),
    ]);
}

#[test]
fn a_field_line_has_one_spelling() {
    // S-215, S-233
    assert_all_refused(&[
        ("GET / HTTP/1.1\r\n X: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX : a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX\t: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX Y: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX(: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\n\0X: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nXé: a\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: \x01\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: \x1f\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n", MalformedField),
        ("GET / HTTP/1.1\r\nX: a\x0b\r\n\r\n", MalformedField),
        (
            "GET / HTTP/1.1\r\nContent-Length : 5\r\n\r\n",
            MalformedField,
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length: 5\0\r\n\r\n",
            MalformedField,
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length\0: 5\r\n\r\n",
            MalformedField,
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length: 5\r\n 6\r\n\r\n",
            MalformedField,
        ),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
            MalformedField,
        ),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
            MalformedField,
        ),
        (
            "GET / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
            TransferCoding,
        ),
    ]);
}

#[test]
fn a_length_has_one_reading() {
    // S-210, S-094
    let values = [
        "+5",
        "-1",
        "5 ",
        " 5",
        "\t5",
        "0x5",
        "5,5",
        "5, 6",
        "05",
        "00",
        "000",
        "",
        " ",
        "5;",
        "5\u{a0}",
        "\u{a0}5",
        "1e1",
        "5.",
        "1_0",
        "10000000000000000000",
        "18446744073709551616",
        "123456789012345678901",
        "chunked",
    ];
    for value in values {
        let head = format!("PUT / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n");
        assert_refused(head.as_bytes(), AmbiguousLength);
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 6",
        "Content-Length: 0\r\nX: a\r\nCONTENT-LENGTH: 0",
    ] {
        let head = format!("PUT / HTTP/1.1\r\n{lines}\r\n\r\n");
        assert_refused(head.as_bytes(), AmbiguousLength);
    }
    let longest = b"PUT / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\nand so on";
    let outcome = requests(longest);
    assert_eq!((outcome.fault, outcome.heads), (None, 1));
    assert_eq!(outcome.passed, longest);
    assert!(!outcome.is_between);
}

#[test]
fn a_length_and_a_coding_are_never_both_believed() {
    // S-207, S-208, S-093
    for lines in [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 0\r\nX: a\r\ntransfer-encoding: chunked",
        "content-length: 6\r\nTRANSFER-ENCODING: gzip",
    ] {
        for version in ["1.0", "1.1"] {
            let is_coding_first = lines.starts_with('T');
            let fault = if version == "1.0" && is_coding_first {
                TransferCoding
            } else {
                AmbiguousLength
            };
            let head = format!("PUT / HTTP/{version}\r\n{lines}\r\n\r\n0\r\n\r\nG");
            assert_refused(head.as_bytes(), fault);
        }
    }
}

#[test]
fn chunked_is_the_only_coding() {
    // S-209, S-094
    let values = [
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ", chunked",
        "identity",
        "xchunked",
        "chunkedx",
        "chunke",
        "chunked ",
        " chunked",
        "\tchunked",
        "chunked;q=1",
        "\"chunked\"",
        "",
        " ",
        "chun\u{212a}ed",
        "chunked\u{a0}",
    ];
    for value in values {
        let head = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n");
        assert_refused(head.as_bytes(), TransferCoding);
    }
    assert_all_refused(&[
        (
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            TransferCoding,
        ),
        (
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: x\r\n\r\n",
            TransferCoding,
        ),
        (
            "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            TransferCoding,
        ),
    ]);
}

/// A head of exactly so many bytes.
fn head_of(bytes: usize) -> String {
    let start = "GET / HTTP/1.1\r\nX: ";
    let value = "x".repeat(bytes - start.len() - 4);
    format!("{start}{value}\r\n\r\n")
}

#[test]
fn a_head_has_room_for_what_is_allowed_and_not_a_byte_more() {
    // S-216
    let most = LIMITS.head_bytes;
    assert_passes(head_of(most).as_bytes(), 1);
    assert_passes(format!("\r\n{}", head_of(most)).as_bytes(), 1);
    for bytes in [most + 1, most + 2, most + 3, most + 4, most + 5, most * 3] {
        assert_refused(head_of(bytes).as_bytes(), TooLarge);
    }
    // It is decided before the line, or anything else, ends.
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(most * 2));
    let outcome = requests(endless.as_bytes());
    assert_eq!(outcome.fault, Some(TooLarge));
    assert_eq!(outcome.passed.len(), most);
}

#[test]
fn a_target_has_room_for_what_is_allowed_and_not_a_byte_more() {
    // S-216
    let most = LIMITS.target_bytes;
    let line = |bytes| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(bytes - 1));
    assert_passes(line(most).as_bytes(), 1);
    assert_refused(line(most + 1).as_bytes(), TargetTooLong);
    let endless = format!("GET {}", "/".repeat(most + 1));
    assert_eq!(requests(endless.as_bytes()).fault, Some(TargetTooLong));
}

#[test]
fn a_head_has_as_many_fields_as_are_allowed_and_not_one_more() {
    let head = |fields| format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(fields));
    assert_passes(head(LIMITS.headers).as_bytes(), 1);
    assert_refused(head(LIMITS.headers + 1).as_bytes(), TooManyFields);
}

#[test]
fn limits_of_nothing_refuse_everything() {
    let none = HeadLimits {
        head_bytes: 0,
        headers: 0,
        target_bytes: 0,
    };
    let outcome = requests_within(GOOD.as_bytes(), none);
    assert_eq!((outcome.fault, outcome.heads), (Some(TooLarge), 0));
    assert_eq!(outcome.passed, b"");
}
