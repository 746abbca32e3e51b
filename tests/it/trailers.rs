//! Fields behind a body: those of answers reach whoever takes them, but for what may not stand there;
//! those of requests reach nobody.

use crate::{
    support::{
        client::kept::nothing,
        front::{Front, HOST, wiki},
        upstream::{self, Afterwards},
    },
    upstream_http2::{
        HTTP2,
        app::{app, fields, ok},
        client,
    },
};

/// What may not stand behind a body, or not come from an app at all.
const FORBIDDEN: &[(&str, &str)] = &[
    ("X-Forwarded-User", "mallory"),
    ("X_Forwarded_User", "mallory"),
    ("Set-Cookie", "a=b"),
    ("Content-Type", "text/html"),
    ("Cache-Control", "public"),
    ("WWW-Authenticate", "Basic"),
    ("Location", "https://elsewhere.example/"),
    ("Server", "theirs"),
    ("Strict-Transport-Security", "max-age=0"),
    ("Alt-Svc", "clear"),
    ("Clear-Site-Data", "\"*\""),
    ("Trailer", "x-sum"),
];

/// An answer in chunks over HTTP/1.1 with all of them behind it, and two that may stand there.
fn chunked() -> String {
    let names = FORBIDDEN.iter().map(|(name, _)| *name);
    let names: Vec<_> = names.chain(["X-Sum", "Server-Timing"]).collect();
    let lines = FORBIDDEN.iter();
    let lines: Vec<_> = lines
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let lines = lines.concat();
    format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: {}\r\n\r\n5\r\nhello\r\n0\r\n\
         {lines}X-Sum: 1\r\nServer-Timing: db;dur=53\r\n\r\n",
        names.join(", ")
    )
}

/// What a client gets over HTTP/1.1 that says these fields.
async fn over_http1(front: &Front, fields: &str) -> String {
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    let asked = format!(
        "GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n{fields}Connection: close\r\n\r\n"
    );
    let came = front.vestibule.raw(HOST).say(asked).await;
    String::from_utf8(came.bytes).unwrap()
}

/// Asserts that a client over HTTP/1.1 that takes trailers gets the two, and one that does not none.
async fn two_pass_over_http1(front: &Front) {
    let text = over_http1(front, "TE: trailers\r\n").await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\ntrailer: x-sum, server-timing"), "{head}");
    let (_, behind) = body.split_once("hello\r\n0\r\n").unwrap();
    let mut lines: Vec<_> = behind.trim_end().split("\r\n").collect();
    lines.sort_unstable();
    assert_eq!(lines, ["server-timing: db;dur=53", "x-sum: 1"]);
    for said in ["", "TE: gzip\r\n"] {
        let text = over_http1(front, said).await;
        assert!(text.ends_with("5\r\nhello\r\n0\r\n\r\n"), "{text}");
        assert!(!text.contains("\r\ntrailer:"), "{text}");
    }
}

async fn two_pass_over_http2(front: &Front) {
    let mut client = client(front).await;
    for _ in 0..3 {
        let answer = client.get("/").await;
        assert_eq!((answer.status, &*answer.body), (200, &b"hello"[..]));
        let mut came: Vec<_> = answer.trailers.iter().collect();
        came.sort_unstable_by_key(|(name, _)| name.as_str());
        let text = format!("{came:?}");
        assert_eq!(came.len(), 2, "{text}");
        assert!(came[0].1 == "db;dur=53" && came[1].1 == "1", "{text}");
    }
}

#[tokio::test]
async fn those_of_an_app_that_speaks_http1_reach_whoever_takes_them() {
    // S-232
    let mut script = upstream::raw();
    for _ in 0..6 {
        script = script.answers(chunked());
    }
    let app = script.then(Afterwards::Listen).run();
    let front = wiki(&app, "");
    two_pass_over_http2(&front).await;
    assert_eq!(app.connections(), 1, "it goes on being used");
    two_pass_over_http1(&front).await;
}

#[tokio::test]
async fn those_of_an_app_that_speaks_http2_reach_whoever_takes_them() {
    // S-232
    let app = app(async |mut asked| {
        let mut head = ok();
        head.headers_mut()
            .insert("trailer", "X-Sum, Server-Timing".parse().unwrap());
        let mut stream = asked.answer.send_response(head, false).unwrap();
        stream.send_data(b"hello"[..].into(), false).unwrap();
        let mut behind = fields(FORBIDDEN);
        behind.extend(fields(&[("x-sum", "1"), ("server-timing", "db;dur=53")]));
        stream.send_trailers(behind).unwrap();
    })
    .await;
    let front = wiki(&app, HTTP2);
    two_pass_over_http2(&front).await;
    two_pass_over_http1(&front).await;
}

#[tokio::test]
async fn framing_behind_a_body_breaks_the_answer_off() {
    // S-225
    for name in ["Content-Length: 3", "Transfer-Encoding: chunked"] {
        let behind = format!("5\r\nhello\r\n0\r\n{name}\r\n\r\n");
        let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{behind}");
        let app = upstream::raw().answers(text).run();
        let front = wiki(&app, "");
        let mut client = client(&front).await;
        let request = client.request("GET", "/").body(nothing()).unwrap();
        assert!(client.ask(request).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn trailers_have_a_largest_size() {
    // S-225: over HTTP/1.1 what is larger is no answer; over HTTP/2 h2 leaves out what is too much.
    let large = "x".repeat(70 * 1024);
    let behind = format!("5\r\nhello\r\n0\r\nX-Sum: {large}\r\n\r\n");
    let text = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{behind}");
    let http1 = upstream::raw().answers(text).run();
    let front = wiki(&http1, "");
    let mut client_of_http1 = client(&front).await;
    let request = client_of_http1.request("GET", "/").body(nothing()).unwrap();
    assert!(client_of_http1.ask(request).await.is_err());

    let http2 = app(move |mut asked| {
        let large = large.clone();
        async move {
            let mut stream = asked.answer.send_response(ok(), false).unwrap();
            stream.send_data(b"hello"[..].into(), false).unwrap();
            let behind = fields(&[("x-first", "1"), ("x-sum", &large)]);
            stream.send_trailers(behind).unwrap();
        }
    })
    .await;
    let front = wiki(&http2, HTTP2);
    let answer = client(&front).await.get("/").await;
    assert_eq!(&*answer.body, b"hello");
    assert_eq!(answer.trailers.get("x-sum"), None);
}
