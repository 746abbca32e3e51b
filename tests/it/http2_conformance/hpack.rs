//! Indexes, numbers and strings of field blocks, and those that cannot be read (RFC 7541 5 and 6).

use super::{
    asks::{Asks, HERE},
    case::{Answered, COMPRESSION_ERROR, Case, ConnectionError, case},
};
use crate::support::h2_frames::{coded, headers, indexed, integer, plain, string};

/// The first entry of the dynamic table.
pub(super) const FIRST: usize = 62;

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    let tables = [indexes, numbers, strings];
    tables.into_iter().flat_map(|table| table(asks)).collect()
}

/// A block that begins as a marked request, and then cannot be read.
pub(super) fn bad(section: &'static str, name: &'static str, asks: &Asks, rest: &[u8]) -> Case {
    let block = [&asks.with(&[])[..], rest].concat();
    let unreadable = ConnectionError(COMPRESSION_ERROR);
    case(section, name, headers(1, &block), unreadable).but_unspecific()
}

/// A request that is good all through.
pub(super) fn good(section: &'static str, name: &'static str, asks: &Asks, rest: &[u8]) -> Case {
    let block = [&asks.good()[..], rest].concat();
    case(section, name, headers(1, &block), Answered(1))
}

/// RFC 7541 2.3.3 and 6.1.
fn indexes(asks: &Asks) -> Vec<Case> {
    let named = |pattern, bits, index| [integer(pattern, bits, index), string(b"1")].concat();
    vec![
        bad("HPACK 6.1", "index zero", asks, &indexed(0)),
        bad(
            "HPACK 2.3.3",
            "an index behind the static table, the dynamic one empty",
            asks,
            &indexed(FIRST),
        ),
        bad(
            "HPACK 2.3.3",
            "an index far beyond the tables",
            asks,
            &indexed(1_000_000),
        ),
        bad(
            "HPACK 2.3.3",
            "the name of a kept field beyond the tables",
            asks,
            &named(0x40, 6, FIRST),
        ),
        bad(
            "HPACK 2.3.3",
            "the name of a plain field beyond the tables",
            asks,
            &named(0, 4, FIRST),
        ),
        bad(
            "HPACK 2.3.3",
            "the name of a field never kept beyond the tables",
            asks,
            &named(0x10, 4, FIRST),
        ),
        good(
            "HPACK 2.3.1",
            "the last entry of the static table as a name",
            asks,
            &named(0, 4, 61),
        ),
        good(
            "HPACK 2.3.1",
            "an entry of the static table",
            asks,
            &indexed(16),
        ),
        case(
            "HPACK 2.3.1",
            "a request of static entries",
            headers(
                1,
                &[
                    indexed(2),
                    indexed(7),
                    asks.of(&[(b":authority", HERE)]),
                    indexed(4),
                    asks.of(&[asks.session()]),
                ]
                .concat(),
            ),
            Answered(1),
        ),
    ]
}

/// RFC 7541 5.1.
fn numbers(asks: &Asks) -> Vec<Case> {
    let endless = |first: u8| [&[first][..], &[0xff; 12], &[0x0f]].concat();
    let wrapped = |first: u8| [&[first][..], &[0x80; 9], &[0x02]].concat();
    vec![
        bad(
            "HPACK 5.1",
            "an index beyond every number",
            asks,
            &endless(0xff),
        ),
        bad(
            "HPACK 5.1",
            "an index that is small once it has overflowed",
            asks,
            &wrapped(0xff),
        ),
        bad(
            "HPACK 5.1",
            "the index of a name beyond every number",
            asks,
            &endless(0x7f),
        ),
        bad(
            "HPACK 5.1",
            "the length of a name beyond every number",
            asks,
            &[&[0], &endless(0x7f)[..]].concat(),
        ),
        bad(
            "HPACK 5.1",
            "the length of a value beyond every number",
            asks,
            &[&[0], &string(b"x")[..], &endless(0x7f)].concat(),
        ),
        bad(
            "HPACK 5.1",
            "a number that is padded without end",
            asks,
            &[&[0xff][..], &[0x80; 40], &[0]].concat(),
        ),
        bad("HPACK 5.1", "an index that breaks off", asks, &[0xff, 0x80]),
        bad(
            "HPACK 5.1",
            "an index of which only the first byte comes",
            asks,
            &[0xff],
        ),
        good(
            "HPACK 5.1",
            "a length that takes two bytes",
            asks,
            &plain(b"x-test", &[b'x'; 200]),
        ),
    ]
}

/// RFC 7541 5.2: strings and their Huffman code.
fn strings(asks: &Asks) -> Vec<Case> {
    let value = |code: &[u8]| [&[0], &string(b"x-test")[..], &coded(code)].concat();
    let name = |code: &[u8]| [&[0], &coded(code)[..], &string(b"1")].concat();
    vec![
        // `a` is 00011; `www.example.com` as RFC 7541 C.4.1 shows it.
        good(
            "HPACK 5.2",
            "a value in the Huffman code",
            asks,
            &value(&[
                0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
            ]),
        ),
        good(
            "HPACK 5.2",
            "a name in the Huffman code",
            asks,
            &name(&[0b0001_1111]),
        ),
        good(
            "HPACK 5.2",
            "an empty value in the Huffman code",
            asks,
            &value(&[]),
        ),
        bad(
            "HPACK 5.2",
            "padding of zeros",
            asks,
            &value(&[0b0001_1000]),
        ),
        bad(
            "HPACK 5.2",
            "padding of zeros and ones",
            asks,
            &value(&[0b0001_1110]),
        ),
        bad(
            "HPACK 5.2",
            "padding of eight bits and more",
            asks,
            &value(&[0b0001_1111, 0xff]),
        ),
        bad(
            "HPACK 5.2",
            "padding of eight bits alone",
            asks,
            &value(&[0xff]),
        ),
        bad(
            "HPACK 5.2",
            "padding of eight bits in a name",
            asks,
            &name(&[0b0001_1111, 0xff]),
        ),
        bad(
            "HPACK 5.2",
            "the end-of-string symbol",
            asks,
            &value(&[0xff, 0xff, 0xff, 0xfc]),
        ),
        bad(
            "HPACK 5.2",
            "the end-of-string symbol behind a letter",
            asks,
            &value(&[0b0001_1111, 0xff, 0xff, 0xff, 0xff]),
        ),
        bad(
            "HPACK 5.2",
            "a code that breaks off",
            asks,
            &value(&[0xff, 0xff, 0xfe]),
        ),
        bad(
            "HPACK 5.2",
            "a value longer than its block",
            asks,
            &[&[0], &string(b"x-test")[..], &[0x20, b'a']].concat(),
        ),
        bad(
            "HPACK 5.2",
            "a name longer than its block",
            asks,
            &[0, 0x20, b'a'],
        ),
        bad(
            "HPACK 6.2.2",
            "a field without a value",
            asks,
            &[&[0], &string(b"x-test")[..]].concat(),
        ),
        bad("HPACK 6.2.2", "a field without a name", asks, &[0]),
        bad(
            "HPACK 6.2.1",
            "a kept field without a value",
            asks,
            &integer(0x40, 6, 16),
        ),
    ]
}
