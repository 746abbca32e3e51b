//! How much may be on its way, in both directions (RFC 9113 5.2 and 6.9).

use super::{
    asks::Asks,
    bed::{BODY, LARGE},
    case::{
        Answered, Case, ConnectionError, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HeardThat, Ignored,
        OneOf, PROTOCOL_ERROR, Step, StreamError, case, talk,
    },
};
use crate::support::h2_frames::{frame, head, headers, kind, setting, settings, window_update};

/// The largest window.
const LARGEST: u32 = (1 << 31) - 1;

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [from_client(asks), from_server(asks), updates(asks)]
        .into_iter()
        .flatten()
        .collect()
}

/// RFC 9113 5.2.1 and 6.9.1: what the client sends to somebody who does not read.
fn from_client(asks: &Asks) -> Vec<Case> {
    let stuck = asks.to(b"POST", b"/stuck/a");
    // A stream may hold a quarter of what the connection may.
    let streams = [1, 3, 5, 7, 9];
    let many = streams.map(|id| head(id, &stuck)).concat();
    let overrun = || ConnectionError(FLOW_CONTROL_ERROR);
    let on_stream = OneOf(vec![overrun(), StreamError(1, FLOW_CONTROL_ERROR)]);
    vec![
        talk(
            "6.9.1",
            "more DATA than the window of a stream",
            vec![Step::Send(head(1, &stuck)), Step::Overrun(&[1])],
            on_stream,
        ),
        talk(
            "6.9.1",
            "more DATA on several streams than the window of the connection",
            vec![Step::Send(many), Step::Overrun(&[1, 3, 5, 7, 9])],
            overrun(),
        ),
    ]
}

/// RFC 9113 6.9.1 and 6.9.2: what the server may send.
fn from_server(asks: &Asks) -> Vec<Case> {
    let body = headers(1, &asks.to(b"GET", b"/body"));
    let window = |size| settings(&[(setting::INITIAL_WINDOW_SIZE, size)]);
    let asked = |size| [window(size), body.clone()].concat();
    let begin = |bytes: Vec<u8>| vec![Step::Send(bytes), Step::Begun(1), Step::Ping, Step::Ping];
    let then = |mut steps: Vec<Step>, bytes: Vec<u8>| {
        steps.extend([Step::Send(bytes), Step::Ping]);
        steps
    };
    let large = vec![Step::Send(
        [window(LARGEST), headers(1, &asks.to(b"GET", b"/large"))].concat(),
    )];
    vec![
        talk(
            "6.9.1",
            "no window, no DATA",
            begin(asked(0)),
            HeardThat("no DATA", |it| {
                it.pieces(1).is_empty() && it.status(1) == Some(200)
            }),
        ),
        talk(
            "6.9.1",
            "a window of three bytes, three bytes",
            begin(asked(3)),
            HeardThat("three bytes", |it| it.body(1) == BODY[..3]),
        ),
        talk(
            "6.9.1",
            "a window that opens byte by byte",
            then(
                then(begin(asked(1)), window_update(1, 1)),
                window_update(1, LARGEST - 2),
            ),
            HeardThat("one byte, one byte, the rest", |it| {
                it.pieces(1).starts_with(&[1, 1]) && it.body(1) == BODY && it.is_answered(1)
            }),
        ),
        talk(
            "6.9.2",
            "a window that opens by SETTINGS",
            then(begin(asked(0)), window(100)),
            Answered(1),
        ),
        talk(
            "6.9.2",
            "a window that SETTINGS made negative",
            then(then(begin(asked(3)), window(1)), window_update(1, 3)),
            HeardThat("one byte more than before", |it| it.pieces(1) == [3, 1]),
        ),
        talk(
            "6.9.2",
            "a window that is still negative",
            then(then(begin(asked(3)), window(0)), window_update(1, 3)),
            HeardThat("no byte more than before", |it| it.pieces(1) == [3]),
        ),
        talk(
            "6.9.1",
            "the window of the connection holds an answer up",
            large,
            HeardThat("the first window", |it| it.body(1).len() == 65_535),
        ),
        case(
            "6.9.1",
            "the window of the connection is opened",
            [
                window(LARGEST),
                window_update(0, 100_000),
                headers(1, &asks.to(b"GET", b"/large")),
            ]
            .concat(),
            HeardThat("the whole answer", |it| {
                it.body(1).len() == LARGE && it.is_answered(1)
            }),
        ),
        case(
            "4.2",
            "frames stay within MAX_FRAME_SIZE",
            [
                window(LARGEST),
                window_update(0, 100_000),
                headers(1, &asks.to(b"GET", b"/large")),
            ]
            .concat(),
            HeardThat("short frames", |it| {
                it.is_answered(1) && it.pieces(1).iter().all(|it| *it <= 16_384)
            }),
        ),
    ]
}

/// RFC 9113 6.9.
fn updates(asks: &Asks) -> Vec<Case> {
    let held = headers(1, &asks.held());
    let behind = |frame: Vec<u8>| [held.clone(), frame].concat();
    let of_length =
        |stream, length: usize| behind(frame(kind::WINDOW_UPDATE, 0, stream, &vec![0; length]));
    let wrong_length = || ConnectionError(FRAME_SIZE_ERROR);
    let too_large = || ConnectionError(FLOW_CONTROL_ERROR);
    let reserved = 1 << 31;
    vec![
        case(
            "6.9",
            "WINDOW_UPDATE of nothing on the connection",
            window_update(0, 0),
            ConnectionError(PROTOCOL_ERROR),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of nothing but the reserved bit on the connection",
            window_update(0, reserved),
            ConnectionError(PROTOCOL_ERROR),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of nothing on a stream",
            behind(window_update(1, 0)),
            StreamError(1, PROTOCOL_ERROR),
        )
        .but_wider(),
        case(
            "6.9",
            "WINDOW_UPDATE with the reserved bit",
            behind(window_update(1, reserved | 1)),
            Ignored,
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of three bytes",
            of_length(1, 3),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.9",
            "WINDOW_UPDATE of five bytes",
            of_length(1, 5),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.9",
            "WINDOW_UPDATE of three bytes on the connection",
            of_length(0, 3),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.9.1",
            "WINDOW_UPDATE to the largest window",
            behind(window_update(1, LARGEST - 65_535)),
            Ignored,
        ),
        case(
            "6.9.1",
            "WINDOW_UPDATE beyond the largest window of a stream",
            behind(window_update(1, LARGEST)),
            StreamError(1, FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "two WINDOW_UPDATE beyond the largest window of a stream",
            behind([window_update(1, LARGEST - 65_535), window_update(1, 1)].concat()),
            StreamError(1, FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "WINDOW_UPDATE beyond the largest window of the connection",
            window_update(0, LARGEST),
            too_large(),
        ),
        case(
            "6.9.1",
            "two WINDOW_UPDATE beyond the largest window of the connection",
            [window_update(0, LARGEST - 65_535), window_update(0, 1)].concat(),
            too_large(),
        ),
        case(
            "6.9.2",
            "SETTINGS that make a window too large",
            behind(
                [
                    window_update(1, LARGEST - 65_535),
                    settings(&[(setting::INITIAL_WINDOW_SIZE, 65_536)]),
                ]
                .concat(),
            ),
            too_large(),
        ),
    ]
}
