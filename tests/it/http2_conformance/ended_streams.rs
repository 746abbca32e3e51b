//! What comes on a stream behind its end, whoever ended it (RFC 9113 5.1 and 5.4.2).

use super::{
    asks::Asks,
    case::{
        CANCEL, Case, ConnectionError, Expect, Ignored, OneOf, PROTOCOL_ERROR, STREAM_CLOSED, Step,
        StreamError, case, talk,
    },
};
use crate::support::h2_frames::{
    data, flag, frame, head, headers, kind, priority, reset, window_update,
};

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [half_closed(asks), closed(asks), reset_by_us(asks)]
        .into_iter()
        .flatten()
        .collect()
}

fn refused() -> Expect {
    ConnectionError(PROTOCOL_ERROR)
}

/// RFC 9113 5.1: a request is whole, and its answer is still to come.
fn half_closed(asks: &Asks) -> Vec<Case> {
    let held = headers(1, &asks.held());
    let behind = |frame: Vec<u8>| [held.clone(), frame].concat();
    let closed = || StreamError(1, STREAM_CLOSED);
    let trailers = asks.of(&[(b"x-sum", b"1")]);
    let ended = [head(1, &asks.held()), headers(1, &trailers)].concat();
    vec![
        case(
            "5.1",
            "DATA behind the end of a request",
            behind(data(flag::END_STREAM, 1, b"a")),
            closed(),
        )
        .but_wider(),
        case(
            "5.1",
            "DATA behind trailers",
            [ended.clone(), data(0, 1, b"a")].concat(),
            closed(),
        )
        .but_wider(),
        case(
            "5.1",
            "trailers behind the end of a request",
            behind(headers(1, &trailers)),
            closed(),
        )
        .but_wider(),
        case(
            "5.1",
            "trailers behind trailers",
            [ended, headers(1, &trailers)].concat(),
            closed(),
        )
        .but_wider(),
        case(
            "5.1",
            "a second head behind the end of a request",
            behind(head(1, &asks.with(&[]))),
            closed(),
        )
        .but_listed(StreamError(1, PROTOCOL_ERROR)),
        case(
            "5.1",
            "CONTINUATION behind the end of a request",
            behind(frame(kind::CONTINUATION, flag::END_HEADERS, 1, &trailers)),
            OneOf(vec![closed(), refused()]),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE behind the end of a request",
            behind(window_update(1, 1)),
            Ignored,
        ),
        case(
            "5.1",
            "PRIORITY behind the end of a request",
            behind(priority(1, 0)),
            Ignored,
        ),
        case(
            "5.1",
            "RST_STREAM behind the end of a request",
            behind(reset(1, CANCEL)),
            Ignored,
        ),
        case(
            "5.4.2",
            "RST_STREAM is not answered with RST_STREAM",
            behind([reset(1, CANCEL), reset(1, CANCEL)].concat()),
            Ignored,
        ),
    ]
}

/// RFC 9113 5.1: what comes behind an answer, or behind the client's own reset.
fn closed(asks: &Asks) -> Vec<Case> {
    let trailers = asks.of(&[(b"x-sum", b"1")]);
    let answered = |name, frame: Vec<u8>, expect| {
        let asked = Step::Send(headers(1, &asks.good()));
        talk(
            "5.1",
            name,
            vec![asked, Step::Ended(1), Step::Ping, Step::Send(frame)],
            expect,
        )
    };
    let gone = |name, frame: Vec<u8>, expect| {
        let asked = [head(1, &asks.held()), reset(1, CANCEL), frame].concat();
        case("5.1", name, asked, expect)
    };
    // Any other frame may be a connection error STREAM_CLOSED; an identifier that is used again is
    // a connection error of its own (5.1.1).
    let closed = || {
        vec![
            StreamError(1, STREAM_CLOSED),
            ConnectionError(STREAM_CLOSED),
        ]
    };
    let any = || OneOf(closed());
    let again = || OneOf([closed(), vec![refused()]].concat());
    vec![
        answered(
            "DATA behind an answer",
            data(flag::END_STREAM, 1, b"a"),
            any(),
        ),
        answered(
            "a second request on the stream of an answer",
            headers(1, &asks.with(&[])),
            again(),
        ),
        answered("trailers behind an answer", headers(1, &trailers), again()),
        answered(
            "CONTINUATION behind an answer",
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, &trailers),
            again(),
        ),
        answered(
            "WINDOW_UPDATE behind an answer",
            window_update(1, 1),
            Ignored,
        ),
        answered("PRIORITY behind an answer", priority(1, 0), Ignored),
        answered("RST_STREAM behind an answer", reset(1, CANCEL), Ignored),
        gone(
            "DATA behind the client's reset",
            data(flag::END_STREAM, 1, b"a"),
            any(),
        ),
        gone(
            "a second request behind the client's reset",
            headers(1, &asks.with(&[])),
            again(),
        ),
        gone(
            "CONTINUATION behind the client's reset",
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, &trailers),
            again(),
        ),
        gone(
            "WINDOW_UPDATE behind the client's reset",
            window_update(1, 1),
            Ignored,
        ),
        gone(
            "PRIORITY behind the client's reset",
            priority(1, 0),
            Ignored,
        ),
    ]
}

/// RFC 9113 5.1: frames that were on their way when the server reset their stream are discarded.
fn reset_by_us(asks: &Asks) -> Vec<Case> {
    // Malformed, so that the server resets it.
    let bad = head(1, &asks.with(&[(b"connection", b"close")]));
    let behind = |name, frame: Vec<u8>| {
        let steps = vec![Step::Send(bad.clone()), Step::Ended(1), Step::Send(frame)];
        talk("5.1", name, steps, StreamError(1, PROTOCOL_ERROR))
    };
    vec![
        behind(
            "DATA behind the server's reset",
            data(flag::END_STREAM, 1, &[0; 1000]),
        ),
        behind(
            "trailers behind the server's reset",
            headers(1, &asks.of(&[(b"x-sum", b"1")])),
        ),
        behind(
            "WINDOW_UPDATE behind the server's reset",
            window_update(1, 1),
        ),
        behind("PRIORITY behind the server's reset", priority(1, 0)),
        behind("RST_STREAM behind the server's reset", reset(1, CANCEL)),
    ]
}
