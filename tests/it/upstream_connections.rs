//! Which of an app's connections may be used again, and what is said of those that could not be.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use vestibule::clock::{Clock, ManualClock};

use crate::support::{
    client::raw_tls::raw_tls,
    front::{HOST, wiki},
    issuer, process, upstream, vestibule as files,
    wire::{PROTOCOLS, ask},
};

/// Methods, and whether whoever serves them reads their content.
const METHODS: &[(&str, bool)] = &[
    ("ACL", true),
    ("LOCK", true),
    ("MERGE", true),
    ("MKCALENDAR", true),
    ("MKCOL", true),
    ("PATCH", true),
    ("POST", true),
    ("PROPFIND", true),
    ("PROPPATCH", true),
    ("PUT", true),
    ("QUERY", true),
    ("REPORT", true),
    ("SEARCH", true),
    ("COPY", false),
    ("DELETE", false),
    ("FOO", false),
    ("LINK", false),
    ("MOVE", false),
    ("POST-IT", false),
    ("PRI", false),
    ("PURGE", false),
    ("SUBSCRIBE", false),
    ("UNLOCK", false),
];

#[tokio::test]
async fn content_that_an_app_may_not_expect_is_the_last_of_its_connection() {
    // S-211: an app that takes no notice of it reads it as its next request.
    let app = upstream::echo().run();
    let front = wiki(&app, "[[public]]\npath = \"/pub\"");
    let session = front.session(HOST).await;
    let hidden = "GET /admin HTTP/1.1\r\nX-Forwarded-User: mallory\r\n\r\n";
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for (method, is_read) in METHODS {
            for (target, cookie) in [("/pub", "a=b"), ("/x", &*session)] {
                let plain = ask(method, target).with("Cookie", cookie);
                for (asked, is_kept) in [
                    (plain.clone().body(""), true),
                    (plain.clone().body(hidden), *is_read),
                    (plain.clone().chunked(hidden, &[]), *is_read),
                ] {
                    let what = format!("{protocol:?} {asked:?}");
                    assert_eq!(wire.ask(&asked).await.status, 200, "{what}");
                    let read = app.requests().pop().unwrap();
                    let close = read.header("connection").is_some_and(|it| it == "close");
                    assert_eq!(close, !is_kept, "{what}");
                    assert_eq!(wire.ask(&plain).await.status, 200, "{what}");
                    let next = app.requests().pop().unwrap();
                    assert_eq!(next.connection == read.connection, is_kept, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_offer_that_is_not_passed_on_is_told_once_and_says_what_to_do() {
    // S-095. The program goes by the system's clock, and so must everybody it talks to.
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let app = upstream::echo()
        .answering(|_| {
            let answer = Response::builder().status(401);
            let answer = answer.header("www-authenticate", "Negotiate");
            answer.body(Full::new(Bytes::new())).unwrap()
        })
        .run();
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/\"";
    let built = files::at(&time)
        .route("files", HOST, rules, &app)
        .entra(&idp)
        .main("[log]\naccess = \"json\"")
        .variable("VESTIBULE_LISTEN__WORKERS", "3")
        .variable("RUST_LOG", "warn");
    let process = process::serve(built).await;
    let port = process.built().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Enough that more than one thread has its share.
    for _ in 0..12 {
        let raw = raw_tls(address, HOST, process.built().pki());
        let head = format!("GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n");
        let came = raw.say(head).await;
        assert_eq!(came.statuses(), [401]);
        assert!(!came.text().contains("Negotiate"), "{}", came.text());
    }
    let output = process.terminate().await;
    let told = String::from_utf8(output.stderr).unwrap();
    let mut lines = told.lines().filter(|line| line.contains("NTLM"));
    let line = lines.next().unwrap_or_else(|| panic!("{told}"));
    assert_eq!(lines.next(), None, "{told}");
    for said in [
        "reason=\"connection_bound\"",
        "blame=\"upstream\"",
        "route=\"files\"",
        "let the app trust the route's header",
    ] {
        assert!(line.contains(said), "{said} in {line}");
    }
    let id = line.split("request_id=\"").nth(1).unwrap();
    let id = id.split('"').next().unwrap();
    let access = String::from_utf8(output.stdout).unwrap();
    assert!(access.contains(id), "the access log knows {id}: {access}");
}
