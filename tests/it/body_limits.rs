//! How much of a body is taken, and how long is waited for the rest of one.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::support::{
    PATIENCE,
    client::kept::fed,
    eventually,
    front::{Front, HOST, front},
    h2::{DATA, END_STREAM, H2, HEADERS, RST_STREAM},
    pki::Alpn,
    upstream,
    vestibule::Upstream,
    wire::{PROTOCOLS, Protocol, ask},
};

/// The most bytes of somebody who is signed in, and on a public path.
const SIGNED_IN: usize = 1000;
const PUBLIC: usize = 100;
const IDLE: Duration = Duration::from_secs(10);

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";

fn limited(app: &impl Upstream) -> Front {
    front(|it| {
        let limited = it.adjusted(|config| {
            config.limits.body_bytes = Some(SIGNED_IN as u64);
            config.limits.public_body_bytes = Some(PUBLIC as u64);
            config.limits.body_idle = IDLE;
        });
        limited.route("wiki", HOST, RULES, app)
    })
}

fn alpn(protocol: Protocol) -> Alpn {
    match protocol {
        Protocol::Http1 => Alpn::Http1,
        Protocol::Http2 => Alpn::H2,
    }
}

const TOO_LARGE: &str = "vestibule_refusals_total{reason=\"body_too_large\"}";

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_the_app_is_asked() {
    // S-259
    let app = upstream::echo().run();
    let front = limited(&app);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        for (target, cookie, limit) in [("/", &*session, SIGNED_IN), ("/pub", "a=b", PUBLIC)] {
            let sized = |length| {
                let asked = ask("POST", target).with("Cookie", cookie);
                asked.body(vec![b'x'; length])
            };
            let before = (app.requests().len(), front.metric(TOO_LARGE));
            let reply = front.wire(protocol, HOST).ask(&sized(limit)).await;
            assert_eq!(reply.status, 200, "{target}");
            assert_eq!(app.requests().pop().unwrap().body.len(), limit);

            let connections = app.connections();
            let reply = front.wire(protocol, HOST).ask(&sized(limit + 1)).await;
            assert_eq!((reply.status, &*reply.reason()), (413, "body_too_large"));
            let page = sized(limit + 1).with("Accept", "text/html");
            let reply = front.wire(protocol, HOST).ask(&page).await;
            assert_eq!(reply.status, 413);
            assert!(
                reply.text().contains("Too much to send"),
                "{}",
                reply.text()
            );
            assert_eq!(app.connections(), connections, "nobody asked the app");
            let after = (app.requests().len(), front.metric(TOO_LARGE));
            assert_eq!(after, (before.0 + 1, before.1 + 2));
        }
    }
}

#[tokio::test]
async fn over_http2_a_refusal_is_whole_before_the_rest_is_declined() {
    // S-259, S-090: RFC 9113 8.1; anything but NO_ERROR would let a client throw the answer away.
    let app = upstream::raw().run();
    let front = limited(&app);
    let raw = front.vestibule.raw(HOST);
    let raw = raw.offering(Alpn::H2, front.vestibule.pki());
    let authority = front.vestibule.authority(HOST);
    let length = (PUBLIC + 1).to_string();
    for target in ["/pub", "/"] {
        let mut client = H2::over(&raw).await;
        let head: [(&[u8], &[u8]); 5] = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.as_bytes()),
            (b":path", target.as_bytes()),
            (b"content-length", length.as_bytes()),
        ];
        client.fields(1, &head, 0).await;
        client.send(DATA, 0, 1, b"begun").await;
        let mut ended = false;
        loop {
            let frame = client.next().await.expect("a frame");
            assert_eq!(frame.stream, 1, "{frame:?}");
            match frame.kind {
                HEADERS | DATA => ended = frame.flags & END_STREAM != 0,
                RST_STREAM => {
                    assert_eq!(frame.payload, [0; 4], "{target}: NO_ERROR");
                    break;
                }
                _ => panic!("{frame:?}"),
            }
        }
        assert!(ended, "{target}: the answer was whole");
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_broken_off() {
    // S-259: nobody said how long it would be, and the app never sees the end of it.
    let app = upstream::echo().run();
    let front = limited(&app);
    let session = front.session(HOST).await;
    for protocol in PROTOCOLS {
        for (target, cookie, limit) in [("/", &*session, SIGNED_IN), ("/pub", "a=b", PUBLIC)] {
            let chunked = |length| {
                let asked = ask("POST", target).with("Cookie", cookie);
                asked.chunked(vec![b'x'; length], &[])
            };
            let before = app.requests().len();
            let reply = front.wire(protocol, HOST).ask(&chunked(limit)).await;
            assert_eq!(reply.status, 200, "{target}");
            assert_eq!(app.requests().pop().unwrap().body.len(), limit);
            let reply = front.wire(protocol, HOST).ask(&chunked(limit + 1)).await;
            assert_eq!((reply.status, &*reply.reason()), (413, "body_too_large"));
            assert_eq!(app.requests().len(), before + 1);
        }
    }
    assert_eq!(front.metric(TOO_LARGE), 4);
}

