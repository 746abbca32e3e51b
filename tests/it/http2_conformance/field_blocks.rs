//! Field blocks as one unit over several frames, and how long they may be (RFC 9113 4.3, 6.10 and
//! 10.5.1).

use super::{
    asks::{Asks, HERE},
    case::{
        Answered, Case, ConnectionError, ENHANCE_YOUR_CALM, Expect, Malformed, OneOf,
        PROTOCOL_ERROR, Step, case, talk,
    },
};
use crate::support::h2_frames::{
    data, flag, frame, head, headers, kind, ping, plain, priority, reset, settings, window_update,
};

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [blocks(asks), continuations(asks), lists(asks)]
        .into_iter()
        .flatten()
        .collect()
}

fn refused() -> Expect {
    ConnectionError(PROTOCOL_ERROR)
}

/// RFC 9113 4.3 and 6.10: a block is one unit; nothing comes between its frames.
fn blocks(asks: &Asks) -> Vec<Case> {
    let whole = asks.with(&[]);
    let (first, rest) = whole.split_at(30);
    let begun = frame(kind::HEADERS, flag::END_STREAM, 1, first);
    let ended = frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest);
    let between = |name, frame: Vec<u8>| {
        let bytes = [begun.clone(), frame, ended.clone()].concat();
        case("4.3", name, bytes, ConnectionError(PROTOCOL_ERROR))
    };
    vec![
        between(
            "DATA in the middle of a block",
            data(flag::END_STREAM, 1, b"a"),
        ),
        between("HEADERS in the middle of a block", headers(1, &asks.good())),
        between(
            "HEADERS of another stream in the middle of a block",
            headers(3, &asks.good()),
        ),
        between("PRIORITY in the middle of a block", priority(1, 0)),
        between("RST_STREAM in the middle of a block", reset(1, 8)),
        between("SETTINGS in the middle of a block", settings(&[])),
        between(
            "PUSH_PROMISE in the middle of a block",
            frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2]),
        ),
        between("PING in the middle of a block", ping([0; 8])),
        between(
            "GOAWAY in the middle of a block",
            frame(kind::GOAWAY, 0, 0, &[0; 8]),
        ),
        between(
            "WINDOW_UPDATE in the middle of a block",
            window_update(1, 1),
        ),
        between(
            "CONTINUATION of another stream in the middle of a block",
            frame(kind::CONTINUATION, 0, 3, &[]),
        ),
        case(
            "5.5",
            "a frame of an unknown type in the middle of a block",
            [begun, frame(kind::UNKNOWN, 0, 0, b"?"), ended].concat(),
            ConnectionError(PROTOCOL_ERROR),
        ),
    ]
}

