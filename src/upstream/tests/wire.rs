//! Exact bytes and connections, against an app written by hand.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, sync::mpsc};

use super::support::{
    App, Front, GET, OK, Options, POST, Switch, app, front, read_to_close, read_until, send,
};
use crate::{
    clock::Clock,
    upstream::{AnswerBody, BodyLimits, UpstreamBody, error::BodyError},
};

async fn pair() -> (App, Front) {
    let app = app().await;
    let front = front(app.port, Options::default()).await;
    (app, front)
}

/// The status of what a client gets when the app answers a GET with `answer` and closes.
async fn answered_with(answer: &str) -> String {
    let (mut app, front) = pair().await;
    let mut client = front.begin(GET).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(&mut connection, answer).await;
    drop(connection);
    read_to_close(&mut client).await
}

async fn exchange(front: &Front, connection: &mut tokio::net::TcpStream) -> String {
    let mut client = front.begin(GET).await;
    read_until(connection, "\r\n\r\n").await;
    send(connection, OK).await;
    read_to_close(&mut client).await
}

#[test]
fn bodies_are_small() {
    assert!(
        size_of::<UpstreamBody>() <= 160,
        "{}",
        size_of::<UpstreamBody>()
    );
    assert!(
        size_of::<AnswerBody>() <= 192,
        "{}",
        size_of::<AnswerBody>()
    );
}

