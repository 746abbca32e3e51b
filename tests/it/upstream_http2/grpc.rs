//! gRPC as its clients and servers speak it over HTTP/2: status in trailers, streams, refusals.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::Reason;
use http_body_util::BodyExt;

use super::{
    HTTP2,
    app::{Asked, app, fields, head, raw_app},
    client,
};
use crate::support::{
    client::kept::{fed, nothing},
    front::{HOST, front, wiki},
    h2_frames::{headers, indexed, plain, reset},
    upstream,
    wire::{Protocol, ask},
};

const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn begin(asked: &mut Asked) -> h2::SendStream<Bytes> {
    let head = head(200, &[GRPC]);
    asked.answer.send_response(head, false).unwrap()
}

#[tokio::test]
async fn the_status_of_a_call_passes_behind_its_messages() {
    let app = app(async |mut asked| {
        assert_eq!(asked.request.headers()["te"], "trailers");
        let body = asked.body().await.unwrap();
        let mut stream = begin(&mut asked);
        stream.send_data(body.into(), false).unwrap();
        let status = [
            ("grpc-status", "0"),
            ("grpc-message", "fine"),
            ("x-cost-bin", "AAE="),
        ];
        stream.send_trailers(fields(&status)).unwrap();
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let body = http_body_util::Full::new(Bytes::from_static(b"\0\0\0\0\x03abc"));
    let body = body.map_err(|never| match never {}).boxed();
    let request = client.request("POST", "/echo.Echo/Say");
    let request = request.header(GRPC.0, GRPC.1).header("te", "trailers");
    let answer = client.ask(request.body(body).unwrap()).await.unwrap();
    assert_eq!(&*answer.body, b"\0\0\0\0\x03abc");
    assert_eq!(answer.headers[GRPC.0], GRPC.1);
    assert_eq!(answer.trailers["grpc-status"], "0");
    assert_eq!(answer.trailers["grpc-message"], "fine");
    assert_eq!(answer.trailers["x-cost-bin"], "AAE=");
}

#[tokio::test]
async fn an_answer_of_trailers_alone_passes_also_before_the_request_is_whole() {
    let (address, accepted) = raw_app(|id| {
        let content_type = plain(b"content-type", b"application/grpc");
        let status = plain(b"grpc-status", b"12");
        let block = [indexed(8), content_type, status].concat();
        [headers(id, &block), reset(id, 0)].concat()
    })
    .await;
    let front = wiki(&address, HTTP2);
    let mut client = client(&front).await;
    for _ in 0..20 {
        let (feed, body) = fed();
        let request = client.request("POST", "/echo.Echo/None");
        let request = request.header(GRPC.0, GRPC.1).header("te", "trailers");
        let answer = client.begin(request.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "12");
        let rest = answer.into_body().collect().await.unwrap();
        assert!(rest.trailers().is_none());
        assert!(rest.to_bytes().is_empty());
        drop(feed);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_quiet_stream_of_messages_goes_on() {
    let app = app(async |mut asked| {
        let mut stream = begin(&mut asked);
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
    let request = client
        .request("POST", "/echo.Echo/Chat")
        .header(GRPC.0, GRPC.1);
    let mut answer = client
        .begin(request.body(body).unwrap())
        .await
        .unwrap()
        .into_body();
    for piece in [&b"one"[..], b"two", b"three"] {
        assert!(feed.send(piece));
        let came = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(came, piece);
        front
            .vestibule
            .time()
            .advance(std::time::Duration::from_mins(20));
    }
}

#[tokio::test]
async fn a_call_that_is_not_let_in_is_told_by_its_status_and_never_redirected() {
    let app = upstream::echo().run();
    app.go_down().await;
    let front = front(|it| {
        let denied = format!("allow = {{ users = [\"nobody@example.com\"] }}\n{HTTP2}");
        it.route(
            "wiki",
            HOST,
            &format!("allow = \"signed-in\"\n{HTTP2}"),
            &app,
        )
        .route("other", "other.example", &denied, &app)
    });
    for (host, is_in, status) in [
        (HOST, false, 401),
        (HOST, true, 502),
        ("other.example", false, 401),
        ("other.example", true, 403),
    ] {
        let session = front.session(HOST.min(host)).await;
        let session = if host == HOST {
            session
        } else {
            front.session(host).await
        };
        let mut call = ask("POST", "/echo.Echo/Say")
            .with(GRPC.0, "application/grpc+proto")
            .with("te", "trailers")
            .with("accept", "text/html")
            .body("\0\0\0\0\0");
        if is_in {
            call = call.with("cookie", &session);
        }
        let reply = front.wire(Protocol::Http2, host).ask(&call).await;
        assert_eq!(reply.status, status, "{host} {is_in}");
        assert_eq!(reply.header("location"), None);
        assert_eq!(
            reply.header("content-type"),
            Some("application/problem+json")
        );
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_given_up_at_the_app() {
    let (sender, mut resets) = tokio::sync::mpsc::unbounded_channel();
    let app = app(move |mut asked| {
        let sender = sender.clone();
        async move {
            let mut stream = begin(&mut asked);
            let reason = std::future::poll_fn(|context| stream.poll_reset(context)).await;
            sender.send(reason.unwrap()).unwrap();
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    for with_upload in [false, true] {
        let (feed, body) = fed();
        let request = client
            .request("POST", "/echo.Echo/Watch")
            .header(GRPC.0, GRPC.1);
        let body = if with_upload { body } else { nothing() };
        let answer = client.begin(request.body(body).unwrap()).await.unwrap();
        drop((answer, feed));
        let reason = resets.recv().await.unwrap();
        assert_ne!(reason, Reason::NO_ERROR, "{with_upload}");
    }
    assert_eq!(app.connections(), 1);
}
