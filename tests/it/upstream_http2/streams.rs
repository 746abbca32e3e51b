//! Answers that stream: as they come, to their true end, and never passed off as whole.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::Reason;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::{
    HTTP2,
    app::{app, head, ok, raw_app},
    client,
};
use crate::support::{
    client::kept::{fed, nothing},
    front::{HOST, wiki},
    h2_frames::{data, flag, head as answer_head, indexed, plain, reset},
    wire::{PROTOCOLS, ask},
};

#[tokio::test]
async fn an_answer_that_is_reset_is_broken_off_whatever_the_reason() {
    // S-225: a reset without an error is no end either, unless the answer has come to its own.
    for code in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        let (address, _) = raw_app(move |id| {
            let half = data(0, id, b"half");
            [answer_head(id, &indexed(8)), half, reset(id, code.into())].concat()
        })
        .await;
        let front = wiki(&address, HTTP2);
        let mut client = client(&front).await;
        let request = client.request("GET", "/").body(nothing()).unwrap();
        assert!(client.ask(request).await.is_err(), "{code:?}");
        let cut = "vestibule_answers_cut_total{route=\"wiki\",reason=\"upstream_body_broken_off\"}";
        crate::support::eventually("it is counted", || front.metric(cut) == 1).await;
    }
}

#[tokio::test]
async fn a_length_that_is_not_kept_is_broken_off() {
    // S-225
    let app = app(async |mut asked| {
        let (length, body) = match asked.path() {
            "/short" => ("9", &b"hello"[..]),
            _ => ("3", &b"hello"[..]),
        };
        let head = head(200, &[("content-length", length)]);
        let mut stream = asked.answer.send_response(head, false).unwrap();
        let _ = stream.send_data(Bytes::from_static(body), true);
    })
    .await;
    let front = wiki(&app, HTTP2);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        for path in ["/short", "/long"] {
            let mut wire = front.wire(protocol, HOST);
            let reply = wire
                .try_ask(&ask("GET", path).with("Cookie", &session))
                .await;
            let status = reply.map(|it| it.status);
            assert!(matches!(status, None | Some(502)), "{path}: {status:?}");
        }
    }
}

#[tokio::test]
async fn a_head_that_http1_could_not_have_is_a_bad_answer() {
    // S-225
    let app = app(async |mut asked| {
        let mut said = head(200, &[]);
        let fields = said.headers_mut();
        if asked.path() == "/twice" {
            fields.append("content-length", "5".parse().unwrap());
            fields.append("content-length", "5".parse().unwrap());
        } else {
            for number in 0..300 {
                let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
                fields.insert(name, "x".parse().unwrap());
            }
        }
        asked.says(said, b"hello");
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    for path in ["/twice", "/many"] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 502, "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains("upstream_bad_answer"), "{text}");
    }
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_early_answer_is_whole_though_the_rest_of_the_request_is_declined() {
    // S-225, RFC 9113 8.1
    let (address, accepted) = raw_app(|id| {
        let head = answer_head(id, &plain(b":status", b"413"));
        let whole = data(flag::END_STREAM, id, b"too much");
        [head, whole, reset(id, 0)].concat()
    })
    .await;
    let front = wiki(&address, HTTP2);
    let mut client = client(&front).await;
    for _ in 0..20 {
        let (feed, body) = fed();
        let request = client.request("PUT", "/").body(body).unwrap();
        assert!(feed.send(b"abc"));
        let answer = client.begin(request).await.unwrap();
        assert_eq!(answer.status(), 413);
        let body = answer.into_body().collect().await;
        assert_eq!(body.unwrap().to_bytes(), "too much");
        drop(feed);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    assert_eq!(front.upstream_failures(), 0);
}

#[tokio::test]
async fn both_directions_stream_at_once_piece_by_piece() {
    let app = app(async |mut asked| {
        let mut stream = asked.answer.send_response(ok(), false).unwrap();
        let body = asked.request.body_mut();
        while let Some(Ok(piece)) = body.data().await {
            let _ = body.flow_control().release_capacity(piece.len());
            stream.send_data(piece, false).unwrap();
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let (feed, body) = fed();
    let request = client.request("POST", "/").body(body).unwrap();
    let mut answer = client.begin(request).await.unwrap().into_body();
    for piece in [&b"one"[..], b"two", b"three"] {
        assert!(feed.send(piece));
        let came = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(came, piece);
    }
    drop(feed);
    assert!(answer.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn events_pass_as_they_come() {
    let (sender, receiver) = mpsc::unbounded_channel::<&'static [u8]>();
    let events = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let app = app(move |mut asked| {
        let events = std::sync::Arc::clone(&events);
        async move {
            let head = head(200, &[("content-type", "text/event-stream")]);
            let mut stream = asked.answer.send_response(head, false).unwrap();
            while let Some(event) = events.lock().await.recv().await {
                stream.send_data(Bytes::from_static(event), false).unwrap();
            }
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let request = client.request("GET", "/").body(nothing()).unwrap();
    let mut answer = client.begin(request).await.unwrap().into_body();
    for event in [&b"data: 1\n\n"[..], b"data: 2\n\n"] {
        sender.send(event).unwrap();
        let came = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(came, event);
        // Quiet for longer than any other answer may be.
        front
            .vestibule
            .time()
            .advance(std::time::Duration::from_mins(20));
    }
}

#[tokio::test]
async fn an_answer_ends_with_its_session() {
    // S-005, S-271
    let app = app(async |mut asked| {
        let mut stream = asked.answer.send_response(ok(), false).unwrap();
        stream
            .send_data(Bytes::from_static(b"half"), false)
            .unwrap();
        let reason = std::future::poll_fn(|context| stream.poll_reset(context)).await;
        assert_eq!(reason.unwrap(), Reason::CANCEL);
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let request = client.request("GET", "/").body(nothing()).unwrap();
    let mut answer = client.begin(request).await.unwrap().into_body();
    assert!(answer.frame().await.unwrap().is_ok());
    front
        .vestibule
        .time()
        .advance(std::time::Duration::from_hours(24));
    assert!(answer.frame().await.unwrap().is_err());
}
