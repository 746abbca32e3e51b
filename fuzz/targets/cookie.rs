//! The cookies of a request: ours never pass, the app's keep order and bytes, and none can make us
//! stumble (S-050, S-188, S-235).
//!
//! Each line of the input is one `Cookie` field; `{session}` stands for a token.

use std::cell::RefCell;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use vestibule::{
    clock::{ManualClock, Timestamp},
    config::route::Authority,
    identity::{ProviderName, RouteId},
    key_ring::KeyRing,
    login::{
        return_to::ReturnTo,
        transaction::{Attempt, Trail},
    },
    session::cookie::{self, Presented},
    upstream::cookies::cut_from_request,
};

/// 43 characters, as a token has.
const TOKEN: &str = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE";
const NAME: &[u8] = b"__host-vestibule";
/// Shorter values are no secrets of ours.
const SHORTEST: usize = 32;
/// Beyond so many nothing of the cookies is kept.
const MOST: usize = 12;

thread_local! {
    static RING: RefCell<Option<KeyRing>> = const { RefCell::new(None) };
}

/// Reads and cuts the cookies of `input`.
///
/// # Panics
/// If a promise is broken.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace("{session}", TOKEN);
    let mut headers = HeaderMap::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            headers.append(COOKIE, value);
        }
    }
    read(&headers);
    let before = pairs(&headers);
    let mut after = headers.clone();
    cut_from_request(&mut after);
    judge(&headers, &before, &after);
    let once = after.clone();
    cut_from_request(&mut after);
    assert_eq!(once, after, "cutting twice cuts more");
}

/// Whoever looks for a cookie of ours finds it by name alone, and only if it is there once.
fn read(headers: &HeaderMap) {
    let named = |it: &&Vec<u8>| {
        let end = it.iter().position(|it| *it == b'=');
        end.is_some_and(|at| it[..at].trim_ascii() == b"__Host-vestibule")
    };
    let count = pairs(headers).iter().filter(named).count();
    match cookie::presented(headers) {
        Presented::Absent => assert_eq!(count, 0, "S-188: overlooked"),
        Presented::Key(_) => assert_eq!(count, 1, "S-050: two count as none"),
        Presented::Unusable => assert!(count > 0, "S-188: seen where there is none"),
    }
    RING.with_borrow_mut(|ring| {
        let time = ManualClock::starting_at(Timestamp::from_unix_seconds(1_795_289_400));
        let now = time.clock().now().wall;
        let ring = ring.get_or_insert_with(|| KeyRing::in_memory(time.clock()));
        let authority = Authority {
            host: "app.test".to_owned(),
            port: 443,
        };
        let found = Attempt::find(headers, "state", &authority, now, ring);
        assert!(found.is_err(), "an attempt that nobody began");
        assert!(
            Trail::of(headers, now, ring).is_none(),
            "a trail that nobody left"
        );
        let attempt = Attempt::new(
            ReturnTo::default(),
            authority,
            ProviderName("house".to_owned()),
            RouteId("wiki".to_owned()),
            now,
            0,
        );
        let lines = attempt.keep(headers, ring).len();
        assert!(
            (1..=21).contains(&lines),
            "S-008: an answer grows with what is sent: {lines}"
        );
    });
}

fn judge(headers: &HeaderMap, before: &[Vec<u8>], after: &HeaderMap) {
    let secrets: Vec<_> = before.iter().filter_map(|it| secret(it)).collect();
    let is_ours = |pair: &Vec<u8>| {
        position(pair, NAME).is_some() || secrets.iter().any(|it| contains(pair, it))
    };
    let left = pairs(after);
    for pair in &left {
        assert!(
            !is_ours(pair),
            "S-235: ours passes: {}",
            String::from_utf8_lossy(pair)
        );
    }
    if secrets.len() > MOST {
        assert_eq!(after.get(COOKIE), None, "S-008: so many of ours");
        return;
    }
    let kept: Vec<_> = before.iter().filter(|it| !is_ours(it)).collect();
    let blank = |it: &&Vec<u8>| !it.is_empty();
    assert!(
        left.iter().filter(blank).eq(kept.into_iter().filter(blank)),
        "S-235: the app's cookies are not what they were: {headers:?} to {after:?}"
    );
    if headers.get_all(COOKIE).iter().count() == 1 && !before.iter().any(is_ours) {
        assert_eq!(
            headers, after,
            "S-235: nothing of ours, and bytes have changed"
        );
    }
}

/// All pieces of all lines, without the blanks around them.
fn pairs(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let lines = headers.get_all(COOKIE).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|it| *it == b';'))
        .map(|it| it.trim_ascii().to_vec())
        .collect()
}

fn secret(pair: &[u8]) -> Option<&[u8]> {
    let behind = &pair[position(pair, NAME)? + NAME.len()..];
    let at = behind.iter().position(|it| *it == b'=')?;
    let value = behind[at + 1..].trim_ascii();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    (value.len() >= SHORTEST).then_some(value)
}

fn position(text: &[u8], lower: &[u8]) -> Option<usize> {
    let mut windows = text.windows(lower.len());
    windows.position(|it| it.eq_ignore_ascii_case(lower))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|it| it == part)
}
