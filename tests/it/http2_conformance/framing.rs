//! Frames, what in them is ignored, and their sizes (RFC 9113 4.1 and 4.2).

use super::{
    asks::Asks,
    case::{
        Answered, Case, ConnectionError, FRAME_SIZE_ERROR, Ignored, Malformed, OneOf, StreamError,
        case,
    },
};
use crate::support::h2_frames::{data, flag, frame, frame_saying, head, headers, kind, plain};

/// The longest payload that a server takes which announced no other.
const LONGEST: usize = 16_384;

pub(super) fn cases(asks: &Asks) -> Vec<Case> {
    [frames(asks), bits(asks), sizes(asks)]
        .into_iter()
        .flatten()
        .collect()
}

/// RFC 9113 4.1: frames of unknown types are ignored.
fn frames(asks: &Asks) -> Vec<Case> {
    let post = head(1, &asks.post());
    let end = data(flag::END_STREAM, 1, b"");
    let unknown = |flags, stream, payload: &[u8]| frame(kind::UNKNOWN, flags, stream, payload);
    vec![
        case(
            "4.1",
            "a frame of an unknown type on the connection",
            unknown(0, 0, b"?"),
            Ignored,
        ),
        case(
            "4.1",
            "a frame of an unknown type on an idle stream",
            unknown(0, 1, b"?"),
            Ignored,
        ),
        case(
            "4.1",
            "an empty frame of an unknown type",
            unknown(0, 0, b""),
            Ignored,
        ),
        case(
            "4.1",
            "a frame of an unknown type with all flags and the longest payload",
            unknown(0xff, 0, &[0xff; LONGEST]),
            Ignored,
        ),
        case(
            "4.1",
            "a frame of an unknown type in the middle of a body",
            [
                post.clone(),
                data(0, 1, b"a"),
                unknown(0xff, 1, b"?"),
                end.clone(),
            ]
            .concat(),
            Answered(1),
        ),
        case(
            "4.1",
            "frames of all unknown types",
            (10..=255)
                .flat_map(|kind| frame(kind, 0, 0, b"?"))
                .collect(),
            Ignored,
        ),
    ]
}

/// RFC 9113 4.1: so are the reserved bit and flags that a type does not have.
fn bits(asks: &Asks) -> Vec<Case> {
    const RESERVED: u32 = 1 << 31;
    let good = asks.good();
    let post = head(1, &asks.post());
    let ended = flag::END_STREAM | flag::END_HEADERS;
    vec![
        case(
            "4.1",
            "the reserved bit of HEADERS",
            frame(kind::HEADERS, ended, 1 | RESERVED, &good),
            Answered(1),
        ),
        case(
            "4.1",
            "the reserved bit of DATA",
            [post.clone(), data(flag::END_STREAM, 1 | RESERVED, b"a")].concat(),
            Answered(1),
        ),
        case(
            "4.1",
            "the reserved bit of PING",
            frame(kind::PING, 0, RESERVED, &[0; 8]),
            Ignored,
        ),
        case(
            "4.1",
            "the reserved bit of SETTINGS",
            frame(kind::SETTINGS, 0, RESERVED, &[]),
            Ignored,
        ),
        case(
            "4.1",
            "the reserved bit of RST_STREAM",
            [
                head(1, &asks.held()),
                frame(kind::RST_STREAM, 0, 1 | RESERVED, &[0, 0, 0, 8]),
            ]
            .concat(),
            Ignored,
        ),
        case(
            "4.1",
            "undefined flags of HEADERS",
            frame(kind::HEADERS, ended | 0xd2, 1, &good),
            Answered(1),
        ),
        case(
            "4.1",
            "undefined flags of DATA",
            [post, data(flag::END_STREAM | 0xf6, 1, b"a")].concat(),
            Answered(1),
        ),
        case(
            "4.1",
            "undefined flags of PRIORITY",
            frame(kind::PRIORITY, 0xff, 1, &[0, 0, 0, 0, 1]),
            Ignored,
        ),
        case(
            "4.1",
            "undefined flags of RST_STREAM",
            [
                head(1, &asks.held()),
                frame(kind::RST_STREAM, 0xff, 1, &[0, 0, 0, 8]),
            ]
            .concat(),
            Ignored,
        ),
        case(
            "4.1",
            "undefined flags of SETTINGS",
            frame(kind::SETTINGS, 0xfe, 0, &[]),
            Ignored,
        ),
        case(
            "4.1",
            "undefined flags of PING",
            frame(kind::PING, 0xfe, 0, &[0; 8]),
            Ignored,
        ),
        case(
            "4.1",
            "undefined flags of WINDOW_UPDATE",
            frame(kind::WINDOW_UPDATE, 0xff, 0, &[0, 0, 0, 1]),
            Ignored,
        ),
        case(
            "4.1",
            "undefined flags of CONTINUATION",
            [
                frame(kind::HEADERS, flag::END_STREAM, 1, &good),
                frame(kind::CONTINUATION, 0xff, 1, &[]),
            ]
            .concat(),
            Answered(1),
        ),
    ]
}

