//! Apps that go against the protocol, on purpose or not: each fault is counted and told once, spoils
//! one connection, and harms nobody else's request.

mod spoiled;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::client::TlsStream;
use vestibule::clock::{Clock, ManualClock};

use crate::support::{
    PATIENCE, eventually,
    front::{Front, HOST, wiki},
    issuer, process,
    upstream::{self, Afterwards},
    vestibule as files,
    wire::{PROTOCOLS, Protocol, ask},
};

fn failures(front: &Front, reason: &str) -> u64 {
    front.metric(&format!(
        "vestibule_upstream_failures_total{{route=\"wiki\",reason=\"{reason}\"}}"
    ))
}

#[tokio::test]
async fn every_fault_of_an_app_is_counted_by_route_and_reason() {
    // S-087, S-225
    let bad_answer = "upstream_bad_answer";
    let broken_body = "upstream_body_broken_off";
    for (answer, reason) in [
        ("", "upstream_broken_off"),
        ("garbage\r\n\r\n", bad_answer),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            bad_answer,
        ),
        (
            "HTTP/1.1 101 Odd\r\nUpgrade: x\r\n\r\n",
            "upstream_unasked_upgrade",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            broken_body,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            broken_body,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
            broken_body,
        ),
    ] {
        let app = upstream::raw()
            .answers(answer)
            .then(Afterwards::Close)
            .run();
        let front = wiki(&app, "");
        let session = front.session(HOST).await;
        let asked = ask("GET", "/").with("Cookie", &session);
        for (number, protocol) in (1..).zip(PROTOCOLS) {
            // Over HTTP/1.1 the reader of the tests takes chunks for what they are not.
            if protocol == Protocol::Http2 || !answer.contains("chunked") {
                let reply = front.wire(protocol, HOST).try_ask(&asked).await;
                assert_eq!(reply.is_none(), reason == broken_body, "{answer:?}");
            } else {
                let authority = front.vestibule.authority(HOST);
                let head =
                    format!("GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n\r\n");
                let came = front.vestibule.raw(HOST).say(head).await;
                assert!(came.closed && !came.text().ends_with("0\r\n\r\n"));
            }
            eventually("the fault was counted", || {
                failures(&front, reason) == number
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_app_that_cannot_be_reached_or_is_silent_is_counted() {
    let app = upstream::echo().run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    app.go_down().await;
    let asked = ask("GET", "/").with("Cookie", &session);
    assert_eq!(
        front.wire(Protocol::Http2, HOST).ask(&asked).await.status,
        502
    );
    assert_eq!(failures(&front, "upstream_unreachable"), 1);
    // Nobody blames an app for what a client does.
    app.come_back();
    let reply = front.wire(Protocol::Http1, HOST);
    let refused = asked.with("Connection", "Host");
    let mut reply_to = reply;
    assert_eq!(reply_to.ask(&refused).await.status, 400);
    assert_eq!(front.upstream_failures(), 1);
}

/// Reads until what came ends with `end`.
async fn read_to(stream: &mut TlsStream<TcpStream>, end: &[u8]) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let reading = timeout(PATIENCE, stream.read_buf(&mut bytes));
        assert!(reading.await.expect("it comes").unwrap() > 0, "closed");
    }
}

#[tokio::test]
async fn whoever_answers_early_is_not_asked_again_on_that_connection() {
    // S-090, S-225: what is left of the upload could be read as a request.
    let app = upstream::raw()
        .answers("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo")
        .answers("od")
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\nContent-Length: 9\r\n\r\n"
    );
    for connections in 1..=3 {
        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"first").await.unwrap();
        read_to(&mut stream, b"go").await;
        stream.write_all(b"\r\n\r\n").await.unwrap();
        read_to(&mut stream, b"od").await;
        assert_eq!(app.connections(), connections);
    }
}

#[tokio::test]
async fn a_head_with_a_body_is_the_end_of_its_connection() {
    // S-096, S-225
    let app = upstream::raw()
        .answers("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for _ in 0..3 {
            let reply = wire.ask(&ask("HEAD", "/").with("Cookie", &session)).await;
            assert_eq!((reply.status, reply.body.len()), (200, 0));
            assert_eq!(reply.header("content-length"), Some("4"));
        }
    }
    assert_eq!(app.connections(), 6, "none was used a second time");
}

