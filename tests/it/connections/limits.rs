//! Heads that do not come, clients that do not read.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::io::AsyncReadExt;
use vestibule::config::listener::Limits;

use super::{PARKED, PIECE, Tiny, assert_over, get, hear, patient, say};

fn hasty() -> Limits {
    Limits {
        head_timeout: Duration::from_millis(300),
        ..patient()
    }
}

#[tokio::test]
async fn whoever_says_nothing_is_told_nothing() {
    // S-100, S-255
    for tiny in [Tiny::plain(hasty()).await, Tiny::tls(hasty()).await] {
        let mut stream = tiny.connect().await;
        assert_over(&mut stream).await;
        assert!(tiny.cut("head_timeout"));
    }
}

#[tokio::test]
async fn whoever_does_not_finish_a_head_is_told_so() {
    // S-100, S-254
    for tiny in [Tiny::plain(hasty()).await, Tiny::tls(hasty()).await] {
        let mut stream = tiny.connect().await;
        say(&mut stream, "GET / HTTP/1.1\r\nHo").await;
        let answer = hear(&mut stream).await;
        assert_eq!((answer.status(), &*answer.body), (408, "head_timeout"));
        assert!(answer.says("connection: close"), "{answer:?}");
        assert!(answer.head.contains("\r\ndate: "), "{answer:?}");
        assert_over(&mut stream).await;
        assert!(tiny.cut("head_timeout"));
        assert!(tiny.asked().is_empty());
    }
}

#[tokio::test]
async fn a_second_head_has_its_own_time() {
    // S-254
    for tiny in [Tiny::plain(hasty()).await, Tiny::tls(hasty()).await] {
        let mut stream = tiny.connect().await;
        say(&mut stream, &get("/1")).await;
        assert_eq!(hear(&mut stream).await.body, "/1");
        tokio::time::sleep(PARKED).await;
        say(&mut stream, "GET").await;
        assert_eq!(hear(&mut stream).await.status(), 408);
        assert_over(&mut stream).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_its_app_and_fills_no_memory() {
    // S-257
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        say(&mut stream, &get("/endless")).await;
        let taken = || tiny.pieces.load(Ordering::SeqCst);
        let mut before = usize::MAX;
        while before != taken() {
            before = taken();
            tokio::time::sleep(PARKED).await;
        }
        // What two sockets hold, and no more.
        assert!(before * PIECE < 32 * 1024 * 1024, "{before}");
        // The reader gets on as soon as it reads.
        let mut piece = vec![0; PIECE];
        while taken() == before {
            stream.read_exact(&mut piece).await.unwrap();
        }
    }
}
