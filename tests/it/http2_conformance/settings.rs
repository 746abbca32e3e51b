//! SETTINGS: where it may stand, and the values it may hold (RFC 9113 6.5, RFC 8441 3).

use super::{
    asks::Asks,
    case::{
        Answered, Case, ConnectionError, Expect, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HeardThat,
        Ignored, OneOf, PROTOCOL_ERROR, case,
    },
};
use crate::support::h2_frames::{flag, frame, headers, kind, setting, settings, settings_ack};

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [settings_frames(asks), setting_values(asks)]
        .into_iter()
        .flatten()
        .collect()
}

fn refused() -> Expect {
    ConnectionError(PROTOCOL_ERROR)
}

fn wrong_length() -> Expect {
    ConnectionError(FRAME_SIZE_ERROR)
}

/// RFC 9113 6.5 and 6.5.3.
fn settings_frames(asks: &Asks) -> Vec<Case> {
    let of_length = |length: usize| frame(kind::SETTINGS, 0, 0, &vec![0; length]);
    let ack_of = |length: usize| frame(kind::SETTINGS, flag::ACK, 0, &vec![0; length]);
    vec![
        case(
            "6.5",
            "SETTINGS on a stream",
            frame(kind::SETTINGS, 0, 1, &[]),
            refused(),
        ),
        case(
            "6.5",
            "SETTINGS on a stream in use",
            [headers(1, &asks.held()), frame(kind::SETTINGS, 0, 1, &[])].concat(),
            refused(),
        ),
        case(
            "6.5",
            "an acknowledgement with a value",
            ack_of(6),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.5",
            "an acknowledgement with a byte",
            ack_of(1),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.5",
            "SETTINGS of five bytes",
            of_length(5),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.5",
            "SETTINGS of seven bytes",
            of_length(7),
            wrong_length(),
        )
        .but_unspecific(),
        case(
            "6.5.3",
            "SETTINGS three times, each acknowledged",
            [settings(&[]), settings(&[]), settings(&[])].concat(),
            HeardThat("three acknowledgements", |it| {
                it.acknowledged_settings() == 4
            }),
        ),
        case(
            "6.5.3",
            "an acknowledgement that nobody waits for",
            settings_ack(),
            OneOf(vec![Ignored, refused()]),
        ),
    ]
}

/// RFC 9113 6.5.2 and RFC 8441 3.
fn setting_values(asks: &Asks) -> Vec<Case> {
    use setting::{
        ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE,
        MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE,
    };
    let all = |name, values: &[(u16, u32)], expect| {
        let bytes = [settings(values), headers(1, &asks.good())].concat();
        case("6.5.2", name, bytes, expect)
    };
    let good = |name, setting, value| all(name, &[(setting, value)], Answered(1));
    let bad = |name, setting, value| all(name, &[(setting, value)], refused());
    let too_large = |name, value| {
        let expect = ConnectionError(FLOW_CONTROL_ERROR);
        all(name, &[(INITIAL_WINDOW_SIZE, value)], expect).but_unspecific()
    };
    vec![
        bad("ENABLE_PUSH of two", ENABLE_PUSH, 2),
        good("ENABLE_PUSH of zero", ENABLE_PUSH, 0),
        good("ENABLE_PUSH of one", ENABLE_PUSH, 1),
        too_large("INITIAL_WINDOW_SIZE beyond the largest window", 1 << 31),
        too_large("INITIAL_WINDOW_SIZE of all bits", u32::MAX),
        good(
            "INITIAL_WINDOW_SIZE of the largest window",
            INITIAL_WINDOW_SIZE,
            (1 << 31) - 1,
        ),
        bad(
            "MAX_FRAME_SIZE below the smallest",
            MAX_FRAME_SIZE,
            (1 << 14) - 1,
        ),
        bad("MAX_FRAME_SIZE of zero", MAX_FRAME_SIZE, 0),
        bad("MAX_FRAME_SIZE above the largest", MAX_FRAME_SIZE, 1 << 24),
        good(
            "MAX_FRAME_SIZE of the largest",
            MAX_FRAME_SIZE,
            (1 << 24) - 1,
        ),
        good("MAX_CONCURRENT_STREAMS of zero", MAX_CONCURRENT_STREAMS, 0),
        good("HEADER_TABLE_SIZE of all bits", HEADER_TABLE_SIZE, u32::MAX),
        good(
            "MAX_HEADER_LIST_SIZE of all bits",
            MAX_HEADER_LIST_SIZE,
            u32::MAX,
        ),
        bad("ENABLE_CONNECT_PROTOCOL of two", ENABLE_CONNECT_PROTOCOL, 2),
        all(
            "a value twice, the first out of range",
            &[(MAX_FRAME_SIZE, 1), (MAX_FRAME_SIZE, 1 << 14)],
            refused(),
        ),
        all(
            "a value twice, both in range",
            &[(MAX_FRAME_SIZE, 1 << 15), (MAX_FRAME_SIZE, 1 << 14)],
            Answered(1),
        ),
    ]
}
