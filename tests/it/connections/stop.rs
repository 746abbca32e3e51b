//! A stop, as a connection sees it.

use vestibule::listener::Phase;

use super::{PARKED, Tiny, ask, assert_over, drain, get, hear, patient, say};
use crate::support::{PATIENCE, eventually};

#[tokio::test]
async fn idle_connections_close_at_once() {
    // S-269
    for pause in [std::time::Duration::ZERO, PARKED] {
        for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
            let mut streams = vec![tiny.connect().await];
            for _ in 0..20 {
                let mut stream = tiny.connect().await;
                ask(&mut stream, "/").await;
                streams.push(stream);
            }
            tokio::time::sleep(pause).await;
            drain(&tiny);
            for mut stream in streams {
                assert_over(&mut stream).await;
            }
            let finished = tokio::time::timeout(PATIENCE, tiny.terms.shutdown.finished());
            finished.await.expect("nothing is left");
        }
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_as_the_last_one() {
    // S-269
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut stream = tiny.connect().await;
        say(&mut stream, &get("/wait")).await;
        eventually("the request", || tiny.asked().len() == 1).await;
        drain(&tiny);
        tokio::task::yield_now().await;
        tiny.go.notify_one();
        let answer = hear(&mut stream).await;
        assert_eq!(answer.body, "waited");
        assert!(answer.says("connection: close"), "{answer:?}");
        assert_over(&mut stream).await;
    }
}

#[tokio::test]
async fn the_end_takes_everything_with_it() {
    // S-269: under way, half a head, in the middle of a lingering close
    for tiny in [Tiny::plain(patient()).await, Tiny::tls(patient()).await] {
        let mut waiting = tiny.connect().await;
        say(&mut waiting, &get("/wait")).await;
        let mut half = tiny.connect().await;
        say(&mut half, "GET / HT").await;
        let mut lingering = tiny.connect().await;
        say(
            &mut lingering,
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        )
        .await;
        hear(&mut lingering).await;
        eventually("the requests", || tiny.asked().len() == 2).await;
        drain(&tiny);
        tiny.terms.shutdown.advance_to(Phase::Ended);
        let finished = tokio::time::timeout(PATIENCE, tiny.terms.shutdown.finished());
        finished.await.expect("nothing is left");
    }
}