#[tokio::test]
async fn interim_answers_without_end_are_no_answer() {
    // S-225
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let app = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(10);
                while stream.write_all(hints.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
    });
    let front = wiki(&app, "[upstream]\ntimeout = \"7s\"");
    let session = front.session(HOST).await;
    for (number, protocol) in (1..).zip(PROTOCOLS) {
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("GET", "/").with("Cookie", &session);
        let asking = tokio::spawn(async move { wire.ask(&asked).await });
        eventually("the app was asked", || *heard.lock().unwrap() == number).await;
        eventually("the app was given up", || {
            front.vestibule.time().advance(Duration::from_secs(8));
            asking.is_finished()
        })
        .await;
        let status = asking.await.unwrap().status;
        assert!(matches!(status, 502 | 504), "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_goes_quiet_is_cut() {
    // S-225, S-256
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let app = upstream::raw().answers(half).run();
    // On a public path, where no session ends however much time passes.
    let front = wiki(&app, "[[public]]\npath = \"/pub\"");
    for (number, protocol) in (1..).zip(PROTOCOLS) {
        let mut wire = front.wire(protocol, HOST);
        let asked = ask("GET", "/pub");
        let asking = tokio::spawn(async move { wire.try_ask(&asked).await });
        eventually("the app was asked", || app.heard().len() == number).await;
        eventually("the answer was given up", || {
            front.vestibule.time().advance(Duration::from_secs(301));
            asking.is_finished()
        })
        .await;
        let reply = asking.await.unwrap();
        assert!(reply.is_none(), "{protocol:?} {reply:?}");
        let number = u64::try_from(number).unwrap();
        eventually("it was counted", || {
            failures(&front, "upstream_body_timeout") == number
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_no_fault_of_the_app() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let app = upstream::raw().answers(half).run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    for framing in ["", "Content-Length: 9\r\n"] {
        let head =
            format!("POST / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n{framing}\r\n");
        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        read_to(&mut stream, b"half").await;
        drop(stream);
    }
    let reply = front.wire(Protocol::Http2, HOST);
    let mut wire = reply;
    assert_eq!(wire.get("/.vestibule/me").await.status, 401);
    assert_eq!(front.upstream_failures(), 0);
}

#[tokio::test]
async fn an_answer_to_an_upgrade_is_an_answer() {
    // S-087: whatever the app says, as long as it does not agree.
    for (answer, status) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            200,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403),
        (
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            502,
        ),
    ] {
        let app = upstream::raw().answers(answer).then(Afterwards::Echo).run();
        let front = wiki(&app, "");
        let session = front.session(HOST).await;
        let authority = front.vestibule.authority(HOST);
        let own = front.vestibule.url(HOST, "");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\nConnection: upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nOrigin: {own}\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nsecret bytes"
        );
        let came = front.vestibule.raw(HOST).say(request).await;
        assert_eq!(came.statuses()[0], status, "{}", came.text());
        assert!(!came.text().contains("secret bytes"), "{}", came.text());
        let reached = app.heard().concat();
        let reached = String::from_utf8(reached).unwrap().to_ascii_lowercase();
        assert!(!reached.contains("secret bytes"), "{reached}");
    }
}

#[tokio::test]
async fn nobody_rides_a_connection_that_somebody_authenticated() {
    // S-095
    let app = upstream::echo()
        .answering(|seen| {
            let mut answer = Response::builder();
            if seen.target == "/offer" {
                answer = answer
                    .status(401)
                    .header("www-authenticate", "Negotiate")
                    .header("www-authenticate", "Basic realm=\"x\"")
                    .header("www-authenticate", "NTLM");
            }
            if seen.target == "/holds" {
                answer = answer.header("persistent-auth", "true");
            }
            let number = seen.connection.to_string();
            answer.body(Full::new(Bytes::from(number))).unwrap()
        })
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let asked = |target| ask("GET", target).with("Cookie", &session);
    for protocol in PROTOCOLS {
        let mut wire = front.wire(protocol, HOST);
        for spoiling in [
            asked("/").with("Authorization", "NTLM TlRMTVNTUAAB"),
            asked("/").with("Authorization", "negotiate YII="),
            asked("/").with("Authorization", "Kerberos YII="),
            asked("/offer"),
            asked("/holds"),
        ] {
            let reply = wire.ask(&spoiling).await;
            for offer in reply.headers.get_all("www-authenticate") {
                assert_eq!(offer, "Basic realm=\"x\"");
            }
            assert_eq!(reply.header("persistent-auth"), None);
            let spoiled = app.requests().pop().unwrap().connection;
            wire.ask(&asked("/")).await;
            let next = app.requests().pop().unwrap().connection;
            assert_ne!(next, spoiled, "{protocol:?} {spoiling:?}");
        }
        // Nothing else costs a connection; what is for a proxy ends here.
        let harmless = asked("/").with("Authorization", "Basic YTpi");
        let harmless = harmless.with("Proxy-Authorization", "NTLM TlRMTVNTUAAB");
        wire.ask(&harmless).await;
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.header("proxy-authorization"), None);
        wire.ask(&asked("/")).await;
        assert_eq!(app.requests().pop().unwrap().connection, seen.connection);
    }
}

