//! Names and values of fields, and the fields that HTTP/2 has no use for (RFC 9113 8.2).

use super::{
    asks::Asks,
    case::{Answered, Case, ConnectionError, Malformed, OneOf, PROTOCOL_ERROR, case},
};
use crate::support::h2_frames::headers;

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [names(asks), values(asks), connection_specific(asks)]
        .into_iter()
        .flatten()
        .collect()
}

/// RFC 9113 8.2.1: 0x00 to 0x20, `A` to `Z` and 0x7f to 0xff stand in no name, nor does a colon.
fn names(asks: &Asks) -> Vec<Case> {
    let bad = |name, field: &[u8]| {
        let block = asks.with(&[(field, b"1")]);
        case("8.2.1", name, headers(1, &block), Malformed(1)).but_wider()
    };
    vec![
        bad("a name in upper case", b"X-TEST"),
        bad("a name with one letter in upper case", b"x-tesT"),
        bad("an empty name", b""),
        bad("a name with a colon", b"x:test"),
        bad("a name that ends in a colon", b"x-test:"),
        bad("a name with a space", b"x test"),
        bad("a name that begins with a space", b" x-test"),
        bad("a name that ends in a space", b"x-test "),
        bad("a name with tab", b"x\ttest"),
        bad("a name with NUL", b"x\0test"),
        bad("a name with CR LF", b"x-a: 1\r\nx-b"),
        bad("a name with LF", b"x\ntest"),
        bad("a name with DEL", b"x\x7ftest"),
        bad("a name with bytes beyond ASCII", b"x-t\xc3\xa4st"),
        bad("a name with the last byte there is", b"x\xfftest"),
        bad("a name with a bracket, which no token has", b"x(test)"),
    ]
}

/// RFC 9113 8.2.1: no NUL, CR or LF anywhere, and no blank at either end.
fn values(asks: &Asks) -> Vec<Case> {
    let bad = |name, value: &[u8]| {
        let block = asks.with(&[(b"x-test", value)]);
        case("8.2.1", name, headers(1, &block), Malformed(1))
    };
    let good = |name, value: &[u8]| {
        let block = [asks.good(), asks.of(&[(b"x-test", value)])].concat();
        case("8.2.1", name, headers(1, &block), Answered(1))
    };
    let control = [asks.good(), asks.of(&[(b"x-test", b"a\x01b")])].concat();
    vec![
        bad("a value with NUL", b"a\0b").but_wider(),
        bad("a value with CR", b"a\rb").but_wider(),
        bad("a value with LF", b"a\nb").but_wider(),
        bad(
            "a value with CR LF and a field behind it",
            b"a\r\nx-user: ann",
        )
        .but_wider(),
        bad("a value that ends in CR LF", b"a\r\n").but_wider(),
        bad("a value that begins with LF", b"\na").but_wider(),
        bad("a value that begins with a space", b" a"),
        bad("a value that ends in a space", b"a "),
        bad("a value that begins with tab", b"\ta"),
        bad("a value that ends in tab", b"a\t"),
        bad("a value of one space", b" "),
        good("an empty value", b""),
        good("a value with blanks inside", b"a \tb"),
        good("a value with bytes beyond ASCII", b"\xc3\xa4\xff"),
        case(
            "8.2.1",
            "a value with a control byte that is not named",
            headers(1, &control),
            OneOf(vec![
                Answered(1),
                Malformed(1),
                ConnectionError(PROTOCOL_ERROR),
            ]),
        ),
    ]
}

/// RFC 9113 8.2.2.
fn connection_specific(asks: &Asks) -> Vec<Case> {
    let bad = |name, field: &[u8], value: &[u8]| {
        let block = asks.with(&[(field, value)]);
        case("8.2.2", name, headers(1, &block), Malformed(1))
    };
    let te = [asks.good(), asks.of(&[(b"te", b"trailers")])].concat();
    vec![
        bad("connection", b"connection", b"keep-alive"),
        bad(
            "connection that names another field",
            b"connection",
            b"x-malformed",
        ),
        bad("an empty connection", b"connection", b""),
        bad("keep-alive", b"keep-alive", b"timeout=5"),
        bad("proxy-connection", b"proxy-connection", b"keep-alive"),
        bad("transfer-encoding", b"transfer-encoding", b"chunked"),
        bad(
            "transfer-encoding of nothing",
            b"transfer-encoding",
            b"identity",
        ),
        bad("upgrade", b"upgrade", b"websocket"),
        bad("te other than trailers", b"te", b"gzip"),
        bad("te with trailers and more", b"te", b"trailers, gzip"),
        bad("an empty te", b"te", b""),
        case("8.2.2", "te of trailers", headers(1, &te), Answered(1)),
    ]
}