#[tokio::test]
async fn the_app_gets_one_request_line_byte_for_byte() {
    // S-003, S-004
    let (mut app, front) = pair().await;
    let _client = front
        .begin("GET http://x/a//b;c/%2e?q=%20&? HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let head = read_until(&mut app.connection().await, "\r\n\r\n").await;
    assert!(
        head.starts_with("GET /a//b;c/%2e?q=%20&? HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(head.matches("x-app-user: ann\r\n").count(), 1);
    assert_eq!(
        head.matches("\r\nhost: wiki.example.com:8443\r\n").count(),
        1
    );
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"));
}

#[tokio::test]
async fn bodies_keep_their_framing_for_every_method() {
    // S-211, S-221
    let (mut app, front) = pair().await;
    let chunked = "Host: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-App-User\r\n\r\n\
                   3\r\nabc\r\n0\r\nX-App-User: admin\r\n\r\n";
    for method in ["GET", "POST", "DELETE"] {
        let _client = front
            .begin(&format!("{method} / HTTP/1.1\r\n{chunked}"))
            .await;
        let mut connection = app.connection().await;
        let head = read_until(&mut connection, "\r\n\r\n").await;
        assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
        // S-021: no trailer passes.
        assert_eq!(
            read_until(&mut connection, "0\r\n\r\n").await,
            "3\r\nabc\r\n0\r\n\r\n"
        );
    }
    let _client = front.begin(POST).await;
    let mut connection = app.connection().await;
    let head = read_until(&mut connection, "\r\n\r\n").await;
    assert_eq!(head.matches("content-length: 3\r\n").count(), 1, "{head}");
    assert_eq!(read_until(&mut connection, "abc").await, "abc");
}

#[tokio::test]
async fn a_whole_exchange_gives_the_connection_back() {
    let (mut app, front) = pair().await;
    let mut client = front.begin(GET).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(&mut connection, OK).await;
    assert!(read_to_close(&mut client).await.ends_with("\r\n\r\nok"));
    for _ in 0..3 {
        assert!(exchange(&front, &mut connection).await.ends_with("ok"));
    }
    assert_eq!(app.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_that_can_be_read_twice_are_bad() {
    // S-225, S-233, S-087
    for answer in [
        "garbage\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!(
            "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
            "x".repeat(70_000)
        ),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(300)),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_owned(),
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
    ] {
        let got = answered_with(&answer).await;
        assert!(got.starts_with("HTTP/1.1 502 "), "{answer:.80} gave {got}");
    }
}

#[tokio::test]
async fn answers_of_older_and_plainer_apps_pass() {
    let got = answered_with("HTTP/1.0 200 Fine\r\nServer: old\r\n\r\nall of it").await;
    assert!(
        got.starts_with("HTTP/1.1 200 OK\r\n") && got.contains("all of it"),
        "{got}"
    );
    assert!(!got.contains("old") && !got.contains("Fine"));
    let informed = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}");
    assert!(answered_with(&informed).await.ends_with("ok"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off() {
    // S-225
    let got = answered_with("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert!(
        got.contains("content-length: 9\r\n") && got.ends_with("half"),
        "{got}"
    );
    let got =
        answered_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    assert!(
        got.ends_with("4\r\nhalf\r\n"),
        "a last chunk would say it was whole: {got}"
    );
}

#[tokio::test]
async fn surplus_bytes_reach_nobody() {
    // S-096
    let (mut app, front) = pair().await;
    let mut client = front.begin(GET).await;
    let mut first = app.connection().await;
    read_until(&mut first, "\r\n\r\n").await;
    let stolen = OK.replace("ok", "NO");
    send(&mut first, &format!("{OK}{stolen}")).await;
    assert!(read_to_close(&mut client).await.ends_with("ok"));
    let mut client = front.begin(GET).await;
    let mut second = app.connection().await;
    read_until(&mut second, "\r\n\r\n").await;
    send(&mut second, OK).await;
    assert!(read_to_close(&mut client).await.ends_with("ok"));
}

#[tokio::test]
async fn a_post_is_sent_at_most_once() {
    // S-098: the app takes the request on a connection used before, and closes without a word.
    let (mut app, front) = pair().await;
    let mut client = front.begin(GET).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(&mut connection, OK).await;
    read_to_close(&mut client).await;
    let mut client = front.begin(POST).await;
    read_until(&mut connection, "\r\n\r\nabc").await;
    drop(connection);
    assert!(
        read_to_close(&mut client)
            .await
            .starts_with("HTTP/1.1 502 ")
    );
    assert_eq!(app.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_died_idle_costs_nobody_a_request() {
    let (mut app, front) = pair().await;
    for _ in 0..5 {
        let mut client = front.begin(POST).await;
        let mut connection = app.connection().await;
        read_until(&mut connection, "\r\n\r\nabc").await;
        send(&mut connection, OK).await;
        drop(connection);
        assert!(read_to_close(&mut client).await.ends_with("ok"));
    }
    assert_eq!(app.accepted.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn an_answer_before_the_request_is_whole_closes_the_connection() {
    // S-090, S-225
    let (mut app, front) = pair().await;
    let half = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc";
    let mut client = front.begin(half).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\nabc").await;
    send(&mut connection, OK).await;
    assert!(read_until(&mut client, "ok").await.ends_with("ok"));
    assert_eq!(read_to_close(&mut connection).await, "");
}

#[tokio::test]
async fn an_aborted_upload_never_looks_whole() {
    let (mut app, front) = pair().await;
    let half = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let client = front.begin(half).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "abc\r\n").await;
    drop(client);
    assert_eq!(read_to_close(&mut connection).await, "");
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_connection_with_it() {
    let (mut app, front) = pair().await;
    let client = front.begin(GET).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(
        &mut connection,
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    )
    .await;
    drop(client);
    let _ = connection.write_all(b"x").await;
    read_to_close(&mut connection).await;
}

#[tokio::test]
async fn nobody_rides_a_connection_that_somebody_authenticated() {
    // S-095
    let (mut app, front) = pair().await;
    let asking = GET.replace("Host: x", "Host: x\r\nAuthorization: Negotiate YII=");
    let mut client = front.begin(&asking).await;
    let mut first = app.connection().await;
    read_until(&mut first, "\r\n\r\n").await;
    send(&mut first, OK).await;
    read_to_close(&mut client).await;
    let mut client = front.begin(GET).await;
    let mut second = app.connection().await;
    read_until(&mut second, "\r\n\r\n").await;
    send(
        &mut second,
        &OK.replace("\r\n\r\n", "\r\nWWW-Authenticate: NTLM\r\n\r\n"),
    )
    .await;
    let got = read_to_close(&mut client).await;
    assert!(got.ends_with("ok") && !got.contains("NTLM"), "{got}");
    let _client = front.begin(GET).await;
    app.connection().await;
    assert_eq!(app.accepted.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_silent_app_is_given_up_on() {
    let app = app().await;
    let options = Options {
        head_timeout: Duration::from_millis(20),
        ..Options::default()
    };
    let front = front(app.port, options).await;
    for request in [GET, POST] {
        let mut client = front.begin(request).await;
        assert!(
            read_to_close(&mut client)
                .await
                .starts_with("HTTP/1.1 504 ")
        );
    }
}

#[tokio::test]
async fn an_app_that_is_not_there_is_a_bad_gateway() {
    let app = app().await;
    let port = app.port;
    drop(app);
    let free = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = free.local_addr().map_or(port, |address| address.port());
    drop(free);
    let front = front(port, Options::default()).await;
    let got = read_to_close(&mut front.begin(GET).await).await;
    assert!(got.starts_with("HTTP/1.1 502 ") && got.ends_with("upstream_unreachable"));
    assert!(!got.contains(&port.to_string()));
}

#[tokio::test]
async fn bodies_end_with_their_lease_though_nothing_moves() {
    // S-005, S-271
    let mut app = app().await;
    let lease = Arc::new(Switch::default());
    let options = Options {
        lease: Some(Arc::clone(&lease) as _),
        ..Options::default()
    };
    let front = front(app.port, options).await;
    let mut download = front.begin(GET).await;
    let mut down = app.connection().await;
    read_until(&mut down, "\r\n\r\n").await;
    send(
        &mut down,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    )
    .await;
    read_until(&mut download, "1\r\na\r\n").await;
    let half = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let mut upload = front.begin(half).await;
    let mut up = app.connection().await;
    read_until(&mut up, "abc\r\n").await;
    lease.0.store(true, Ordering::SeqCst);
    assert_eq!(read_to_close(&mut download).await, "", "no last chunk");
    assert_eq!(read_to_close(&mut up).await, "", "no last chunk");
    assert!(
        read_until(&mut upload, "\r\n")
            .await
            .starts_with("HTTP/1.1 401 ")
    );
    let mut late = front.begin(GET).await;
    assert!(read_to_close(&mut late).await.starts_with("HTTP/1.1 401 "));
}

/// One HTTP/2 frame of stream 1, or of the connection.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

#[tokio::test]
async fn an_upload_reset_without_an_error_never_looks_whole() {
    // hyper reads RST_STREAM with NO_ERROR as the end of the body (RFC 9113 8.1).
    let (mut client, server) = tokio::io::duplex(4096);
    let (report, mut reported) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<Incoming>| {
        let (clock, idle) = (Clock::system(), Duration::from_mins(1));
        let version = request.version();
        let limits = BodyLimits {
            idle,
            bytes: None,
            slowest: None,
        };
        let mut body = UpstreamBody::new(request.into_body(), version, clock, None, limits);
        let report = report.clone();
        // Read on its own, as the driver of a connection does.
        tokio::spawn(async move {
            for _ in 0..2 {
                let frame = body.frame().await.transpose();
                report
                    .send(frame.map(|frame| frame.map(|it| it.into_data().unwrap())))
                    .unwrap();
            }
        });
        pending::<Result<Response<Empty<Bytes>>, Infallible>>()
    });
    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    tokio::spawn(http2.serve_connection(TokioIo::new(server), service));
    let parts = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        // SETTINGS, then POST https / with the authority `x`, then three bytes.
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &[0x83, 0x87, 0x84, 0x41, 1, b'x']),
        frame(0, 0, 1, b"abc"),
    ];
    client.write_all(&parts.concat()).await.unwrap();
    assert_eq!(reported.recv().await.unwrap().unwrap().unwrap(), "abc");
    client.write_all(&frame(3, 0, 1, &[0; 4])).await.unwrap();
    let end = reported.recv().await.unwrap();
    assert!(matches!(end, Err(BodyError::Reset)), "{end:?}");
}
