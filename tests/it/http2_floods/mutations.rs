//! Frames with mistakes in them, the same in every run.

use std::time::Duration;

use super::{Siege, count};
use crate::support::h2::{self, END_HEADERS, END_STREAM, frame};

/// How long a connection that is not ended is listened to; most are.
const QUIET: Duration = Duration::from_millis(5);

/// Marsaglia's xorshift: good enough to choose mistakes with.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let sides = u64::try_from(sides).unwrap();
        usize::try_from(self.0 % sides).unwrap()
    }
}

/// A conversation in which every kind of frame occurs.
fn conversation(siege: &Siege) -> Vec<Vec<u8>> {
    let get = siege.head("GET", "/pub/mutated", &[(b"cookie", b"a=b")]);
    let post = siege.head("POST", "/pub/mutated", &[(b"content-length", b"4")]);
    let (first, second) = post.split_at(10);
    vec![
        frame(h2::SETTINGS, 0, 0, &[0, 4, 0, 0, 0x40, 0]),
        frame(h2::HEADERS, END_HEADERS | END_STREAM, 1, &get),
        frame(h2::PRIORITY, 0, 3, &[0, 0, 0, 1, 9]),
        frame(h2::HEADERS, 0, 3, first),
        frame(h2::CONTINUATION, END_HEADERS, 3, second),
        frame(h2::DATA, 8, 3, b"\x02abPP"),
        frame(h2::DATA, END_STREAM, 3, b"cd"),
        frame(h2::PING, 0, 0, b"pingping"),
        frame(h2::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
        frame(h2::RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        frame(16, 0, 0, b"\0\0\0\x05u=3"),
        frame(h2::HEADERS, END_HEADERS | END_STREAM, 5, &get),
        frame(h2::GOAWAY, 0, 0, &[0; 8]),
    ]
}

fn mutate(frames: &mut Vec<Vec<u8>>, dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        let (at, other) = (dice.below(frames.len()), dice.below(frames.len()));
        let length = frames[at].len().max(1);
        match dice.below(6) {
            // A byte of the head or of the payload.
            0 => set(&mut frames[at], dice.below(9), dice.below(256)),
            1 => set(&mut frames[at], dice.below(length), dice.below(256)),
            2 => frames.swap(at, other),
            3 => {
                let again = frames[at].clone();
                frames.insert(other, again);
            }
            4 => frames[at].truncate(dice.below(length)),
            _ => {
                let byte = u8::try_from(dice.below(256)).unwrap();
                frames[at].insert(dice.below(length), byte);
            }
        }
    }
}

fn set(bytes: &mut [u8], at: usize, value: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = u8::try_from(value).unwrap();
    }
}

// S-111
#[tokio::test]
async fn no_sequence_of_frames_is_anybody_elses_trouble() {
    let mut siege = Siege::begin().await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..count(400, 50_000) {
        let mut frames = conversation(&siege);
        mutate(&mut frames, &mut dice);
        let mut attacker = siege.attacker().await;
        attacker.flood(frames.into_iter(), QUIET).await;
        if round % 50 == 0 {
            siege.good_client_is_served().await;
        }
    }
    siege.ends_well().await;
}