#[tokio::test]
async fn bodies_and_their_ranges_are_the_apps_affair() {
    // S-237: bytes that only look compressed pass as they are.
    let body = b"\x1f\x8b\x08\x00not really gzip".as_slice();
    let app = upstream::echo()
        .answering(move |_| {
            Response::builder()
                .status(206)
                .header("content-encoding", "gzip")
                .header("content-range", "bytes 0-18/100")
                .header("accept-ranges", "bytes")
                .body(Full::new(Bytes::from_static(body)))
                .unwrap()
        })
        .run();
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        let asked = ask("GET", "/").with("Cookie", &session);
        let asked = asked
            .with("Range", "bytes=0-18, 1-")
            .with("If-Range", "\"7\"")
            .with("Accept-Encoding", "gzip, br;q=0");
        let reply = front.wire(protocol, HOST).ask(&asked).await;
        assert_eq!((reply.status, &reply.body[..]), (206, body));
        assert_eq!(reply.header("content-encoding"), Some("gzip"));
        assert_eq!(reply.header("content-range"), Some("bytes 0-18/100"));
        let seen = app.requests().pop().unwrap();
        assert_eq!(seen.header("range"), Some("bytes=0-18, 1-"));
        assert_eq!(seen.header("if-range"), Some("\"7\""));
        assert_eq!(seen.header("accept-encoding"), Some("gzip, br;q=0"));
    }
}

#[tokio::test]
async fn each_fault_is_told_in_one_line() {
    // The program goes by the system's clock, and so must everybody it talks to.
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let rules = "allow = \"signed-in\"\n[[public]]\npath = \"/\"";
    let cut = upstream::raw().answers(half).then(Afterwards::Close).run();
    let garbled = upstream::raw()
        .answers("garbage\r\n\r\n")
        .then(Afterwards::Close)
        .run();
    let built = files::at(&time)
        .route("cut", "cut.example", rules, &cut)
        .route("garbled", "garbled.example", rules, &garbled)
        .entra(&idp)
        .main("[log]\naccess = \"json\"")
        .variable("RUST_LOG", "warn");
    let process = process::serve(built).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, process.built().port()));
    for host in ["cut.example", "garbled.example"] {
        let raw = crate::support::client::raw_tls::raw_tls(address, host, process.built().pki());
        let authority = format!("{host}:{}", process.built().port());
        let head = format!("GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        raw.say(head).await;
    }
    let output = process.terminate().await;
    let told = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = told
        .lines()
        .filter(|line| line.contains("the app did not answer properly"))
        .collect();
    assert_eq!(lines.len(), 2, "{told}");
    let access = String::from_utf8(output.stdout).unwrap();
    for (line, route, reason) in [
        (lines[0], "cut", "upstream_body_broken_off"),
        (lines[1], "garbled", "upstream_bad_answer"),
    ] {
        for said in [
            format!("route=\"{route}\""),
            format!("reason=\"{reason}\""),
            "blame=\"upstream\"".to_owned(),
        ] {
            assert!(line.contains(&said), "{said} in {line}");
        }
        let id = line.split("request_id=\"").nth(1).unwrap();
        let id = id.split('"').next().unwrap();
        assert!(
            access.contains(id),
            "the access log knows the request: {access}"
        );
    }
}
