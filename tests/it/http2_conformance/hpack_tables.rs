//! The dynamic table: its size, what it holds, and that blocks of refused requests count for it
//! (RFC 7541 2.3 and 4, RFC 9113 4.3).

use super::{
    asks::{Asks, HERE},
    case::{
        Answered, COMPRESSION_ERROR, Case, ConnectionError, Malformed, PROTOCOL_ERROR, StreamError,
        case,
    },
    hpack::{FIRST, bad, good},
};
use crate::support::h2_frames::{
    flag, frame, head, headers, indexed, integer, kept, kind, plain, string, table_size,
};

/// What the dynamic table may hold unless the server says otherwise.
const TABLE: usize = 4096;

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    let tables = [sizes, contents, across_requests];
    tables.into_iter().flat_map(|table| table(asks)).collect()
}

/// RFC 7541 4.2 and 6.3: the size of the dynamic table.
fn sizes(asks: &Asks) -> Vec<Case> {
    let first = |name, sizes: &[usize]| {
        let sizes: Vec<u8> = sizes.iter().flat_map(|it| table_size(*it)).collect();
        case(
            "HPACK 4.2",
            name,
            headers(1, &[sizes, asks.good()].concat()),
            Answered(1),
        )
    };
    let first_bad = |section, name, size: Vec<u8>| {
        let block = [size, asks.with(&[])].concat();
        case(
            section,
            name,
            headers(1, &block),
            ConnectionError(COMPRESSION_ERROR),
        )
        .but_unspecific()
    };
    let resumed = [
        frame(kind::HEADERS, flag::END_STREAM, 1, &asks.with(&[])),
        frame(
            kind::CONTINUATION,
            flag::END_HEADERS,
            1,
            &[table_size(0), plain(b"x-test", b"1")].concat(),
        ),
    ];
    vec![
        first("a table of size zero", &[0]),
        first("a table of the largest size", &[TABLE]),
        first("two sizes at the beginning", &[0, TABLE]),
        first_bad(
            "HPACK 6.3",
            "a table larger than announced",
            table_size(TABLE + 1),
        ),
        first_bad(
            "HPACK 6.3",
            "a table larger than every number",
            [&[0x3f][..], &[0xff; 12], &[0x0f]].concat(),
        ),
        first_bad(
            "HPACK 6.3",
            "a table larger than announced behind one that is not",
            [table_size(0), table_size(1 << 20)].concat(),
        ),
        bad(
            "HPACK 4.2",
            "a size at the end of a block",
            asks,
            &table_size(0),
        ),
        bad(
            "HPACK 4.2",
            "a size in the middle of a block",
            asks,
            &[table_size(0), plain(b"x-test", b"1")].concat(),
        ),
        case(
            "HPACK 4.2",
            "a size in the middle of a block, first in its frame",
            resumed.concat(),
            ConnectionError(COMPRESSION_ERROR),
        )
        .but_listed(Answered(1)),
    ]
}

/// RFC 7541 2.3.2, 4.4 and 6.2: what the dynamic table holds.
fn contents(asks: &Asks) -> Vec<Case> {
    let field = kept(b"x-kept", b"1");
    let never = [&[0x10], &string(b"x-never")[..], &string(b"1")].concat();
    let large = kept(b"x-large", &[b'x'; TABLE]);
    let emptied = [
        table_size(0),
        table_size(TABLE),
        asks.with(&[]),
        indexed(FIRST),
    ]
    .concat();
    let emptied = [
        headers(1, &[asks.good(), field.clone()].concat()),
        headers(3, &emptied),
    ]
    .concat();
    let unreadable = ConnectionError(COMPRESSION_ERROR);
    vec![
        good(
            "HPACK 2.3.2",
            "a field kept and used in one block",
            asks,
            &[field.clone(), indexed(FIRST)].concat(),
        ),
        good(
            "HPACK 6.2.1",
            "a kept field whose name is in the dynamic table",
            asks,
            &[
                field.clone(),
                integer(0x40, 6, FIRST),
                string(b"2"),
                indexed(FIRST + 1),
            ]
            .concat(),
        ),
        bad(
            "HPACK 2.3.3",
            "an index behind the one field that was kept",
            asks,
            &[field.clone(), indexed(FIRST + 1)].concat(),
        ),
        bad(
            "HPACK 6.2.2",
            "a plain field is not kept",
            asks,
            &[plain(b"x-plain", b"1"), indexed(FIRST)].concat(),
        ),
        bad(
            "HPACK 6.2.3",
            "a field never kept is not kept",
            asks,
            &[never, indexed(FIRST)].concat(),
        ),
        good("HPACK 4.4", "a field larger than the table", asks, &large),
        bad(
            "HPACK 4.4",
            "a field larger than the table empties it",
            asks,
            &[field, large, indexed(FIRST)].concat(),
        ),
        case(
            "HPACK 4.3",
            "a table of size zero is empty",
            emptied,
            unreadable,
        )
        .but_unspecific(),
    ]
}

/// RFC 9113 4.3: blocks of refused requests count for the table as well.
fn across_requests(asks: &Asks) -> Vec<Case> {
    let field = kept(b"x-kept", b"1");
    let using = |stream| headers(stream, &[asks.good(), indexed(FIRST)].concat());
    let malformed = [asks.with(&[(b"connection", b"close")]), field.clone()].concat();
    let no_path = [
        asks.bad(
            &[
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", HERE),
            ],
            &[],
        ),
        field.clone(),
    ]
    .concat();
    let trailers = [head(1, &asks.post()), headers(1, &field)].concat();
    let after_reset = [head(1, &asks.with(&[(b"te", b"gzip")])), headers(1, &field)].concat();
    let nameless = [&asks.with(&[])[..], &[0, 0], &string(b"1")].concat();
    let nameless = [
        frame(kind::HEADERS, flag::END_STREAM, 1, &nameless),
        frame(
            kind::CONTINUATION,
            flag::END_HEADERS,
            1,
            &plain(b"x-test", b"1"),
        ),
    ];
    vec![
        case(
            "4.3",
            "a field of an earlier request",
            [headers(1, &[asks.good(), field.clone()].concat()), using(3)].concat(),
            Answered(3),
        ),
        case(
            "4.3",
            "a field of a malformed request",
            [headers(1, &malformed), using(3)].concat(),
            Answered(3),
        ),
        case(
            "4.3",
            "a field of a request without :path",
            [headers(1, &no_path), using(3)].concat(),
            Answered(3),
        ),
        case(
            "4.3",
            "a field of trailers",
            [trailers, using(3)].concat(),
            Answered(3),
        ),
        case(
            "4.3",
            "a field of trailers behind a reset",
            [after_reset, using(3)].concat(),
            Answered(3),
        ),
        case(
            "8.2.1",
            "an empty name at the end of a frame that does not end its block",
            nameless.concat(),
            Malformed(1),
        )
        .but_listed(Answered(1)),
        case(
            "4.3",
            "an unfinished block of a malformed request",
            [
                frame(
                    kind::HEADERS,
                    flag::END_STREAM,
                    1,
                    &asks.with(&[(b"te", b"gzip")]),
                ),
                frame(kind::CONTINUATION, flag::END_HEADERS, 1, &field),
                using(3),
            ]
            .concat(),
            StreamError(1, PROTOCOL_ERROR),
        )
        .but_wider(),
    ]
}
