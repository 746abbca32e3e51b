//! What ends a connection and what must not, frame by frame, on a clock that stands still.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::listener::frame_scan::PREFACE;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const LIMIT: Duration = Duration::from_secs(10);

fn frame(kind: u8, flags: u8, stream: u32, payload: usize) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload).unwrap().to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.resize(frame.len() + payload, 0);
    frame
}

/// A guarded connection whose other side has sent its preface and settings.
struct Pair {
    guard: FrameGuard<DuplexStream>,
    client: DuplexStream,
}

impl Pair {
    async fn new() -> Self {
        let (ours, client) = duplex(1024 * 1024);
        let guard = FrameGuard::new(ours, LIMIT);
        let mut pair = Self { guard, client };
        assert_eq!(pair.sends(PREFACE).await, None);
        assert_eq!(pair.sends(&frame(SETTINGS, 0, 0, 0)).await, None);
        pair
    }

    /// The word that reading these bytes ends with, if it ends.
    async fn sends(&mut self, bytes: &[u8]) -> Option<&'static str> {
        self.client.write_all(bytes).await.unwrap();
        let mut read = vec![0; bytes.len()];
        match self.guard.read_exact(&mut read).await {
            Ok(_) => {
                assert_eq!(read, bytes, "no byte is changed");
                None
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                self.guard.watch().cut()
            }
        }
    }

    /// How many of these frames pass before the connection ends, and with which word.
    async fn flood(&mut self, bytes: &[u8], most: usize) -> Option<(usize, &'static str)> {
        for passed in 0..most {
            if let Some(reason) = self.sends(bytes).await {
                return Some((passed, reason));
            }
        }
        None
    }

    async fn answers(&mut self, bytes: &[u8]) {
        self.guard.write_all(bytes).await.unwrap();
        let mut read = vec![0; bytes.len()];
        self.client.read_exact(&mut read).await.unwrap();
    }

    /// What the next read ends with, when nothing more is sent.
    async fn waits(&mut self, limit: Duration) -> Option<&'static str> {
        let reading = self.guard.read_u8();
        let read = tokio::time::timeout(limit, reading).await;
        read.ok()?.unwrap_err();
        self.guard.watch().cut()
    }
}

// S-103, S-106, S-107
#[tokio::test(start_paused = true)]
async fn too_many_frames_of_a_kind_end_the_connection_with_a_word_to_the_client() {
    let floods = [
        (frame(DATA, 0, 1, 0), "flood_empty_data"),
        (frame(DATA, 0, 1, 1), "flood_tiny_data"),
        (frame(DATA, PADDED, 1, 255), "flood_tiny_data"),
        (frame(PING, 0, 0, 8), "flood_ping"),
        (frame(PING, 1, 0, 8), "flood_ping"),
        (frame(PRIORITY, 0, 1, 5), "flood_priority"),
        (frame(PRIORITY_UPDATE, 0, 0, 6), "flood_priority"),
        (frame(RST_STREAM, 0, 1, 4), "flood_rst"),
        (frame(SETTINGS, 0, 0, 6), "flood_settings"),
        (frame(SETTINGS, 1, 0, 0), "flood_settings"),
        (frame(WINDOW_UPDATE, 0, 0, 4), "flood_window_update"),
        (frame(GOAWAY, 0, 0, 8), "flood_unknown_frame"),
        (frame(0xfa, 0, 0, 3), "flood_unknown_frame"),
    ];
    for (bytes, expected) in floods {
        let mut pair = Pair::new().await;
        let (passed, reason) = pair.flood(&bytes, 30_000).await.unwrap();
        assert_eq!(reason, expected, "after {passed}");
        assert!(passed >= 49, "{expected} after {passed}");
        let mut heard = [0; 17];
        pair.client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, go_away(0), "{expected}");
        assert_eq!(pair.sends(&[]).await, None);
        assert!(pair.guard.read_u8().await.is_err(), "it stays ended");
    }
}

