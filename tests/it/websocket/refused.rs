//! Who does not get a WebSocket, and what is left of their connection.

use super::{
    Hand, PROTOCOLS, Protocol,
    app::app,
    client::{KEY, connect, met_over_http1},
    hand, signed_in,
};
use crate::support::{front::HOST, wire::ask};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn nobody_without_a_session_gets_one() {
    // S-243, S-240: told so, and never sent elsewhere.
    let mut app = app().await;
    let (front, _session) = signed_in(&app, "").await;
    for protocol in PROTOCOLS {
        for hand in [
            Hand::of(&front, HOST, "/"),
            Hand::of(&front, HOST, "/").with("Accept", "text/html"),
            Hand::of(&front, HOST, "/").with("Cookie", "__Host-vestibule=guessed"),
            // Who asks is looked at before what is asked.
            Hand::of(&front, HOST, "/").without("Sec-WebSocket-Version"),
            Hand::of(&front, HOST, "/").without("Origin"),
        ] {
            let met = hand.meet(&front, protocol).await;
            assert_eq!(met.status, 401, "{hand:?} {protocol:?}");
            assert_eq!(met.header("location"), None);
            assert_eq!(met.header("set-cookie"), None);
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn pages_of_other_origins_get_none() {
    // S-240
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let own = front.vestibule.url(HOST, "");
    for protocol in PROTOCOLS {
        for path in ["/", "/pub/x"] {
            for origin in [
                None,
                Some("https://evil.test".to_owned()),
                Some("null".to_owned()),
                Some(format!("{own}.evil")),
                Some(format!("https://{HOST}:1")),
                Some(format!("https://{HOST}")),
                Some(own.replacen("https", "http", 1)),
                Some(own.replacen("https", "wss", 1)),
                Some(format!("{own}/")),
            ] {
                let mut hand = hand(&front, &session, path).without("Origin");
                if let Some(origin) = &origin {
                    hand = hand.with("Origin", origin);
                }
                let met = hand.meet(&front, protocol).await;
                assert_eq!(met.status, 403, "{origin:?} {path} {protocol:?}");
            }
            let twice = hand(&front, &session, path).with("Origin", &own);
            assert_eq!(twice.meet(&front, protocol).await.status, 403);
        }
    }
    app.assert_silent().await;
    let counted = front.metric("vestibule_refusals_total{reason=\"foreign_origin\"}");
    assert_eq!(counted, 2 * 2 * 10);
}

#[tokio::test]
async fn origins_that_were_written_and_none_where_that_was_are_let_in() {
    // S-240
    let mut app = app().await;
    let (front, session) =
        signed_in(&app, "origins = [\"https://Other.example:443\", \"none\"]").await;
    for protocol in PROTOCOLS {
        for (origin, status) in [
            (None, 0),
            (Some("https://other.example"), 0),
            (Some("https://other.example:443"), 403),
            (Some("http://other.example"), 403),
            (Some("null"), 403),
            (Some("none"), 403),
        ] {
            let mut hand = hand(&front, &session, "/").without("Origin");
            if let Some(origin) = origin {
                hand = hand.with("Origin", origin);
            }
            if status != 0 {
                assert_eq!(hand.meet(&front, protocol).await.status, status);
                continue;
            }
            let answering = async {
                let mut asked = app.asked().await;
                asked.agree("").await;
                assert_eq!(asked.field("origin"), origin);
                asked
            };
            let (met, _asked) = tokio::join!(hand.meet(&front, protocol), answering);
            met.open();
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    // S-240
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for protocol in PROTOCOLS {
        let whole = hand(&front, &session, "/");
        for (hand, status) in [
            (whole.clone().without("Sec-WebSocket-Version"), 426),
            (
                whole
                    .clone()
                    .without("Sec-WebSocket-Version")
                    .with("Sec-WebSocket-Version", "8"),
                426,
            ),
            (whole.clone().with("Sec-WebSocket-Version", "13"), 400),
        ] {
            let met = hand.meet(&front, protocol).await;
            assert_eq!(met.status, status, "{hand:?} {protocol:?}");
            if status == 426 {
                assert_eq!(met.header("sec-websocket-version"), Some("13"));
                let offered = (protocol == Protocol::Http1).then_some("websocket");
                assert_eq!(met.header("upgrade"), offered);
            }
        }
    }
    for key in ["", "dGhlIHNhbXBsZQ==", "no base64 at all!!!!!!!!!"] {
        let hand = hand(&front, &session, "/").with("Sec-WebSocket-Key", key);
        assert_eq!(
            hand.meet(&front, Protocol::Http1).await.status,
            400,
            "{key:?}"
        );
    }
    let own = front.vestibule.url(HOST, "");
    for method in ["POST", "HEAD", "PUT", "OPTIONS"] {
        for body in ["", "x"] {
            let asked = ask(method, "/")
                .with("Cookie", &session)
                .with("Connection", "Upgrade")
                .with("Upgrade", "websocket")
                .with("Sec-WebSocket-Version", "13")
                .with("Sec-WebSocket-Key", KEY)
                .with("Origin", &own);
            let asked = if body.is_empty() {
                asked
            } else {
                asked.body(body)
            };
            let reply = front.wire(Protocol::Http1, HOST).ask(&asked).await;
            assert_eq!(reply.status, 400, "{method} {body:?}");
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn nothing_of_ours_is_a_websocket() {
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for (path, over_http1) in [
        ("/.vestibule/me", 200),
        ("/.vestibule/nothing", 404),
        ("/.vestibule/signed-out", 200),
    ] {
        let hand = hand(&front, &session, path);
        let met = hand.meet(&front, Protocol::Http1).await;
        assert_eq!((met.status, met.header("upgrade")), (over_http1, None));
        let met = hand.meet(&front, Protocol::Http2).await;
        assert_eq!(met.status, 405, "{path}");
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn every_other_protocol_is_cut_or_refused() {
    // S-089, S-086
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for named in ["h2c", "connect-udp", "WebSocket", "websocket2", ""] {
        let connection = connect(&front, HOST).await;
        let met = hand(&front, &session, "/").meet_on(connection, named).await;
        assert_eq!(met.status, 405, "{named}");
    }
    app.assert_silent().await;
    for (connection, upgrade) in [
        ("upgrade", "h2c"),
        ("upgrade", "websocket/13"),
        ("keep-alive", "websocket"),
        ("close", "websocket"),
    ] {
        let asked = ask("GET", "/")
            .with("Cookie", &session)
            .with("Connection", connection)
            .with("Upgrade", upgrade)
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Key", KEY);
        let answering = async {
            let mut asked = app.asked().await;
            asked
                .say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await;
            assert_eq!(asked.field("upgrade"), None);
            asked
        };
        let mut wire = front.wire(Protocol::Http1, HOST);
        let (reply, _asked) = tokio::join!(wire.ask(&asked), answering);
        assert_eq!(reply.status, 200, "{connection} {upgrade}");
    }
}

#[tokio::test]
async fn a_connection_is_as_usable_after_a_refusal_as_before() {
    // S-086: what comes behind a refused handshake is the next request, whenever it comes.
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let authority = front.vestibule.authority(HOST);
    let next = format!("GET /.vestibule/me HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n");
    for (hand, status) in [
        (Hand::of(&front, HOST, "/"), 401),
        (hand(&front, &session, "/").without("Origin"), 403),
        (
            hand(&front, &session, "/").without("Sec-WebSocket-Version"),
            426,
        ),
        (
            hand(&front, &session, "/").with("Sec-WebSocket-Key", "x"),
            400,
        ),
    ] {
        let both = hand.head() + &next + "Connection: close\r\n\r\n";
        let answer = front.vestibule.raw(HOST).say(&both).await;
        assert_eq!(answer.statuses(), [status, 200], "{}", answer.text());
        assert!(answer.closed);

        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        stream.write_all(both.as_bytes()).await.unwrap();
        assert_eq!(met_over_http1(stream).await.status, status);
    }
    app.assert_silent().await;
}
