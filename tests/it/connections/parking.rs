//! A connection between two requests: it may be idle, it is parked, and no byte is lost.

use std::time::Duration;

use super::{PARKED, Tiny, ask, assert_over, get, hear, patient, say};
use crate::support::PATIENCE;
use vestibule::config::listener::Limits;

#[tokio::test]
async fn between_two_requests_the_idle_time_counts_and_not_that_of_a_head() {
    // S-261
    for head_timeout in [Duration::from_millis(100), PATIENCE] {
        let limits = Limits {
            head_timeout,
            ..patient()
        };
        for tiny in [Tiny::plain(limits.clone()).await, Tiny::tls(limits).await] {
            let mut stream = tiny.connect().await;
            ask(&mut stream, "/1").await;
            tokio::time::sleep(PARKED).await;
            ask(&mut stream, "/2").await;
            tokio::time::sleep(PARKED).await;
            ask(&mut stream, "/3").await;
            ask(&mut stream, "/4").await;
        }
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_no_limit_has_cut_it() {
    // S-261
    for idle in [Duration::from_millis(100), PARKED] {
        let limits = Limits { idle, ..patient() };
        for tiny in [Tiny::plain(limits.clone()).await, Tiny::tls(limits).await] {
            let mut stream = tiny.connect().await;
            ask(&mut stream, "/1").await;
            assert_over(&mut stream).await;
            assert!(!tiny.cut("idle") && !tiny.cut("head_timeout"));
        }
    }
}

#[tokio::test]
async fn a_head_in_pieces_wakes_a_parked_connection() {
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        ask(&mut stream, "/1").await;
        tokio::time::sleep(PARKED).await;
        for piece in ["G", "ET /2 HTTP/1.1\r\nHo", "st: x\r\n\r", "\n"] {
            say(&mut stream, piece).await;
            tokio::time::sleep(PARKED / 4).await;
        }
        assert_eq!(hear(&mut stream).await.body, "/2");
        ask(&mut stream, "/3").await;
    }
}

#[tokio::test]
async fn requests_in_one_record_are_answered_each_and_in_order() {
    // S-222
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        for pause in [Duration::ZERO, PARKED] {
            tokio::time::sleep(pause).await;
            let all: String = (0..50).map(|number| get(&format!("/{number}"))).collect();
            say(&mut stream, &all).await;
            for number in 0..50 {
                assert_eq!(hear(&mut stream).await.body, format!("/{number}"));
            }
        }
        assert_eq!(tiny.asked().len(), 100);
    }
}

#[tokio::test]
async fn a_request_wins_over_the_end_of_the_idle_time() {
    // Requests that come whenever the connection is about to be closed, or parked, or woken.
    let limits = Limits {
        idle: PARKED,
        ..patient()
    };
    let tiny = Tiny::tls(limits).await;
    let mut stream = tiny.connect().await;
    for pause in [240, 250, 260, 490, 500, 510, 20] {
        ask(&mut stream, "/again").await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    ask(&mut stream, "/last").await;
}
