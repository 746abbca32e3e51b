//! The listener without TLS: sends page views to HTTPS, and serves nothing.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use vestibule::clock::{Clock, ManualClock};

use crate::support::{
    PATIENCE,
    front::{Front, HOST, front},
    issuer, process,
    upstream::{self, Raw},
    vestibule as files,
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
        (head("TRACE", "/", HOST), 405),
        (head("TRACK", "/", HOST), 405),
        (head("CONNECT", "wiki.example:443", HOST), 405),
        (head("get", "/", HOST), 400),
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
        let allowed = answer.contains("\r\nallow: GET, HEAD\r\n");
        assert_eq!(allowed, status == 405, "{answer}");
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

#[tokio::test]
async fn what_comes_without_tls_leaves_its_lines() {
    // S-026, S-267: each request its own in the access log; what is set up wrongly one in the log.
    let app = upstream::raw().run();
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let built = files::at(&time).route("wiki", HOST, "allow = \"signed-in\"", &app);
    let (https, http) = (
        SocketAddr::from(([127, 0, 0, 1], built.port())),
        SocketAddr::from(([127, 0, 0, 5], built.port())),
    );
    let process = process::serve(built.main(&format!("http = \"{http}\"")).entra(&idp)).await;
    for (address, said) in [
        (http, head("GET", "/page?code=secret", HOST)),
        (http, head("TRACE", "/trace", HOST)),
        (http, head("POST", "/form", HOST)),
        (http, head("GET", "/where", "unknown.example")),
        (http, "GET /bare HTTP/1.1\nHost: x\n\n".to_owned()),
        (https, head("GET", "/", HOST)),
        (https, head("GET", "/", HOST)),
        (https, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_owned()),
        (https, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_owned()),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = timeout(PATIENCE, stream.read_to_end(&mut answer));
        let _ = reading.await.expect("it is closed");
    }
    let output = process.terminate().await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!(said(line, "peer"), "127.0.0.1");
            let status = line["status"].as_u64().unwrap();
            let told = [
                said(line, "path"),
                said(line, "host"),
                said(line, "decision"),
            ];
            (told.join(" "), status, said(line, "reason"))
        })
        .collect();
    let line = |told: &str, status, reason: &str| (told.to_owned(), status, reason.to_owned());
    assert_eq!(
        lines,
        [
            line("/page wiki.example own", 308, "redirect_to_https"),
            line("/trace wiki.example refuse", 405, "method_refused"),
            line("/form wiki.example refuse", 403, "without_tls"),
            line("/where unknown.example refuse", 421, "unknown_host"),
            line("-  refuse", 400, "ambiguous_line_end"),
        ]
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    for warned in ["speaks plain HTTP", "begins with a PROXY header"] {
        // Two if the minute turned meanwhile.
        let count = stderr.matches(warned).count();
        assert!((1..=2).contains(&count), "{warned}: {stderr}");
    }
}
