//! Heads without an end, and heads that are small on the wire and large in memory.

use std::time::Duration;

use super::{Siege, count};
use crate::support::h2::{self, END_HEADERS, END_STREAM, frame};

const QUIET: Duration = Duration::from_secs(2);

/// The largest payload of a frame.
const FRAME: usize = 16 * 1024;

/// A head in as many frames as it takes.
pub(super) fn in_frames(block: &[u8], stream: u32) -> Vec<u8> {
    let mut pieces = block.chunks(FRAME).peekable();
    let mut kind = h2::HEADERS;
    let mut flags = END_STREAM;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= END_HEADERS;
        }
        bytes.extend(frame(kind, flags, stream, piece));
        (kind, flags) = (h2::CONTINUATION, 0);
    }
    bytes
}

/// A literal that is put into the table: its name is short, its value may be long (RFC 7541 6.2.1).
pub(super) fn remembered(name: &[u8], length: usize) -> Vec<u8> {
    let mut field = vec![0x40, u8::try_from(name.len()).unwrap()];
    field.extend_from_slice(name);
    field.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        field.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    field.push(u8::try_from(rest).unwrap());
    field.resize(field.len() + length, b'v');
    field
}

/// A reference to the youngest entry of the table, which is the 62nd (RFC 7541 6.1).
pub(super) const YOUNGEST: u8 = 0xbe;

// S-105
#[tokio::test]
async fn a_header_block_without_an_end_ends_the_connection() {
    let mut siege = Siege::begin().await;
    let head = siege.head("GET", "/pub/endless", &[]);
    let field = h2::block(&[(b"x", b"y")]);
    for size in [0, 1, FRAME] {
        let mut attacker = siege.attacker().await;
        attacker.send(h2::HEADERS, END_STREAM, 1, &head).await;
        let mut stream = field.iter().copied().cycle();
        let pieces = (0..count(2_000, 100_000)).map(|_| {
            let piece: Vec<u8> = stream.by_ref().take(size).collect();
            frame(h2::CONTINUATION, 0, 1, &piece)
        });
        let ended = attacker.flood(pieces, QUIET).await;
        assert!(ended.closed, "{size}: {ended:?}");
        siege.good_client_is_served().await;
    }
    assert_eq!(siege.asked("/pub/endless"), 0);
    siege.ends_well().await;
}

// S-108
#[tokio::test]
async fn heads_that_unfold_are_refused_by_their_size_in_memory() {
    let mut siege = Siege::begin().await;
    let with = |fields: Vec<u8>| [siege.head("GET", "/pub/bomb", &[]), fields].concat();
    let crumb = remembered(b"cookie", 200);
    let bombs = [
        ("crumbs", with([crumb, vec![YOUNGEST; 50_000]].concat())),
        (
            "tiny fields",
            with(h2::block(&[(b"x", b"y")]).repeat(8_190)),
        ),
        (
            "one long field",
            with([remembered(b"x", 4_000), vec![YOUNGEST; 1_000]].concat()),
        ),
        (
            "one field beyond the table",
            with([remembered(b"x", 15 * 1024), vec![YOUNGEST; 1_000]].concat()),
        ),
        (
            "more than h2 is told to take",
            with(h2::block(&[(b"x", &vec![b'y'; 40 * 1024])])),
        ),
    ];
    for (what, block) in bombs {
        let mut attacker = siege.attacker().await;
        attacker.send_bytes(&in_frames(&block, 1)).await;
        while let Some(frame) = attacker.next().await {
            // `:status: 200` is the eighth entry of the table (RFC 7541 A).
            assert_ne!(frame.payload.first(), Some(&0x88), "{what} was answered");
            if frame.kind == h2::HEADERS {
                assert_eq!((frame.stream, frame.flags & END_STREAM), (1, END_STREAM));
                break;
            }
        }
        siege.good_client_is_served().await;
    }
    assert_eq!(siege.asked("/pub/bomb"), 0);
    siege.ends_well().await;
}

// S-258: the same limits as over HTTP/1.1, and the connection stays usable.
#[tokio::test]
async fn a_head_too_large_or_of_too_many_fields_is_431() {
    let mut siege = Siege::begin().await;
    let large = "v".repeat(33 * 1024);
    let with = |number: usize, value: &str| {
        (0..number).fold(
            crate::support::wire::ask("GET", "/pub/limits"),
            |ask, number| ask.with(&format!("x-{number}"), value),
        )
    };
    for (ask, status) in [
        // Not quite a hundred: what we add would be too much for the app.
        (with(90, "v"), 200),
        (with(101, "v"), 431),
        (with(1, &large[..20_000]), 200),
        (with(1, &large), 431),
        (with(0, ""), 200),
    ] {
        assert_eq!(siege.good.ask(&ask).await.status, status);
    }
    let twice = crate::support::wire::ask("GET", "/pub/limits")
        .with("content-length", "0")
        .with("content-length", "0");
    assert_eq!(siege.good.ask(&twice).await.status, 400);
    assert_eq!(siege.asked("/pub/limits"), 3);
    siege.ends_well().await;
}
