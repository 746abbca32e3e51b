//! What HTTP/2 says in its own way and an app hears in the way of HTTP/1: cookies in pieces, bodies
//! without a length, a host under two names; and what the cases that are let pass come to.

use super::{
    asks::{Asks, HERE},
    bed::seen,
};
use crate::support::h2_frames::{data, flag, head, headers};

// S-219
#[tokio::test]
async fn cookies_in_pieces_become_one_field() {
    // RFC 9113 8.2.3
    let crumbs: &[(&[u8], &[u8])] = &[(b"cookie", b"a=1"), (b"cookie", b"b=2; c=3")];
    let seen = seen(|asks| headers(1, &asks.with(crumbs))).await;
    assert_eq!(seen.all("cookie"), ["a=1; b=2; c=3"]);
}

// S-221
#[tokio::test]
async fn a_body_without_a_length_is_chunked() {
    let seen = seen(|asks| {
        let head = head(1, &[asks.post(), asks.marked()].concat());
        let end = data(flag::END_STREAM, 1, b"b");
        [head, data(0, 1, b"a"), end].concat()
    })
    .await;
    assert_eq!(seen.all("transfer-encoding"), ["chunked"]);
    assert!(seen.all("content-length").is_empty());
    assert_eq!(&seen.body[..], b"ab");
}

// S-221
#[tokio::test]
async fn a_body_with_a_length_keeps_it() {
    let seen = seen(|asks| {
        let length = asks.of(&[(b"content-length", b"2")]);
        let head = head(1, &[asks.post(), asks.marked(), length].concat());
        [head, data(flag::END_STREAM, 1, b"ab")].concat()
    })
    .await;
    assert_eq!(seen.all("content-length"), ["2"]);
    assert!(seen.all("transfer-encoding").is_empty());
    assert_eq!(&seen.body[..], b"ab");
}

// S-219
#[tokio::test]
async fn a_host_under_two_names_becomes_one_field() {
    let both: fn(&Asks) -> Vec<u8> = |asks| headers(1, &asks.with(&[(b"host", HERE)]));
    let seen = seen(both).await;
    assert_eq!(seen.all("host"), seen.all("x-forwarded-host"));
    assert_eq!(seen.all("host").len(), 1);
}

// S-219
#[tokio::test]
async fn trailers_reach_no_app() {
    let seen = seen(|asks| {
        let head = head(1, &[asks.post(), asks.marked()].concat());
        let trailers = asks.of(&[(b":path", b"/other"), (b"x-sum", b"1")]);
        [head, data(0, 1, b"a"), headers(1, &trailers)].concat()
    })
    .await;
    assert_eq!((seen.target.as_str(), &seen.body[..]), ("/", &b"a"[..]));
    assert!(seen.trailers.is_empty() && seen.all("x-sum").is_empty());
}

// S-219
#[tokio::test]
async fn what_is_let_pass_says_nothing_else_to_the_app() {
    for (path, expected) in [(&b"/a#/b"[..], "/a"), (b"?a", "/?a")] {
        let seen = seen(|asks| {
            let pseudo: &[(&[u8], &[u8])] = &[
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", asks.authority.as_bytes()),
                (b":path", path),
            ];
            headers(1, &asks.bad(pseudo, &[]))
        })
        .await;
        assert_eq!(seen.target, expected);
        assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    }
}