#[tokio::test]
async fn an_answer_that_has_begun_ends_with_its_upload() {
    // S-259: and the app is not to blame.
    static MUCH: [u8; SIGNED_IN] = [b'x'; SIGNED_IN];
    let begun = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    for protocol in PROTOCOLS {
        let app = upstream::raw().answers(begun).run();
        let front = limited(&app);
        let session = front.session(HOST).await;
        let raw = front.vestibule.raw(HOST);
        let raw = raw.offering(alpn(protocol), front.vestibule.pki());
        let mut client = raw.keep(alpn(protocol)).await;
        let (feed, body) = fed();
        let request = Request::post(front.vestibule.url(HOST, "/")).header("cookie", &session);
        feed.send(b"first");
        let answer = client.ask(request.body(body).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        feed.send(&MUCH);
        let read = timeout(PATIENCE, answer.into_body().collect()).await;
        assert!(read.expect("an end").is_err(), "{protocol:?}");
        let heard = app.heard().concat();
        assert!(!heard.ends_with(b"0\r\n\r\n"));
        assert_eq!(front.upstream_failures(), 0);
    }
}

#[tokio::test]
async fn public_paths_take_a_mebibyte_unless_configured() {
    let app = upstream::raw().run();
    let front = front(|it| it.route("wiki", HOST, RULES, &app));
    let authority = front.vestibule.authority(HOST);
    let length = 1024 * 1024 + 1;
    let head =
        format!("POST /pub HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {length}\r\n\r\n");
    let answer = front.vestibule.raw(HOST).say(head).await;
    assert_eq!(answer.statuses(), [413]);
    assert!(answer.closed, "what is left of the body is no request");
    app.assert_silent().await;
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    // S-256
    let app = upstream::echo().run();
    let front = limited(&app);
    let session = front.session(HOST).await;
    for (target, cookie) in [("/", &*session), ("/pub", "a=b")] {
        for protocol in PROTOCOLS {
            let raw = front.vestibule.raw(HOST);
            let raw = raw.offering(alpn(protocol), front.vestibule.pki());
            let mut client = raw.keep(alpn(protocol)).await;
            let (feed, body) = fed();
            let request = Request::post(front.vestibule.url(HOST, target));
            let request = request.header("cookie", cookie).body(body).unwrap();
            let before = app.connections();
            feed.send(b"half");
            let asking = tokio::spawn(async move {
                let answer = client.ask(request).await.unwrap();
                let status = answer.status();
                (
                    status,
                    answer.into_body().collect().await.unwrap().to_bytes(),
                )
            });
            eventually("the app was reached", || app.connections() > before).await;
            // Nothing tells when the waiting begins: time passes until it was too long.
            eventually("the body was given up", || {
                let time = front.vestibule.time();
                time.advance(IDLE + Duration::from_secs(1));
                asking.is_finished()
            })
            .await;
            let (status, said) = asking.await.unwrap();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert_eq!(status, 408, "{protocol:?} {said}");
            assert!(said.contains("request_timeout"), "{said}");
            drop(feed);
        }
    }
    // The app's connections went with them, and nobody else is harmed.
    let before = app.connections();
    let mut wire = front.wire(Protocol::Http1, HOST);
    assert_eq!(wire.get("/pub").await.status, 200);
    assert_eq!(app.connections(), before + 1);
    assert_eq!(app.only_request().target, "/pub");
}

/// What is said to a head whose body never comes, until the other side closes or goes quiet.
async fn said_to(front: &Front, head: &str) -> (Vec<u16>, bool) {
    let authority = front.vestibule.authority(HOST);
    let head = head.replace("\r\n\r\n", &format!("\r\nHost: {authority}\r\n\r\n"));
    let answer = front.vestibule.raw(HOST).say(head).await;
    (answer.statuses(), answer.closed)
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_not_waited_for() {
    // S-090, S-212, S-256: answered at once, without 100, and then closed.
    let app = upstream::raw().run();
    let front = limited(&app);
    for framing in ["Content-Length: 60", "Transfer-Encoding: chunked"] {
        for expects in ["", "Expect: 100-continue\r\n", "Expect: 100-CONTINUE\r\n"] {
            for (target, status) in [("/", 401), ("/.vestibule/nothing", 404), ("/%zz", 400)] {
                let head = format!("POST {target} HTTP/1.1\r\n{expects}{framing}\r\n\r\n");
                let said = said_to(&front, &head).await;
                assert_eq!(said, (vec![status], true), "{head}");
            }
        }
    }
    let head = "POST /pub HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n";
    assert_eq!(said_to(&front, head).await, (vec![413], true));
    app.assert_silent().await;
}

#[tokio::test]
async fn an_expectation_that_nobody_knows_is_refused() {
    // S-212
    let app = upstream::raw().run();
    let front = limited(&app);
    let session = front.session(HOST).await;
    for odd in [
        "y 100-continue",
        "100-continue, x",
        "100-continue\r\nExpect: x",
        "x=y",
    ] {
        for (target, cookie) in [("/", &*session), ("/", "a=b"), ("/pub", "a=b")] {
            let head = format!(
                "POST {target} HTTP/1.1\r\nCookie: {cookie}\r\nExpect: {odd}\r\n\
                 Content-Length: 4\r\n\r\n"
            );
            assert_eq!(said_to(&front, &head).await, (vec![417], true), "{head}");
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn whoever_is_let_in_is_told_to_go_on() {
    // S-212: once, by us; the app hears of no expectation.
    let app = upstream::echo().run();
    let front = limited(&app);
    let session = front.session(HOST).await;
    let authority = front.vestibule.authority(HOST);
    for (target, cookie) in [("/", &*session), ("/pub", "a=b")] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {authority}\r\nCookie: {cookie}\r\n\
             Expect: 100-continue\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
        );
        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut interim = [0; 25];
        let reading = timeout(PATIENCE, stream.read_exact(&mut interim));
        reading.await.expect("an answer").unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").await.unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.starts_with("HTTP/1.1 200 "), "{rest}");
        assert!(!rest.contains("100 Continue"), "{rest}");
        let seen = app.requests().pop().unwrap();
        assert_eq!(
            (&seen.body[..], seen.header("expect")),
            (&b"body"[..], None)
        );
    }
}