/// RFC 9113 4.2.
fn sizes(asks: &Asks) -> Vec<Case> {
    let too_long = || ConnectionError(FRAME_SIZE_ERROR);
    let refused = |name, bytes| case("4.2", name, bytes, too_long());
    let good = asks.good();
    let marked = asks.with(&[]);
    // A block of exactly this length, by a field that fills it.
    let filled = |block: &[u8], length: usize| {
        let filler = plain(b"x-filler", &vec![b'x'; length - block.len() - 13]);
        let whole = [block, &filler].concat();
        assert_eq!(whole.len(), length);
        whole
    };
    let begun = |block: &[u8]| frame(kind::HEADERS, flag::END_STREAM, 1, block);
    let ending = |payload: &[u8]| frame(kind::CONTINUATION, flag::END_HEADERS, 1, payload);
    let rest = filled(&good, LONGEST + 100)[100..].to_vec();
    vec![
        case(
            "4.2",
            "the longest DATA",
            [
                head(1, &asks.post()),
                data(flag::END_STREAM, 1, &[b'x'; LONGEST]),
            ]
            .concat(),
            Answered(1),
        ),
        case(
            "4.2",
            "the longest HEADERS",
            headers(1, &filled(&good, LONGEST)),
            Answered(1),
        ),
        case(
            "4.2",
            "the longest CONTINUATION",
            [begun(&good[..100]), ending(&rest)].concat(),
            Answered(1),
        ),
        case(
            "4.2",
            "DATA longer than announced",
            [head(1, &asks.held()), data(0, 1, &vec![b'x'; LONGEST + 1])].concat(),
            OneOf(vec![too_long(), StreamError(1, FRAME_SIZE_ERROR)]),
        ),
        refused(
            "HEADERS longer than announced",
            headers(1, &filled(&marked, LONGEST + 1)),
        ),
        refused(
            "CONTINUATION longer than announced",
            [begun(&marked), ending(&vec![0; LONGEST + 1])].concat(),
        ),
        refused(
            "SETTINGS longer than announced",
            frame(kind::SETTINGS, 0, 0, &vec![0; LONGEST + 2]),
        ),
        refused(
            "PUSH_PROMISE longer than announced",
            frame(
                kind::PUSH_PROMISE,
                flag::END_HEADERS,
                1,
                &vec![0; LONGEST + 1],
            ),
        ),
        refused(
            "a frame on the connection longer than announced",
            frame(kind::UNKNOWN, 0, 0, &vec![0; LONGEST + 1]),
        ),
        refused(
            "the longest frame there is, only its head sent",
            frame_saying(0xff_ffff, kind::DATA, 0, 1, &[]),
        ),
        case(
            "4.2",
            "HEADERS without a byte",
            headers(1, &[]),
            Malformed(1),
        ),
        case(
            "4.2",
            "HEADERS too short for its priority",
            frame(
                kind::HEADERS,
                flag::END_STREAM | flag::END_HEADERS | flag::PRIORITY,
                1,
                &[0; 4],
            ),
            too_long(),
        )
        .but_unspecific(),
    ]
}