// S-105
#[tokio::test(start_paused = true)]
async fn a_header_block_comes_in_few_frames() {
    for size in [0, 1, 16_384] {
        let mut pair = Pair::new().await;
        assert_eq!(pair.sends(&frame(HEADERS, 0, 3, 5)).await, None);
        let continuation = frame(CONTINUATION, 0, 3, size);
        let cut = pair.flood(&continuation, 100).await;
        assert_eq!(cut, Some((20, "flood_continuation")), "of {size} bytes");
        let mut heard = [0; 17];
        pair.client.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, go_away(3), "the stream it had come to");
    }
    let mut pair = Pair::new().await;
    for _ in 0..100 {
        assert_eq!(pair.sends(&frame(HEADERS, 0, 3, 5)).await, None);
        assert_eq!(pair.sends(&frame(CONTINUATION, 0, 3, 5)).await, None);
        let last = frame(CONTINUATION, END_HEADERS, 3, 5);
        assert_eq!(
            pair.sends(&last).await,
            None,
            "each block counts for itself"
        );
    }
}

// S-104
#[tokio::test(start_paused = true)]
async fn resets_that_a_client_provokes_end_the_connection() {
    let mut pair = Pair::new().await;
    let reset = frame(RST_STREAM, 0, 1, 4);
    for _ in 0..300 {
        pair.answers(&frame(HEADERS, END_HEADERS, 1, 5)).await;
        pair.answers(&reset).await;
    }
    assert_eq!(
        pair.sends(&frame(PING, 0, 0, 8)).await,
        None,
        "answered first"
    );
    for _ in 0..401 {
        pair.answers(&reset).await;
    }
    let cut = pair.sends(&frame(PING, 0, 0, 8)).await;
    assert_eq!(cut, Some("flood_provoked_reset"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_into_the_middle_of_a_frame_of_ours() {
    let mut pair = Pair::new().await;
    let answer = frame(DATA, 0, 1, 100);
    for cut_at in [4, 50] {
        let mut pair = Pair::new().await;
        pair.answers(&answer[..cut_at]).await;
        assert!(pair.flood(&frame(PING, 0, 0, 8), 1_000).await.is_some());
        drop(pair.guard);
        assert!(pair.client.read_u8().await.is_err(), "nothing but the end");
    }
    pair.answers(&answer).await;
    assert!(pair.flood(&frame(PING, 0, 0, 8), 1_000).await.is_some());
    assert_eq!(
        pair.client.read_u8().await.unwrap(),
        0,
        "a frame of its own"
    );
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_leaves_a_gallery_again_and_again_is_welcome() {
    let mut pair = Pair::new().await;
    for _ in 0..60 {
        for _ in 0..100 {
            let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, 40);
            assert_eq!(pair.sends(&head).await, None);
            assert_eq!(pair.sends(&frame(PRIORITY_UPDATE, 0, 0, 8)).await, None);
        }
        // Some of them had their answers.
        for _ in 0..30 {
            pair.answers(&frame(HEADERS, END_HEADERS, 1, 40)).await;
        }
        for _ in 0..100 {
            assert_eq!(pair.sends(&frame(RST_STREAM, 0, 1, 4)).await, None);
        }
        tokio::time::advance(Duration::from_secs(4)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn pings_every_few_seconds_are_welcome_for_days() {
    let mut pair = Pair::new().await;
    for _ in 0..20_000 {
        assert_eq!(pair.sends(&frame(PING, 0, 0, 8)).await, None);
        tokio::time::advance(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_download_may_be_acknowledged_kilobyte_by_kilobyte() {
    let mut pair = Pair::new().await;
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, 40);
    assert_eq!(pair.sends(&head).await, None);
    let window = frame(WINDOW_UPDATE, 0, 1, 4).repeat(32);
    // One GiB is 65,536 of them; 64 MiB are enough to use up every burst many times over.
    for _ in 0..4_096 {
        pair.answers(&frame(DATA, 0, 1, 16_384)).await;
        assert_eq!(pair.sends(&window).await, None);
        assert_eq!(pair.sends(&frame(PING, 0, 0, 8)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_and_streams_of_small_messages_are_welcome() {
    let mut pair = Pair::new().await;
    for _ in 0..4_096 {
        assert_eq!(pair.sends(&frame(DATA, 0, 1, 16_384)).await, None);
    }
    for _ in 0..60 {
        for _ in 0..1_000 {
            assert_eq!(pair.sends(&frame(DATA, 0, 1, 20)).await, None);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

// S-100: a stalled head of HTTP/2.
#[tokio::test(start_paused = true)]
async fn what_is_begun_has_to_be_finished_in_time() {
    let ping = frame(PING, 0, 0, 8);
    let begun = [
        frame(HEADERS, 0, 1, 5),
        frame(HEADERS, END_HEADERS, 1, 50)[..20].to_vec(),
        ping[..1].to_vec(),
        ping[..8].to_vec(),
        ping[..9].to_vec(),
        frame(DATA, 0, 1, 5)[..5].to_vec(),
    ];
    for bytes in begun {
        let mut pair = Pair::new().await;
        assert_eq!(pair.sends(&bytes).await, None);
        assert_eq!(pair.waits(LIMIT / 2).await, None);
        assert_eq!(pair.waits(LIMIT).await, Some(LATE), "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_block_in_drops_gains_no_time() {
    let mut pair = Pair::new().await;
    assert_eq!(pair.sends(&frame(HEADERS, 0, 1, 5)).await, None);
    for _ in 0..3 {
        assert_eq!(pair.waits(LIMIT / 4).await, None);
        assert_eq!(pair.sends(&frame(CONTINUATION, 0, 1, 1)).await, None);
    }
    assert_eq!(pair.waits(LIMIT / 2).await, Some(LATE));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_and_a_slow_body_are_left_alone() {
    let mut pair = Pair::new().await;
    let ping = frame(PING, 0, 0, 8);
    for _ in 0..3 {
        assert_eq!(pair.waits(LIMIT * 100).await, None, "between two frames");
        for piece in [&ping[..5], &ping[5..12], &ping[12..]] {
            assert_eq!(pair.sends(piece).await, None);
            assert_eq!(pair.waits(LIMIT / 4).await, None, "late, but in time");
        }
    }
    assert_eq!(pair.sends(&frame(DATA, 0, 1, 500)[..100]).await, None);
    assert_eq!(
        pair.waits(LIMIT * 100).await,
        None,
        "in the middle of a body"
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_that_takes_nothing_can_be_told() {
    let (ours, mut client) = duplex(16);
    let mut guard = FrameGuard::new(ours, LIMIT);
    let watch = guard.watch();
    assert!(!watch.is_write_standing());
    let writing = guard.write_all(&[0; 40]);
    let writing = tokio::time::timeout(LIMIT, writing);
    writing.await.unwrap_err();
    assert!(watch.is_write_standing());
    client.read_exact(&mut [0; 16]).await.unwrap();
    guard.write_all(&[0; 1]).await.unwrap();
    assert!(!watch.is_write_standing());
}

// S-109: heads of answers are not flow-controlled.
#[tokio::test(start_paused = true)]
async fn no_further_requests_are_read_from_whoever_takes_nothing() {
    const LINE: usize = 4_096;
    let (ours, mut client) = duplex(LINE);
    let mut guard = FrameGuard::new(ours, LIMIT);
    client.write_all(PREFACE).await.unwrap();
    guard.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
    let answer = frame(HEADERS, END_HEADERS, 1, LINE);
    let writing = guard.write_all(&answer);
    assert!(
        tokio::time::timeout(LIMIT, writing).await.is_err(),
        "it stands"
    );

    let mut head = [0; 10];
    for number in 0..REQUESTS_AHEAD + 2 {
        let bytes = frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, 1);
        client.write_all(&bytes).await.unwrap();
    }
    for _ in 0..=REQUESTS_AHEAD {
        guard.read_exact(&mut head).await.unwrap();
    }
    let reading = guard.read_exact(&mut head);
    assert!(
        tokio::time::timeout(LIMIT * 2, reading).await.is_err(),
        "not one more"
    );

    // It goes on as soon as the line does: whoever reads is woken.
    let (mut reading, mut writing) = tokio::io::split(&mut guard);
    let moving = async {
        client.read_exact(&mut [0; LINE]).await.unwrap();
        writing.write_all(&answer[LINE..]).await.unwrap();
    };
    let reading = async { reading.read_exact(&mut head).await.map(drop) };
    let (read, ()) = tokio::join!(biased; reading, moving);
    read.unwrap();
    assert_eq!(guard.watch().cut(), None);
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_may_ask_as_much_as_it_likes() {
    let mut pair = Pair::new().await;
    for number in 0..1_000 {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, 40);
        assert_eq!(pair.sends(&head).await, None);
    }
}
