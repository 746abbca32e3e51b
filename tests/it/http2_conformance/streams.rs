//! What may be said on a stream that is idle or open, the identifiers of streams and their number
//! (RFC 9113 5.1 to 5.5).

use super::{
    asks::Asks,
    case::{
        Answered, CANCEL, Case, ConnectionError, Expect, Ignored, Malformed, OneOf, PROTOCOL_ERROR,
        REFUSED_STREAM, STREAM_CLOSED, Step, StreamError, case, talk,
    },
};
use crate::support::h2_frames::{
    data, dependency, flag, frame, head, headers, kind, priority, reset, setting, settings,
    window_update,
};

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [idle(asks), open(asks), identifiers(asks), others(asks)]
        .into_iter()
        .flatten()
        .collect()
}

fn refused() -> Expect {
    ConnectionError(PROTOCOL_ERROR)
}

/// RFC 9113 5.1: nothing but HEADERS and PRIORITY on an idle stream.
fn idle(asks: &Asks) -> Vec<Case> {
    let block = asks.with(&[]);
    vec![
        case(
            "5.1",
            "DATA on an idle stream",
            data(flag::END_STREAM, 1, b"a"),
            refused(),
        ),
        case(
            "5.1",
            "RST_STREAM on an idle stream",
            reset(1, CANCEL),
            refused(),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            window_update(1, 1),
            refused(),
        ),
        case(
            "5.1",
            "CONTINUATION on an idle stream",
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, &block),
            refused(),
        ),
        case(
            "5.1",
            "PUSH_PROMISE on an idle stream",
            frame(
                kind::PUSH_PROMISE,
                flag::END_HEADERS,
                1,
                &[&[0, 0, 0, 2], &block[..]].concat(),
            ),
            refused(),
        ),
        case(
            "5.1",
            "PRIORITY on an idle stream",
            [priority(3, 0), headers(1, &asks.good())].concat(),
            Answered(1),
        ),
        case(
            "5.1",
            "DATA on an idle stream of the server",
            data(0, 2, b"a"),
            refused(),
        ),
        case(
            "5.1",
            "RST_STREAM on an idle stream of the server",
            reset(2, CANCEL),
            refused(),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on an idle stream of the server",
            window_update(2, 1),
            refused(),
        ),
    ]
}

/// RFC 9113 5.1 and 8.1: the frames of one request.
fn open(asks: &Asks) -> Vec<Case> {
    let post = head(1, &asks.post());
    let end = data(flag::END_STREAM, 1, b"");
    let trailers = headers(1, &asks.of(&[(b"x-sum", b"1")]));
    vec![
        case(
            "5.1",
            "DATA in pieces, the last empty",
            [
                post.clone(),
                data(0, 1, b"a"),
                data(0, 1, b"b"),
                end.clone(),
            ]
            .concat(),
            Answered(1),
        ),
        case(
            "5.1",
            "trailers behind DATA",
            [post.clone(), data(0, 1, b"a"), trailers.clone()].concat(),
            Answered(1),
        ),
        case(
            "5.1",
            "trailers behind HEADERS",
            [post.clone(), trailers].concat(),
            Answered(1),
        ),
        case(
            "5.1",
            "PRIORITY and WINDOW_UPDATE on an open stream",
            [
                post.clone(),
                priority(1, 0),
                window_update(1, 1),
                end.clone(),
            ]
            .concat(),
            Answered(1),
        ),
        case(
            "5.1",
            "RST_STREAM on an open stream",
            [head(1, &asks.held()), reset(1, CANCEL)].concat(),
            Ignored,
        ),
        case(
            "8.1",
            "trailers that do not end the stream",
            [
                head(1, &asks.with(&[])),
                head(1, &asks.of(&[(b"x-sum", b"1")])),
                end,
            ]
            .concat(),
            Malformed(1),
        ),
    ]
}

/// RFC 9113 5.1.1.
fn identifiers(asks: &Asks) -> Vec<Case> {
    const LAST: u32 = 0x7fff_ffff;
    let good = asks.good();
    let bad = asks.with(&[]);
    vec![
        case(
            "5.1.1",
            "a request on a stream of the server",
            headers(2, &bad),
            refused(),
        ),
        case(
            "5.1.1",
            "a request on a lower stream than the last",
            [headers(5, &good), headers(3, &bad)].concat(),
            refused(),
        ),
        case(
            "5.1.1",
            "a request on the stream before an unfinished one",
            [head(5, &asks.held()), headers(3, &bad)].concat(),
            refused(),
        ),
        case(
            "5.1.1",
            "streams that are left out",
            [headers(7, &good), headers(1001, &good)].concat(),
            Answered(1001),
        ),
        case(
            "5.1.1",
            "WINDOW_UPDATE on a stream that was left out",
            [headers(5, &good), window_update(3, 1)].concat(),
            Ignored,
        ),
        case(
            "5.1.1",
            "DATA on a stream that was left out",
            [headers(5, &good), data(0, 3, b"a")].concat(),
            OneOf(vec![
                StreamError(3, STREAM_CLOSED),
                ConnectionError(STREAM_CLOSED),
            ]),
        ),
        case(
            "5.1.1",
            "the last stream there is",
            headers(LAST, &good),
            Answered(LAST),
        )
        .without_probe(),
        talk(
            "5.1.1",
            "a request behind the last stream there is",
            vec![
                Step::Send(headers(LAST, &good)),
                Step::Ended(LAST),
                Step::Send(headers(1, &bad)),
            ],
            refused(),
        )
        .without_probe(),
    ]
}

/// RFC 9113 5.1.2, 5.3 and 5.5.
fn others(asks: &Asks) -> Vec<Case> {
    let held: Vec<u8> = (0..100)
        .flat_map(|at| headers(2 * at + 1, &asks.held()))
        .collect();
    let one_more = [held.clone(), headers(201, &asks.with(&[]))].concat();
    let freed = [held, reset(1, CANCEL), headers(201, &asks.good())].concat();
    let ended = flag::END_STREAM | flag::END_HEADERS | flag::PRIORITY;
    let depending = |on| {
        frame(
            kind::HEADERS,
            ended,
            1,
            &[dependency(on), asks.good()].concat(),
        )
    };
    let one_refused = OneOf(vec![
        StreamError(201, REFUSED_STREAM),
        StreamError(201, PROTOCOL_ERROR),
    ]);
    let more = vec![
        Step::Send(one_more),
        Step::Ended(201),
        Step::Send(reset(1, CANCEL)),
    ];
    vec![
        talk(
            "5.1.2",
            "a request beyond the limit of streams",
            more,
            one_refused,
        ),
        talk(
            "5.1.2",
            "a request in the place of one that was reset",
            vec![Step::Send(freed), Step::Ended(201)],
            Answered(201),
        ),
        case(
            "5.3",
            "a request that depends on another stream",
            depending(11),
            Answered(1),
        ),
        case(
            "5.3",
            "a request that depends on itself",
            depending(1),
            OneOf(vec![Answered(1), StreamError(1, PROTOCOL_ERROR)]),
        ),
        case(
            "5.3",
            "PRIORITY that depends on itself",
            priority(1, 1),
            OneOf(vec![Ignored, StreamError(1, PROTOCOL_ERROR)]),
        ),
        case(
            "5.5",
            "a setting that nobody knows",
            settings(&[(0xf0f0, 1), (0, 0)]),
            Ignored,
        ),
        case(
            "5.5",
            "a setting of an extension that was not agreed on",
            settings(&[(setting::ENABLE_CONNECT_PROTOCOL, 1)]),
            Ignored,
        ),
    ]
}
