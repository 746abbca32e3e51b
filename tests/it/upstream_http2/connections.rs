//! Connections that many requests share: how many there are, and what a bad day of one means for whom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use h2::{Reason, server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

use super::{
    HTTP2,
    app::{app, app_with, head, heads, listen, ok},
    client,
};
use crate::support::{
    client::kept::{fed, nothing},
    eventually,
    front::wiki,
    h2_frames::{flag, frame, headers, indexed, kind, settings, settings_ack},
};

#[tokio::test]
async fn requests_share_a_connection_and_a_new_one_is_made_when_its_streams_are_used_up() {
    // S-260
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(10);
    let app = app_with(builder, move |mut asked| {
        let gate = Arc::clone(&waiting);
        async move {
            let _go_on = gate.acquire().await.unwrap();
            asked.says(ok(), b"hello");
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let client = client(&front).await;
    let ask = |count: usize| {
        join_all((0..count).map(|_| {
            let mut client = client.clone();
            async move { client.get("/").await }
        }))
    };
    for (count, connections) in [(1, 1), (10, 1), (25, 3), (5, 3)] {
        let asking = tokio::spawn(ask(count));
        let before = app.seen().len();
        eventually("all have arrived", || app.seen().len() == before + count).await;
        gate.add_permits(1000);
        for answer in asking.await.unwrap() {
            assert_eq!(answer.status, 200);
        }
        gate.forget_permits(1000);
        assert_eq!(app.connections(), connections, "for {count} at once");
    }
    let seen = app.seen();
    let last = seen.iter().rev().take(5);
    assert!(last.clone().all(|it| it.connection == 0), "the first first");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_own_stream_alone() {
    // S-097
    let resets = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&resets);
    let app = app(move |mut asked| {
        let resets = Arc::clone(&count);
        async move {
            if asked.path() == "/" {
                return asked.says(ok(), b"hello");
            }
            let mut stream = None;
            if asked.path() == "/begun" {
                stream = Some(asked.answer.send_response(ok(), false).unwrap());
            }
            let reason = std::future::poll_fn(|context| match &mut stream {
                Some(stream) => stream.poll_reset(context),
                None => asked.answer.poll_reset(context),
            });
            assert_eq!(reason.await.unwrap(), Reason::CANCEL);
            resets.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    for (round, path) in ["/waiting", "/begun", "/waiting"].into_iter().enumerate() {
        let before = app.seen().len();
        let mut leaving = client.clone();
        let request = leaving.request("GET", path).body(nothing()).unwrap();
        let asking = tokio::spawn(async move {
            let answer = leaving.begin(request).await;
            std::future::pending::<()>().await;
            drop(answer);
        });
        eventually("it has arrived", || app.seen().len() > before).await;
        asking.abort();
        eventually("it is reset", || resets.load(Ordering::SeqCst) > round).await;
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn who_takes_nothing_holds_up_nobody_else() {
    // S-257: far more than the window of one stream each.
    const LARGE: usize = 4 * 1024 * 1024;
    let app = app(async |mut asked| {
        if asked.path() == "/" {
            return asked.says(ok(), b"hello");
        }
        let mut stream = asked.answer.send_response(ok(), false).unwrap();
        let mut left = LARGE;
        while left > 0 {
            stream.reserve_capacity(left);
            let capacity = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
            let Some(Ok(capacity)) = capacity else { return };
            left -= capacity;
            let piece = vec![b'x'; capacity];
            stream.send_data(piece.into(), left == 0).unwrap();
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let mut untaken = Vec::new();
    for _ in 0..60 {
        let request = client.request("GET", "/large").body(nothing()).unwrap();
        untaken.push(client.begin(request).await.unwrap());
    }
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(app.connections(), 1);
    let last = super::whole(untaken.pop().unwrap()).await.unwrap();
    assert_eq!(last.body.len(), LARGE);
}

#[tokio::test]
async fn what_the_app_refused_unread_is_sent_once_more_over_another_connection() {
    // S-098
    let refusals = Arc::new(AtomicUsize::new(0));
    let left = Arc::clone(&refusals);
    let app = app(move |mut asked| {
        let left = Arc::clone(&left);
        async move {
            let refuses = |it: usize| it.checked_sub(1);
            if left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuses)
                .is_ok()
            {
                return asked.answer.send_reset(Reason::REFUSED_STREAM);
            }
            asked.body().await;
            asked.says(ok(), b"hello");
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    for (refused, status, times) in [(0, 200, 1), (1, 200, 2), (2, 502, 2)] {
        refusals.store(refused, Ordering::SeqCst);
        let before = app.seen().len();
        assert_eq!(client.get("/").await.status, status, "{refused} refusals");
        let sent = app.seen().split_off(before);
        assert_eq!(sent.len(), times, "{refused} refusals");
        if let [first, second] = &sent[..] {
            assert_ne!(first.connection, second.connection);
        }
    }
    // A body that nothing was taken of goes along; one that has begun does not.
    let (feed, body) = fed();
    refusals.store(1, Ordering::SeqCst);
    let before = app.seen().len();
    let request = client.request("POST", "/").body(body).unwrap();
    let mut asking = client.clone();
    let asking = tokio::spawn(async move { asking.ask(request).await });
    eventually("it was sent twice", || app.seen().len() == before + 2).await;
    assert!(feed.send(b"abc"));
    drop(feed);
    let _ = asking.await;
}

#[tokio::test]
async fn nothing_else_is_ever_sent_twice() {
    // S-098
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        let app = app(move |mut asked| async move { asked.answer.send_reset(reason) }).await;
        let front = wiki(&app, HTTP2);
        let mut client = client(&front).await;
        assert_eq!(client.get("/").await.status, 502, "{reason:?}");
        assert_eq!(app.seen().len(), 1, "{reason:?}");
    }
    let app = app(async |asked| {
        let mut asked = asked;
        let piece = asked.request.body_mut().data().await;
        assert!(piece.is_some());
        asked.answer.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let body = http_body_util::BodyExt::boxed(http_body_util::BodyExt::map_err(
        http_body_util::Full::new(bytes::Bytes::from_static(b"abc")),
        |never| match never {},
    ));
    let request = client.request("POST", "/").body(body).unwrap();
    assert_eq!(client.ask(request).await.unwrap().status, 502);
    assert_eq!(app.seen().len(), 1, "its body was gone");
}

/// An app by hand that answers the first request of its first connection only after it has said
/// GOAWAY, and that it will read nothing behind it; whatever comes behind goes to the next connection.
#[tokio::test]
async fn an_app_that_is_going_away_finishes_what_it_has_and_the_rest_goes_elsewhere() {
    // S-097
    let has_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&has_gone);
    let (address, accepted) = listen(move |mut stream, number| {
        let gone = Arc::clone(&gone);
        async move {
            let hello = [settings(&[]), settings_ack()].concat();
            stream.write_all(&hello).await.unwrap();
            let mut read = Vec::new();
            let ok = |id| headers(id, &indexed(8));
            let mut ids = Vec::new();
            loop {
                let mut buffer = [0; 4096];
                let Ok(length @ 1..) = stream.read(&mut buffer).await else {
                    return;
                };
                read.extend_from_slice(&buffer[..length]);
                for id in heads(&mut read) {
                    ids.push(id);
                    if number > 0 {
                        stream.write_all(&ok(id)).await.unwrap();
                    }
                }
                if number == 0 && ids.len() == 3 {
                    // The first was read, the two behind it were not.
                    let payload = [1_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat();
                    let goaway = frame(kind::GOAWAY, 0, 0, &payload);
                    stream.write_all(&goaway).await.unwrap();
                    gone.store(true, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    stream.write_all(&ok(1)).await.unwrap();
                    ids.clear();
                }
            }
        }
    })
    .await;
    let front = wiki(&address, HTTP2);
    let client = client(&front).await;
    let asking = (0..3).map(|number| {
        let mut client = client.clone();
        async move { client.get(&format!("/{number}")).await }
    });
    for answer in join_all(asking).await {
        assert_eq!(answer.status, 200);
    }
    assert!(has_gone.load(Ordering::SeqCst));
    assert_eq!(client.clone().get("/later").await.status, 200);
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_ends_hits_those_alone_whose_answers_were_under_way() {
    // S-097
    let (address, accepted) = listen(|mut stream, number| async move {
        stream.write_all(&settings(&[])).await.unwrap();
        let mut read = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let Ok(length @ 1..) = stream.read(&mut buffer).await else {
                return;
            };
            read.extend_from_slice(&buffer[..length]);
            for id in heads(&mut read) {
                if number == 0 {
                    return;
                }
                let head = frame(kind::HEADERS, flag::END_HEADERS, id, &indexed(8));
                stream.write_all(&head).await.unwrap();
                let data = frame(kind::DATA, flag::END_STREAM, id, b"hello");
                stream.write_all(&data).await.unwrap();
            }
        }
    })
    .await;
    let front = wiki(&address, HTTP2);
    let mut client = client(&front).await;
    let broken = client.get("/").await;
    assert_eq!(broken.status, 502);
    let problem: serde_json::Value = serde_json::from_slice(&broken.body).unwrap();
    assert_eq!(problem["reason"], "upstream_broken_off");
    let next = client.get("/").await;
    assert_eq!((next.status, &*next.body), (200, &b"hello"[..]));
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_signs_somebody_in_is_nobody_elses() {
    // S-095
    let app = app(async |mut asked| asked.says(head(200, &[]), b"hello")).await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.status, 200);
        let request = client.request("GET", "/");
        let request = request.header("authorization", "Negotiate YII=");
        let answer = client.ask(request.body(nothing()).unwrap()).await.unwrap();
        assert_eq!(answer.status, 200);
    }
    let connections: Vec<_> = app.seen().iter().map(|it| it.connection).collect();
    assert_eq!(connections, [0, 1, 0, 2]);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_minute() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let (address, accepted) = listen(move |stream, _| {
        let closed = Arc::clone(&count);
        async move {
            let mut requests = server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut answer))) = requests.accept().await {
                let mut stream = answer.send_response(ok(), false).unwrap();
                stream
                    .send_data(bytes::Bytes::from_static(b"hello"), true)
                    .unwrap();
            }
            closed.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let front = wiki(&address, HTTP2);
    let mut client = client(&front).await;
    for rounds in 1..=2 {
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(accepted.load(Ordering::SeqCst), rounds);
        // Whoever sleeps may come to it a little later than the clock is moved.
        let time = front.vestibule.time().clone();
        eventually("it is closed", || {
            time.advance(Duration::from_secs(5));
            closed.load(Ordering::SeqCst) == rounds
        })
        .await;
    }
}
