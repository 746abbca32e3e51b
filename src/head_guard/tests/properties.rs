//! Guard and second parser agree on every text: whether it is refused, and where its messages end.

use proptest::prelude::*;

use super::{
    near_valid,
    second_parser::{self, Ending, Reading},
    support::{LIMITS, answers_in, requests_in, shown},
};
use crate::head_guard::messages::Messages;

/// Ends that make a whole of most of what is unfinished.
const ENDS: [&str; 8] = [
    "\r\n\r\n",
    "\n\r\n",
    " HTTP/1.1\r\n\r\n",
    "/ HTTP/1.1\r\n\r\n",
    ": a\r\n\r\n",
    "\r\n0\r\n\r\n",
    "\n0\r\n\r\n",
    "0\r\n\r\n",
];

/// Where messages end by the guard, whether it refused one, and how many heads it let through.
fn ends(messages: &mut Messages, text: &[u8]) -> (Vec<usize>, bool, u64) {
    let mut ends = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        messages.scan(&[*byte]);
        if messages.is_between() {
            ends.push(at + 1);
        }
    }
    (ends, messages.fault().is_some(), messages.heads())
}

fn assert_agree(
    text: &[u8],
    mut guard: Messages,
    read: impl Fn(&[u8]) -> Reading,
) -> Result<(), TestCaseError> {
    let reading = read(text);
    let (ends, is_refused, heads) = ends(&mut guard, text);
    let read_ends: Vec<_> = reading.messages.iter().map(|message| message.end).collect();
    let shown = shown(text);
    prop_assert_eq!(&ends, &read_ends, "{}", &shown);
    prop_assert_eq!(heads, reading.heads, "{}", &shown);
    match reading.ending {
        Ending::Clean => prop_assert!(!is_refused, "only the guard refuses {shown}"),
        Ending::Refused => prop_assert!(is_refused, "the guard lets through {shown}"),
        Ending::Unfinished if is_refused => {
            for end in ENDS {
                let whole = [text, end.as_bytes()].concat();
                let more = read(&whole).messages.len();
                prop_assert_eq!(
                    more,
                    read_ends.len(),
                    "refused too early: {} {:?}",
                    shown,
                    end
                );
            }
        }
        Ending::Unfinished => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    // S-003, S-207 to S-216
    #[test]
    fn requests_have_one_reading(text in near_valid::requests()) {
        let read = |text: &[u8]| second_parser::requests(text, LIMITS);
        assert_agree(&text, Messages::requests(LIMITS), read)?;
    }

    // S-096, S-225
    #[test]
    fn answers_have_one_reading(text in near_valid::answers(), without_body: bool) {
        let read = |text: &[u8]| second_parser::answer(text, without_body, LIMITS);
        let mut guard = Messages::answers(LIMITS);
        guard.await_answer(without_body);
        assert_agree(&text, guard, read)?;
    }

    #[test]
    fn pieces_change_nothing(
        text in near_valid::requests(),
        sizes in proptest::collection::vec(1..40_usize, 1..20),
    ) {
        let cut = |text: &[u8]| {
            let mut rest = text;
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece.to_vec());
                rest = behind;
            }
            pieces
        };
        prop_assert_eq!(requests_in(vec![text.clone()], LIMITS), requests_in(cut(&text), LIMITS));
        let whole = answers_in(&[(Some(false), &text)], &|text| vec![text.to_vec()]);
        prop_assert_eq!(whole, answers_in(&[(Some(false), &text)], &cut));
    }

    #[test]
    fn noise_never_panics(text in proptest::collection::vec(any::<u8>(), 1..200)) {
        let passed = requests_in(vec![text.clone()], LIMITS).passed;
        prop_assert!(text.starts_with(&passed));
        let passed = answers_in(&[(Some(true), &text)], &|text| vec![text.to_vec()]).passed;
        prop_assert!(text.starts_with(&passed));
    }
}

#[test]
fn near_valid_texts_are_some_of_them_valid() {
    // A generator that makes only rubbish would prove nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut clean, mut refused, mut unfinished, mut bodies) = (0, 0, 0, 0);
    for _ in 0..500 {
        let text = near_valid::requests()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let reading = second_parser::requests(&text, LIMITS);
        bodies += reading
            .messages
            .iter()
            .filter(|message| !message.body.is_empty())
            .count();
        match reading.ending {
            Ending::Clean => clean += 1,
            Ending::Refused => refused += 1,
            Ending::Unfinished => unfinished += 1,
        }
    }
    assert!(
        clean > 100 && refused > 100 && unfinished > 10 && bodies > 100,
        "{clean} {refused} {unfinished} {bodies}"
    );
}
