//! Types of frames: where each may stand, how long it is, and what it may hold (RFC 9113 6.1 to
//! 6.8).

use super::{
    asks::Asks,
    case::{
        Answered, CANCEL, Case, ConnectionError, Expect, FRAME_SIZE_ERROR, HeardThat, Ignored,
        OneOf, PROTOCOL_ERROR, StreamError, case,
    },
};
use crate::support::h2_frames::{
    data, dependency, flag, frame, head, headers, kind, ping, priority, reset,
};

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    let tables = [
        data_frames,
        header_frames,
        priority_and_reset,
        pushes,
        pings,
        goaways,
    ];
    tables.into_iter().flat_map(|table| table(asks)).collect()
}

fn refused() -> Expect {
    ConnectionError(PROTOCOL_ERROR)
}

fn wrong_length() -> Expect {
    ConnectionError(FRAME_SIZE_ERROR)
}

/// RFC 9113 6.1.
fn data_frames(asks: &Asks) -> Vec<Case> {
    let padded = flag::PADDED | flag::END_STREAM;
    let good = |payload: &[u8]| [head(1, &asks.post()), data(padded, 1, payload)].concat();
    let bad = |payload: &[u8]| [head(1, &asks.with(&[])), data(padded, 1, payload)].concat();
    let odd = OneOf(vec![Answered(1), refused()]);
    vec![
        case("6.1", "DATA on the connection", data(0, 0, b"a"), refused()),
        case(
            "6.1",
            "DATA with padding",
            good(b"\x03abc\0\0\0"),
            Answered(1),
        ),
        case(
            "6.1",
            "DATA of padding alone",
            good(b"\x03\0\0\0"),
            Answered(1),
        ),
        case(
            "6.1",
            "DATA with padding of no length",
            good(b"\0abc"),
            Answered(1),
        ),
        case(
            "6.1",
            "DATA with padding that is not zero",
            good(b"\x03abcxyz"),
            odd,
        ),
        case(
            "6.1",
            "DATA with padding of the length of its payload",
            bad(b"\x04abc"),
            refused(),
        ),
        case(
            "6.1",
            "DATA with more padding than payload",
            bad(b"\xffabc"),
            refused(),
        ),
        case(
            "6.1",
            "DATA with the flag of padding and not a byte",
            bad(b""),
            OneOf(vec![
                refused(),
                wrong_length(),
                StreamError(1, FRAME_SIZE_ERROR),
            ]),
        ),
    ]
}

/// RFC 9113 6.2.
fn header_frames(asks: &Asks) -> Vec<Case> {
    let ended = flag::END_STREAM | flag::END_HEADERS;
    let padded = |payload: Vec<u8>| frame(kind::HEADERS, ended | flag::PADDED, 1, &payload);
    let good = asks.good();
    let bad = asks.with(&[]);
    let more_than_rest = u8::try_from(bad.len() + 1).expect("a short request");
    let both = frame(
        kind::HEADERS,
        ended | flag::PADDED | flag::PRIORITY,
        1,
        &[&[2], &dependency(0)[..], &good, &[0; 2]].concat(),
    );
    vec![
        case(
            "6.2",
            "HEADERS on the connection",
            headers(0, &bad),
            refused(),
        ),
        case(
            "6.2",
            "HEADERS with padding",
            padded([&[2], &good[..], &[0; 2]].concat()),
            Answered(1),
        ),
        case(
            "6.2",
            "HEADERS with padding of no length",
            padded([&[0], &good[..]].concat()),
            Answered(1),
        ),
        case(
            "6.2",
            "HEADERS with padding and priority",
            both,
            Answered(1),
        ),
        case(
            "6.2",
            "HEADERS with more padding than payload",
            padded([&[more_than_rest], &bad[..]].concat()),
            refused(),
        ),
        case(
            "6.2",
            "HEADERS whose padding reaches into its priority",
            frame(
                kind::HEADERS,
                ended | flag::PADDED | flag::PRIORITY,
                1,
                &[&[4], &dependency(0)[..], &[0; 3]].concat(),
            ),
            refused(),
        ),
        case(
            "6.2",
            "HEADERS with the flag of padding and not a byte",
            padded(Vec::new()),
            OneOf(vec![refused(), wrong_length()]),
        ),
    ]
}

