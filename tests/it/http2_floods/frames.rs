//! Frames that cost us work and ask for nothing.

use std::{net::TcpListener, time::Duration};

use super::{Siege, assert_calmed, count};
use crate::support::h2::{self, frame};

/// How many frames are handed to the socket at once.
const BATCH: usize = 500;

const QUIET: Duration = Duration::from_secs(2);

/// The same frame, so many times, in batches.
fn many(frame: &[u8], times: usize) -> impl Iterator<Item = Vec<u8>> {
    let batch = frame.repeat(BATCH);
    std::iter::repeat_n(batch, times.div_ceil(BATCH))
}

// S-107
#[tokio::test]
async fn floods_of_control_frames_end_their_connection() {
    let mut siege = Siege::begin().await;
    let floods = [
        ("PING", frame(h2::PING, 0, 0, &[0; 8])),
        ("PING ACK", frame(h2::PING, 1, 0, &[0; 8])),
        ("SETTINGS", frame(h2::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])),
        ("PRIORITY", frame(h2::PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        ("PRIORITY_UPDATE", frame(16, 0, 0, b"\0\0\0\x01u=1")),
        (
            "WINDOW_UPDATE",
            frame(h2::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        ("unknown", frame(0xfa, 0, 0, b"grease")),
    ];
    for (what, bytes) in floods {
        let times = count(20_000, 1_000_000);
        let mut attacker = siege.attacker().await;
        let ended = attacker.flood(many(&bytes, times), QUIET).await;
        assert_calmed(&ended, what);
        siege.good_client_is_served().await;
    }
    siege.ends_well().await;
}

// S-107: the answers to pings and settings must not pile up for a client that does not read them.
#[tokio::test]
async fn acknowledgements_that_nobody_reads_do_not_pile_up() {
    let siege = Siege::begin().await;
    for bytes in [
        frame(h2::PING, 0, 0, &[0; 8]),
        frame(h2::SETTINGS, 0, 0, &[]),
    ] {
        let mut attacker = siege.attacker().await;
        for batch in many(&bytes, count(20_000, 1_000_000)) {
            attacker.send_bytes(&batch).await;
        }
        while attacker.any().await.is_some() {}
    }
    siege.ends_well().await;
}

// S-106
#[tokio::test]
async fn empty_and_tiny_data_for_an_app_that_does_not_read_end_the_connection() {
    // Connections wait here for ever.
    let deaf = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut siege = Siege::beside(&deaf.local_addr().unwrap()).await;
    let empty = frame(h2::DATA, 0, 1, &[]);
    let padded = frame(h2::DATA, 8, 1, &[3, 0, 0, 0]);
    let tiny = frame(h2::DATA, 0, 1, b"x");
    for (what, bytes) in [("empty", empty), ("padding", padded), ("tiny", tiny)] {
        let mut attacker = siege.attacker().await;
        let head = siege.head("POST", "/other/pub/upload", &[]);
        attacker.send(h2::HEADERS, h2::END_HEADERS, 1, &head).await;
        let times = count(50_000, 1_000_000);
        let ended = attacker.flood(many(&bytes, times), QUIET).await;
        assert_calmed(&ended, what);
        siege.good_client_is_served().await;
    }
    siege.ends_well().await;
}
