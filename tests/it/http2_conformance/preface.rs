//! How a connection begins (RFC 9113 3.4).

use super::{
    asks::Asks,
    case::{
        Answered, Case, Closed, ConnectionError, FRAME_SIZE_ERROR, HeardThat, Ignored, OneOf,
        PROTOCOL_ERROR, case,
    },
};
use crate::support::h2_frames::{PREFACE, frame, headers, kind, ping, settings, settings_ack};

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    let good = headers(1, &asks.good());
    let bad = headers(1, &asks.with(&[]));
    let hello = [PREFACE, &settings(&[])].concat();
    let mut broken = hello.clone();
    broken[23] = b'\r';
    let never = Closed;
    let not_settings = || ConnectionError(PROTOCOL_ERROR);
    vec![
        case(
            "3.4",
            "another text in the preface's place",
            [b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n", &settings(&[])[..]].concat(),
            never.clone(),
        ),
        case(
            "3.4",
            "a preface whose last byte is wrong",
            broken,
            never.clone(),
        ),
        case(
            "3.4",
            "a request of HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: wiki.example\r\nx-malformed: 1\r\n\r\n".to_vec(),
            never.clone(),
        ),
        case(
            "3.4",
            "frames without a preface",
            [settings(&[]), bad.clone()].concat(),
            never.clone(),
        ),
        case(
            "3.4",
            "a preface with an empty line before it",
            [b"\r\n", &hello[..]].concat(),
            never,
        ),
        case(
            "3.4",
            "a request before SETTINGS",
            [PREFACE, &bad, &settings(&[])].concat(),
            not_settings(),
        )
        .but_listed(Answered(1)),
        case(
            "3.4",
            "a PING before SETTINGS",
            [PREFACE, &ping([0; 8]), &settings(&[])].concat(),
            not_settings(),
        )
        .but_listed(Ignored),
        case(
            "3.4",
            "an acknowledgement before SETTINGS",
            [PREFACE, &settings_ack(), &settings(&[])].concat(),
            not_settings(),
        )
        .but_listed(Ignored),
        case(
            "3.4",
            "an unknown frame before SETTINGS",
            [PREFACE, &frame(kind::UNKNOWN, 0, 0, b"?"), &settings(&[])].concat(),
            OneOf(vec![not_settings(), Ignored]),
        ),
        case(
            "3.4",
            "SETTINGS without values",
            [&hello[..], &good].concat(),
            Answered(1),
        ),
        case(
            "3.4",
            "a request behind SETTINGS that nobody has answered yet",
            [&hello[..], &good, &settings_ack()].concat(),
            Answered(1),
        ),
        case(
            "3.4",
            "the server says SETTINGS before anything else",
            hello.clone(),
            HeardThat("SETTINGS first", |it| {
                it.frames
                    .first()
                    .is_some_and(|it| (it.kind, it.flags, it.stream) == (kind::SETTINGS, 0, 0))
            }),
        ),
        case(
            "3.4",
            "a second preface",
            [&hello[..], PREFACE].concat(),
            ConnectionError(FRAME_SIZE_ERROR),
        ),
    ]
    .into_iter()
    .map(Case::opened_by_its_steps)
    .collect()
}