/// RFC 9113 6.10.
fn continuations(asks: &Asks) -> Vec<Case> {
    let good = asks.good();
    let bad = asks.with(&[]);
    let begun = |block: &[u8]| frame(kind::HEADERS, flag::END_STREAM, 1, block);
    let going_on = |block: &[u8]| frame(kind::CONTINUATION, 0, 1, block);
    let ending = |stream, block: &[u8]| frame(kind::CONTINUATION, flag::END_HEADERS, stream, block);
    let trailers = asks.of(&[(b"x-sum", b"1")]);
    let split_trailers = [
        head(1, &asks.post()),
        begun(&trailers[..5]),
        ending(1, &trailers[5..]),
    ]
    .concat();
    let everywhere = (1..good.len()).flat_map(|at| {
        let stream = u32::try_from(2 * at + 1).expect("a short block");
        let first = frame(kind::HEADERS, flag::END_STREAM, stream, &good[..at]);
        let bytes = [first, ending(stream, &good[at..])].concat();
        [Step::Send(bytes), Step::Ended(stream)]
    });
    let last = u32::try_from(2 * good.len() - 1).expect("a short block");
    let everywhere = talk(
        "6.10",
        "a block cut at every byte",
        everywhere.collect(),
        Answered(last),
    );
    vec![
        case(
            "6.10",
            "a block in three frames",
            [
                begun(&good[..10]),
                going_on(&good[10..40]),
                ending(1, &good[40..]),
            ]
            .concat(),
            Answered(1),
        ),
        everywhere,
        case(
            "6.10",
            "a block that begins in CONTINUATION",
            [begun(&[]), ending(1, &good)].concat(),
            Answered(1),
        ),
        case(
            "6.10",
            "an empty CONTINUATION",
            [begun(&good), going_on(&[]), ending(1, &[])].concat(),
            Answered(1),
        ),
        case(
            "6.10",
            "trailers in two frames",
            split_trailers,
            Answered(1),
        ),
        case(
            "6.10",
            "CONTINUATION on the connection",
            [begun(&bad), ending(0, &[])].concat(),
            refused(),
        ),
        case(
            "6.10",
            "CONTINUATION without HEADERS on the connection",
            ending(0, &bad),
            refused(),
        ),
        case(
            "6.10",
            "CONTINUATION behind the end of its block",
            [headers(1, &asks.held()), ending(1, &trailers)].concat(),
            refused(),
        ),
        case(
            "6.10",
            "CONTINUATION behind CONTINUATION that ended the block",
            [begun(&asks.held()), ending(1, &[]), ending(1, &trailers)].concat(),
            refused(),
        ),
        case(
            "6.10",
            "CONTINUATION behind DATA",
            [
                head(1, &asks.held()),
                data(0, 1, b"a"),
                ending(1, &trailers),
            ]
            .concat(),
            refused(),
        ),
    ]
}

/// RFC 9113 8.3 and 10.5.1: a list in pieces is one list, and its length has a limit.
fn lists(asks: &Asks) -> Vec<Case> {
    let pieces = |first: &[u8], rest: &[Vec<u8>]| {
        let mut bytes = frame(kind::HEADERS, flag::END_STREAM, 1, first);
        for (at, piece) in rest.iter().enumerate() {
            let flags = if at + 1 == rest.len() {
                flag::END_HEADERS
            } else {
                0
            };
            bytes.extend(frame(kind::CONTINUATION, flags, 1, piece));
        }
        bytes
    };
    let path: &[(&[u8], &[u8])] = &[(b":path", b"/")];
    let late: &[(&[u8], &[u8])] = &[
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", HERE),
    ];
    let filler = vec![plain(b"x-filler", &[b'x'; 16_000]); 16];
    let too_long = || OneOf(vec![Malformed(1), ConnectionError(ENHANCE_YOUR_CALM)]);
    let many: Vec<u8> = (0..400).flat_map(|_| plain(b"x-filler", b"")).collect();
    vec![
        case(
            "8.3",
            "a second :path in CONTINUATION",
            pieces(&asks.with(&[]), &[asks.of(path)]),
            Malformed(1),
        ),
        case(
            "8.3",
            ":path behind a regular field, in CONTINUATION",
            pieces(&asks.bad(late, &[]), &[asks.of(path)]),
            Malformed(1),
        ),
        case(
            "8.2.2",
            "a connection-specific field in CONTINUATION",
            pieces(&asks.with(&[]), &[asks.of(&[(b"connection", b"close")])]),
            Malformed(1),
        ),
        case(
            "10.5.1",
            "a list longer than announced",
            pieces(&asks.with(&[]), &filler[..3]),
            too_long(),
        ),
        case(
            "10.5.1",
            "a list many times as long as announced",
            pieces(&asks.with(&[]), &filler),
            too_long(),
        ),
        case(
            "10.5.1",
            "a list of more fields than anybody takes",
            pieces(&asks.with(&[]), &[many]),
            too_long(),
        ),
        case(
            "10.5.1",
            "a block in more frames than anybody sends",
            pieces(&asks.with(&[]), &vec![Vec::new(); 10_000]),
            too_long(),
        ),
    ]
}
