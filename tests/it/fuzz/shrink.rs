//! Runs a target, and where it fails says for which input, in as few bytes as easily found.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How often a failing input is tried again in a shorter form.
const TRIES: usize = 60;

/// Runs `target` on `input`.
///
/// # Panics
/// As the target does; the input is printed before.
pub(crate) fn holds_for<T>(what: &str, target: impl Fn(&[u8]) -> T, input: &[u8]) -> T {
    let fault = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| target(input)));
    fault(input).unwrap_or_else(|panic| {
        println!("\n{what} breaks a promise: {}", input.escape_ascii());
        let shortest = shortest(|input| fault(input).is_err(), input);
        println!("and so does this of it: {}", shortest.escape_ascii());
        resume_unwind(panic)
    })
}

/// Leaves out pieces, larger ones first, as long as the rest is still wrong.
fn shortest(is_wrong: impl Fn(&[u8]) -> bool, input: &[u8]) -> Vec<u8> {
    let mut shortest = input.to_vec();
    let (mut size, mut tries) = (input.len() / 2, 0);
    while size > 0 {
        let mut at = 0;
        while at + size <= shortest.len() && tries < TRIES {
            let mut shorter = shortest.clone();
            shorter.drain(at..at + size);
            tries += 1;
            if is_wrong(&shorter) {
                shortest = shorter;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    shortest
}

#[test]
fn an_input_shrinks_to_what_is_wrong_with_it() {
    let is_wrong = |input: &[u8]| input.windows(2).any(|it| it == b"no");
    assert_eq!(shortest(is_wrong, b"yes yes no yes"), b"no");
}

#[test]
#[should_panic(expected = "as it is")]
fn a_fault_stays_a_fault() {
    assert_eq!(holds_for("fine", <[u8]>::len, b"yes"), 3);
    holds_for("a fault", |_| panic!("as it is"), b"x");
}
