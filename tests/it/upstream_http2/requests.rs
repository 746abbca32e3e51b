//! What an app gets over HTTP/2, and what it may answer.

use super::{
    HTTP2,
    app::{app, head, ok},
    client,
};
use crate::support::{
    client::kept::{fed, nothing},
    eventually,
    front::{HOST, wiki},
    upstream,
    wire::{PROTOCOLS, ask},
};

#[tokio::test]
async fn a_request_arrives_as_http2_has_it() {
    // S-001, S-019
    let app = app(async |mut asked| {
        asked.body().await.unwrap();
        asked.says(head(200, &[("content-length", "5")]), b"hello");
    })
    .await;
    let front = wiki(&app, HTTP2);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("POST", "/a%2fb?c=%20d")
            .with("Cookie", &format!("{session}; theirs=1"))
            .with("X-Forwarded-User", "mallory")
            .with("X_Forwarded_User", "mallory")
            .with("TE", "trailers")
            .with("X-Own", "1")
            .body("abc");
        let reply = wire.ask(&asked).await;
        assert_eq!((reply.status, &*reply.body), (200, &b"hello"[..]));
        let seen = app.seen().pop().unwrap();
        assert_eq!(seen.method, "POST", "{protocol:?}");
        let authority = front.vestibule.authority(HOST);
        assert_eq!(
            *seen.uri.to_string(),
            *format!("http://{authority}/a%2fb?c=%20d")
        );
        let field = |name: &str| {
            let values: Vec<_> = seen.headers.get_all(name).iter().collect();
            assert!(values.len() <= 1, "{name}: {values:?}");
            values
                .first()
                .map(|value| value.to_str().unwrap().to_owned())
        };
        let told = field("x-forwarded-user").unwrap();
        assert!(!told.is_empty() && told != "mallory", "{told}");
        assert_eq!(field("content-length").as_deref(), Some("3"));
        assert_eq!(field("te").as_deref(), Some("trailers"));
        assert_eq!(field("cookie").as_deref(), Some("theirs=1"));
        assert_eq!(field("x-own").as_deref(), Some("1"));
        assert_eq!(field("x-forwarded-proto").as_deref(), Some("https"));
        for gone in [
            "host",
            "connection",
            "transfer-encoding",
            "x_forwarded_user",
        ] {
            assert_eq!(field(gone), None, "{gone} over {protocol:?}");
        }
    }
}

#[tokio::test]
async fn what_no_client_said_is_not_said() {
    let app = app(async |mut asked| {
        let length = asked.body().await.unwrap().len();
        asked.says(head(200, &[("x-length", &length.to_string())]), b"");
    })
    .await;
    let front = wiki(&app, HTTP2);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (asked, length, said) in [
            (ask("GET", "/"), "0", None),
            (ask("POST", "/").body(""), "0", Some("0")),
            (
                ask("PUT", "/").chunked("abc", &[("X-User", "x")]),
                "3",
                None,
            ),
            (ask("DELETE", "/").body("ab"), "2", Some("2")),
        ] {
            let reply = wire.ask(&asked.clone().with("Cookie", &session)).await;
            assert_eq!(reply.header("x-length"), Some(length), "{asked:?}");
            let seen = app.seen().pop().unwrap();
            let announced = seen.headers.get("content-length");
            let announced = announced.map(|it| it.to_str().unwrap());
            assert_eq!(announced, said, "{protocol:?} {asked:?}");
            assert!(!seen.headers.contains_key("te"), "{asked:?}");
        }
    }
}

