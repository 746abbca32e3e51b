//! The listener without TLS: sends page views to HTTPS, and serves nothing.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    front::{Front, HOST, front},
    upstream::{self, Raw},
};

fn redirecting(app: &Raw) -> Front {
    front(|it| {
        it.main("http = \"127.0.0.1:0\"").route(
            "wiki",
            HOST,
            "allow = \"signed-in\"\n[[public]]\npath = \"/\"",
            app,
        )
    })
}

/// What comes back until the connection closes.
async fn said(front: &Front, request: &str) -> String {
    let mut stream = TcpStream::connect(front.vestibule.http().unwrap())
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn head(method: &str, target: &str, host: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_page_view_without_tls_is_sent_to_https() {
    // S-026
    let app = upstream::raw().run();
    let front = redirecting(&app);
    let to = front.vestibule.url(HOST, "");
    let port = front.vestibule.http().unwrap().port();
    for (host, target) in [
        (HOST.to_owned(), "/a/../b;c?d=%20&e"),
        (format!("{HOST}:{port}"), "/"),
        (
            "WIKI.example".to_owned(),
            "/.vestibule/login?return=//evil.test",
        ),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = said(&front, &head(method, target, &host)).await;
            assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
            let location = format!("\r\nlocation: {to}{target}\r\n");
            assert!(answer.contains(&location), "{answer}");
            assert!(!answer.contains("set-cookie"), "{answer}");
            assert!(!answer.contains("strict-transport-security"), "{answer}");
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn everything_else_without_tls_is_refused() {
    // S-026, S-217, S-218
    let app = upstream::raw().run();
    let front = redirecting(&app);
    for (request, status) in [
        (head("POST", "/", HOST), 403),
        (head("DELETE", "/", HOST), 403),
        (head("OPTIONS", "/", HOST), 403),
        (head("TRACE", "/", HOST), 400),
        (head("CONNECT", "wiki.example:443", HOST), 400),
        (head("GET", "/", "unknown.example"), 421),
        (head("GET", "/", "wiki.example."), 400),
        (head("GET", "/%zz", HOST), 400),
        (head("GET", "//evil.test", "evil.test"), 421),
        (head("GET", "http://evil.test/", HOST), 400),
        (
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            400,
        ),
    ] {
        let answer = said(&front, &request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request}{answer}"
        );
        assert!(!answer.contains("location"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "a body: {answer}");
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn nothing_listens_without_tls_unless_written() {
    let app = upstream::raw().run();
    let front = front(|it| it.route("wiki", HOST, "allow = \"signed-in\"", &app));
    assert_eq!(
        (front.vestibule.http(), front.vestibule.ops()),
        (None, None)
    );
    app.assert_silent().await;
}

#[tokio::test]
async fn whoever_speaks_plain_http_where_tls_is_spoken_is_told_so_and_served_nothing() {
    // S-026
    let app = upstream::raw().run();
    let front = redirecting(&app);
    for request in [
        head("GET", "/", &front.vestibule.authority(HOST)),
        head("POST", "/.vestibule/login", HOST),
        "GET ".to_owned(),
    ] {
        let mut stream = TcpStream::connect(front.vestibule.https()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(head.ends_with("\r\nconnection: close"), "{answer}");
        assert_eq!(body, "This port speaks HTTPS.\n");
    }
    app.assert_silent().await;
}