/// RFC 9113 6.3 and 6.4.
fn priority_and_reset(asks: &Asks) -> Vec<Case> {
    let held = headers(1, &asks.held());
    let priority_of = |length: usize| frame(kind::PRIORITY, 0, 1, &vec![0; length]);
    let reset_of = |length: usize| {
        [
            held.clone(),
            frame(kind::RST_STREAM, 0, 1, &vec![0; length]),
        ]
        .concat()
    };
    let too_short = || StreamError(1, FRAME_SIZE_ERROR);
    vec![
        case(
            "6.3",
            "PRIORITY on the connection",
            priority(0, 1),
            refused(),
        ),
        case(
            "6.3",
            "PRIORITY of four bytes",
            [held.clone(), priority_of(4)].concat(),
            too_short(),
        )
        .but_wider(),
        case(
            "6.3",
            "PRIORITY of six bytes",
            [held.clone(), priority_of(6)].concat(),
            too_short(),
        )
        .but_wider(),
        case(
            "6.3",
            "PRIORITY of four bytes on an idle stream",
            priority_of(4),
            too_short(),
        )
        .but_wider(),
        case(
            "6.4",
            "RST_STREAM on the connection",
            reset(0, CANCEL),
            refused(),
        ),
        case(
            "6.4",
            "RST_STREAM of three bytes",
            reset_of(3),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.4",
            "RST_STREAM of five bytes",
            reset_of(5),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.4",
            "RST_STREAM without a byte",
            reset_of(0),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "7",
            "RST_STREAM with a code that nobody knows",
            [held.clone(), reset(1, 0xdead)].concat(),
            Ignored,
        ),
    ]
}

/// RFC 9113 6.6 and 8.4: a client cannot push.
fn pushes(asks: &Asks) -> Vec<Case> {
    let push = |stream, promised: u32| {
        let payload = [&promised.to_be_bytes()[..], &asks.with(&[])].concat();
        frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, &payload)
    };
    let behind = |frame: Vec<u8>| [head(1, &asks.held()), frame].concat();
    vec![
        case(
            "6.6",
            "PUSH_PROMISE on the connection",
            push(0, 2),
            refused(),
        ),
        case(
            "6.6",
            "PUSH_PROMISE without a promised stream",
            behind(frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0])),
            OneOf(vec![refused(), wrong_length()]),
        ),
        case(
            "6.6",
            "PUSH_PROMISE on a stream of the server",
            push(2, 4),
            refused(),
        ),
        case(
            "8.4",
            "PUSH_PROMISE of a stream of the client",
            behind(push(1, 3)),
            refused(),
        ),
        case(
            "8.4",
            "PUSH_PROMISE of a stream of the server",
            behind(push(1, 2)),
            refused(),
        ),
        case(
            "8.4",
            "PUSH_PROMISE behind the end of a request",
            [headers(1, &asks.held()), push(1, 2)].concat(),
            refused(),
        ),
    ]
}

/// RFC 9113 6.7.
fn pings(asks: &Asks) -> Vec<Case> {
    let of_length = |length: usize| frame(kind::PING, 0, 0, &vec![0; length]);
    vec![
        case(
            "6.7",
            "PING is answered with its payload",
            ping(*b"12345678"),
            HeardThat("the same payload", |it| {
                it.pongs().last() == Some(&&b"12345678"[..])
            }),
        ),
        case(
            "6.7",
            "the answer to a PING that nobody sent",
            frame(kind::PING, flag::ACK, 0, b"12345678"),
            HeardThat("no answer to the answer", |it| {
                !it.pongs().contains(&&b"12345678"[..])
            }),
        ),
        case(
            "6.7",
            "PING on a stream",
            frame(kind::PING, 0, 1, &[0; 8]),
            refused(),
        ),
        case(
            "6.7",
            "PING on a stream in use",
            [headers(1, &asks.held()), frame(kind::PING, 0, 1, &[0; 8])].concat(),
            refused(),
        ),
        case("6.7", "PING of seven bytes", of_length(7), wrong_length()).but_unspecific(),
        case("6.7", "PING of nine bytes", of_length(9), wrong_length()).but_unspecific(),
        case("6.7", "PING without a byte", of_length(0), wrong_length()).but_unspecific(),
        case(
            "6.7",
            "the answer to a PING of seven bytes",
            frame(kind::PING, flag::ACK, 0, &[0; 7]),
            wrong_length(),
        )
        .but_unspecific(),
    ]
}

/// RFC 9113 6.8 and 7.
fn goaways(asks: &Asks) -> Vec<Case> {
    let goaway = |stream, code: u32, debug: &[u8]| {
        let payload = [&[0; 4][..], &code.to_be_bytes(), debug].concat();
        frame(kind::GOAWAY, 0, stream, &payload)
    };
    let served = |goaway: Vec<u8>| {
        [
            head(1, &asks.post()),
            goaway,
            data(flag::END_STREAM, 1, b"a"),
        ]
        .concat()
    };
    let answered = || HeardThat("an answer to what was asked before", |it| it.is_answered(1));
    vec![
        case("6.8", "GOAWAY on a stream", goaway(1, 0, b""), refused()),
        case(
            "6.8",
            "GOAWAY of seven bytes",
            frame(kind::GOAWAY, 0, 0, &[0; 7]),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.8",
            "GOAWAY without a byte",
            frame(kind::GOAWAY, 0, 0, &[]),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.8",
            "GOAWAY in the middle of a request",
            served(goaway(0, 0, b"")),
            answered(),
        )
        .without_probe(),
        case(
            "6.8",
            "GOAWAY with words of its own",
            served(goaway(0, 0, b"so long")),
            answered(),
        )
        .without_probe(),
        case(
            "7",
            "GOAWAY with a code that nobody knows",
            served(goaway(0, 0xdead, b"")),
            answered(),
        )
        .without_probe(),
    ]
}