#[tokio::test]
async fn every_kind_of_answer_passes() {
    // S-225
    let app = app(async |mut asked| match asked.path() {
        "/empty" => asked.says(ok(), b""),
        "/sized" => asked.says(head(200, &[("content-length", "5")]), b"hello"),
        "/unsized" => asked.says(ok(), b"hello"),
        "/head" => asked.says(head(200, &[("content-length", "5")]), b""),
        "/none" => asked.says(head(204, &[]), b""),
        "/same" => asked.says(
            head(304, &[("content-length", "5"), ("etag", "\"a\"")]),
            b"",
        ),
        "/part" => {
            let range = asked.request.headers()["range"].clone();
            assert_eq!(range, "bytes=1-2");
            let fields = [("content-range", "bytes 1-2/5"), ("content-length", "2")];
            asked.says(head(206, &fields), b"el");
        }
        "/late" => {
            // The end comes in a frame of its own, after all that was announced.
            let head = head(200, &[("content-length", "5")]);
            let mut stream = asked.answer.send_response(head, false).unwrap();
            stream.send_data(b"hello"[..].into(), false).unwrap();
            tokio::task::yield_now().await;
            stream.send_data(b""[..].into(), true).unwrap();
        }
        _ => asked.says(head(500, &[]), b"oh"),
    })
    .await;
    let front = wiki(&app, HTTP2);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (method, path, status, body) in [
            ("GET", "/empty", 200, ""),
            ("GET", "/sized", 200, "hello"),
            ("HEAD", "/head", 200, ""),
            ("GET", "/none", 204, ""),
            ("GET", "/same", 304, ""),
            ("GET", "/part", 206, "el"),
            ("GET", "/late", 200, "hello"),
        ] {
            let asked = ask(method, path).with("Cookie", &session);
            let reply = wire.ask(&asked.with("Range", "bytes=1-2")).await;
            let what = format!("{protocol:?} {method} {path}");
            assert_eq!((reply.status, &*reply.text()), (status, body), "{what}");
            if matches!(path, "/sized" | "/head" | "/late") {
                assert_eq!(reply.header("content-length"), Some("5"), "{what}");
            }
        }
    }
    let mut client = client(&front).await;
    let answer = client.get("/unsized").await;
    assert_eq!((answer.status, &*answer.body), (200, &b"hello"[..]));
    assert_eq!(answer.headers.get("content-length"), None);
    assert_eq!(front.upstream_failures(), 0);
}

#[tokio::test]
async fn an_app_that_speaks_http1_is_a_bad_answer_and_gets_no_request() {
    let (app, raw) = (
        upstream::echo().run(),
        upstream::raw().answers("HTTP/1.1 400 \r\n\r\n").run(),
    );
    for (address, what) in [(app.address(), "hyper"), (raw.address(), "raw")] {
        let front = wiki(&address, HTTP2);
        let session = front.session(HOST).await;
        let mut wire = front.wire(PROTOCOLS[1], HOST);
        let reply = wire
            .ask(&ask("GET", "/secret").with("Cookie", &session))
            .await;
        assert_eq!(reply.status, 502, "{what}");
        assert_eq!(reply.reason(), "upstream_bad_answer", "{what}");
    }
    assert!(app.requests().is_empty());
    let heard = raw.heard().concat();
    let heard = String::from_utf8_lossy(&heard);
    assert!(!heard.contains("secret"), "{heard}");
}

#[tokio::test]
async fn nobody_there_is_told_to_all_who_waited() {
    let app = upstream::echo().run();
    app.go_down().await;
    let front = wiki(&app, HTTP2);
    let client = client(&front).await;
    let asking = (0..20).map(|_| {
        let mut client = client.clone();
        async move { client.get("/").await }
    });
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.status, 502);
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["reason"], "upstream_unreachable");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_never_looks_whole() {
    // S-221
    let (sender, mut ends) = tokio::sync::mpsc::unbounded_channel();
    let app = app(move |mut asked| {
        let sender = sender.clone();
        async move {
            let body = asked.body().await;
            sender.send(body.map(|it| it.len())).unwrap();
        }
    })
    .await;
    let front = wiki(&app, HTTP2);
    let mut client = client(&front).await;
    let (feed, body) = fed();
    let request = client.request("PUT", "/").body(body).unwrap();
    let asking = tokio::spawn(async move { client.ask(request).await });
    assert!(feed.send(b"abc"));
    eventually("it has arrived", || !app.seen().is_empty()).await;
    for _ in 0..3 {
        assert!(feed.send(b"abc"));
        tokio::task::yield_now().await;
    }
    drop(feed);
    assert_eq!(ends.recv().await.unwrap(), None);
    assert!(asking.await.unwrap().is_err());
    let mut other = super::client(&front).await;
    let request = other.request("PUT", "/").body(nothing()).unwrap();
    let _ = other.ask(request).await;
    assert_eq!(ends.recv().await.unwrap(), Some(0));
}
