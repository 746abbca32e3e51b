//! Very many heads, most of them nearly valid, each against S-001 to S-004: no identity header that
//! is not ours, no byte without a session, one reading of every byte, what is matched is what is sent.
//!
//! `VESTIBULE_HEADS` is how many (a bounded number unless set; `VESTIBULE_HEADS=1000000` before a
//! release), `VESTIBULE_FUZZ_SEED` which.

mod generator;
mod words;

use self::generator::Generator;
use crate::fuzz::{Random, holds_for, targets::head, variable};

/// How many heads every run says.
const HEADS: u64 = 100_000;
/// The seed of every run.
const SEED: u64 = 0x0003_EAD5;
/// Of so many heads one goes over HTTP/2.
const HTTP2: u64 = 5;

// S-001, S-002, S-003, S-004, S-010
#[test]
fn no_head_of_very_many_breaks_a_promise() {
    let heads = variable("VESTIBULE_HEADS").unwrap_or(HEADS);
    let seed = variable("VESTIBULE_FUZZ_SEED").unwrap_or(SEED);
    let mut generator = Generator::new(Random::new(seed));
    let (mut judged, mut forwarded) = ([0; 2], [0; 2]);
    for number in 0..heads {
        let is_http2 = number % HTTP2 == 0;
        let came = if is_http2 {
            let request = generator.request();
            let what = format!("head {number} of seed {seed:#x} over HTTP/2, {request:?},");
            holds_for(&what, |_| head::run_http2(&request), b"")
        } else {
            let input = generator.connection();
            holds_for(
                &format!("head {number} of seed {seed:#x}"),
                head::run,
                &input,
            )
        };
        judged[usize::from(is_http2)] += came.judged;
        forwarded[usize::from(is_http2)] += came.forwarded;
    }
    println!("{heads} heads: {judged:?} judged, {forwarded:?} forwarded (h1, h2)");
    // Otherwise nothing above was put to the test.
    let enough = usize::try_from(heads / 50).unwrap();
    assert!(judged.iter().chain(&forwarded).all(|it| *it >= enough));
}
