//! What crosses in a handshake, and the bytes behind it.

use super::{
    Hand, PROTOCOLS, Protocol,
    app::{app, echo},
    client::{End, KEY, Met, connect, met_over_http1},
    hand, signed_in,
};
use crate::support::front::{HOST, front};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_handshake_reaches_the_app_as_any_request_of_the_person() {
    // S-240, S-013, S-016
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for protocol in PROTOCOLS {
        let asking = hand(&front, &session, "/chat?room=%41")
            .with("X-Forwarded-User", "mallory")
            .with("Sec-WebSocket-Protocol", "chat.v2, chat.v1")
            .with(
                "Sec-WebSocket-Extensions",
                "permessage-deflate; client_max_window_bits",
            )
            .with("Cookie", "theirs=1");
        let answering = async {
            let mut asked = app.asked().await;
            let fields = "Sec-WebSocket-Protocol: chat.v1\r\n\
                          Sec-WebSocket-Extensions: permessage-deflate\r\n\
                          Set-Cookie: theirs=2\r\nServer: secret/1.0\r\n\
                          X-Forwarded-User: nobody\r\n";
            asked.agree(fields).await;
            asked
        };
        let (met, asked) = tokio::join!(asking.meet(&front, protocol), answering);
        assert!(
            asked.head.starts_with("GET /chat?room=%41 HTTP/1.1\r\n"),
            "{}",
            asked.head
        );
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat.v2, chat.v1"),
            (
                "sec-websocket-extensions",
                "permessage-deflate; client_max_window_bits",
            ),
            ("x-forwarded-user", "ann@corp.example"),
            ("x-forwarded-proto", "https"),
            ("cookie", "theirs=1"),
            ("host", &front.vestibule.authority(HOST)),
        ] {
            assert_eq!(asked.field(name), Some(value), "{}", asked.head);
        }
        assert_eq!(asked.field("content-length"), None);
        let is_http1 = protocol == Protocol::Http1;
        assert_eq!(asked.field("sec-websocket-key") == Some(KEY), is_http1);
        let hop = |value: &'static str| is_http1.then_some(value);
        let accept = asked.accept();
        for (name, value) in [
            ("connection", hop("upgrade")),
            ("upgrade", hop("websocket")),
            ("sec-websocket-accept", is_http1.then_some(&*accept)),
            ("sec-websocket-protocol", Some("chat.v1")),
            ("sec-websocket-extensions", Some("permessage-deflate")),
            ("set-cookie", Some("theirs=2")),
            ("strict-transport-security", Some("max-age=86400")),
            ("server", None),
            ("x-forwarded-user", None),
            ("content-length", None),
            ("transfer-encoding", None),
        ] {
            assert_eq!(met.header(name), value, "{name} {protocol:?}");
        }
        met.open();
    }
}

#[tokio::test]
async fn bytes_cross_as_they_are_in_both_directions() {
    // S-086: none is lost, none comes twice, and none is read as HTTP.
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for protocol in PROTOCOLS {
        let hand = hand(&front, &session, "/");
        let answering = async {
            let mut asked = app.asked().await;
            let accept = asked.accept();
            // The first bytes come with the head.
            let early = format!(
                "{}Sec-WebSocket-Accept: {accept}\r\n\r\nfirst",
                super::app::SWITCHES
            );
            asked.say(early.as_bytes()).await;
            asked
        };
        let (met, mut asked) = tokio::join!(hand.meet(&front, protocol), answering);
        let mut socket = met.open();
        assert_eq!(socket.hear(5).await, b"first");
        for text in [
            &b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            &[0, 255, 10, 13, 0],
        ] {
            socket.say(text).await;
            assert_eq!(asked.hear(text.len()).await, text);
            asked.say(text).await;
            assert_eq!(socket.hear(text.len()).await, text);
        }
        drop(asked);
        let (rest, _) = socket.ends(|| ()).await;
        assert_eq!(rest, b"");
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn much_crosses_at_once_whoever_is_slow() {
    let address = echo().await;
    let front = front(|it| it.route("wiki", HOST, "allow = \"signed-in\"", &address));
    let session = front.session(HOST).await;
    let large: Vec<u8> = (0..16 * 1024 * 1024_u32)
        .map(|it| it.to_le_bytes()[1])
        .collect();
    for protocol in PROTOCOLS {
        let mut socket = hand(&front, &session, "/")
            .meet(&front, protocol)
            .await
            .open();
        let mut taken = Vec::new();
        for piece in large.chunks(1024 * 1024) {
            socket.say(piece).await;
            taken.extend(socket.hear(piece.len()).await);
        }
        assert!(taken == large, "{protocol:?}");
    }
}

#[tokio::test]
async fn the_end_of_one_side_is_passed_on_and_leaves_the_other_be() {
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for protocol in PROTOCOLS {
        let hand = hand(&front, &session, "/");
        let answering = async {
            let mut asked = app.asked().await;
            asked.agree("").await;
            asked
        };
        let (met, mut asked) = tokio::join!(hand.meet(&front, protocol), answering);
        let mut socket = met.open();
        socket.say(b"last words").await;
        socket.finish().await;
        assert_eq!(asked.rest().await, b"last words", "{protocol:?}");
        asked.say(b"and ours").await;
        assert_eq!(socket.hear(8).await, b"and ours");
        asked.stream.shutdown().await.unwrap();
        assert_eq!(socket.ends(|| ()).await, (Vec::new(), End::Clean));

        let hand = hand.clone();
        let answering = async {
            let mut asked = app.asked().await;
            asked.agree("").await;
            asked
        };
        let (met, mut asked) = tokio::join!(hand.meet(&front, protocol), answering);
        let mut socket = met.open();
        asked.say(b"bye").await;
        asked.stream.shutdown().await.unwrap();
        assert_eq!(socket.ends(|| ()).await, (b"bye".to_vec(), End::Clean));
        socket.say(b"one more").await;
        assert_eq!(asked.hear(8).await, b"one more");
        socket.finish().await;
        assert_eq!(asked.rest().await, b"");
    }
}

#[tokio::test]
async fn bytes_behind_a_handshake_wait_for_what_the_app_says() {
    // S-086: one write; the app is asked before it gets any of it.
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for early in [
        &b"\x81\x85abcd-----"[..],
        b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n",
    ] {
        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        let mut request = hand(&front, &session, "/").head().into_bytes();
        request.extend_from_slice(early);
        stream.write_all(&request).await.unwrap();
        let mut asked = app.asked().await;
        let said = tokio::time::timeout(
            std::time::Duration::from_millis(50),
            tokio::io::AsyncReadExt::read_u8(&mut asked.stream),
        );
        assert!(said.await.is_err(), "not before it has agreed");
        asked.agree("").await;
        let mut socket = met_over_http1(stream).await.open();
        socket.say(b"+").await;
        let all = [early, b"+"].concat();
        assert_eq!(asked.hear(all.len()).await, all);
        asked.say(b"ok").await;
        assert_eq!(socket.hear(2).await, b"ok");
    }
}

#[tokio::test]
async fn bytes_behind_a_handshake_that_the_app_declines_are_a_request() {
    // S-086, S-087
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let authority = front.vestibule.authority(HOST);
    let next = format!("GET /.vestibule/me HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    for (behind, status) in [(&*next, 401), ("\u{1}", 400)] {
        for answer in [
            "200 OK",
            "204 No Content",
            "403 Forbidden",
            "426 Upgrade Required",
        ] {
            let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
            let request = hand(&front, &session, "/").head() + behind;
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut asked = app.asked().await;
            let length = if answer.starts_with("204") {
                ""
            } else {
                "Content-Length: 0\r\n"
            };
            let said = format!(
                "HTTP/1.1 {answer}\r\n{length}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
            );
            asked.say(said.as_bytes()).await;
            let declined = met_over_http1(stream).await;
            assert_eq!(declined.status.to_string(), answer[..3]);
            assert_eq!(declined.header("upgrade"), None);
            let super::client::Socket::Http1(stream) = declined.socket else {
                unreachable!("this is HTTP/1.1");
            };
            assert_eq!(
                met_over_http1(*stream).await.status,
                status,
                "{answer} {behind:?}"
            );
            drop(asked);
        }
    }
    app.assert_silent().await;
}

#[tokio::test]
async fn other_requests_go_on_beside_a_websocket_over_http2() {
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let hand = hand(&front, &session, "/");
    let answering = async {
        let mut asked = app.asked().await;
        asked.agree("").await;
        asked
    };
    let connection = connect(&front, HOST).await;
    let (met, mut asked) = tokio::join!(hand.meet_on(connection, "websocket"), answering);
    let mut socket = met.open();
    // The app's connection is the tunnel's alone.
    let mut wire = front.wire(Protocol::Http2, HOST);
    let get = crate::support::wire::ask("GET", "/page").with("Cookie", &session);
    let other = async {
        let mut other = app.asked().await;
        other
            .say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await;
        other
    };
    let (reply, _other) = tokio::join!(wire.ask(&get), other);
    assert_eq!(reply.status, 200);
    socket.say(b"still").await;
    assert_eq!(asked.hear(5).await, b"still");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_handshake_is_a_bad_gateway() {
    // S-087
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let lies = [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: ACCEPT\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Accept: ACCEPT\r\n",
        "",
    ];
    for protocol in PROTOCOLS {
        for lie in lies {
            let hand = hand(&front, &session, "/");
            let answering = async {
                let mut asked = app.asked().await;
                let fields = lie.replace("ACCEPT", &asked.accept());
                let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\nevil");
                asked.say(answer.as_bytes()).await;
                asked
            };
            let (met, mut asked) = tokio::join!(hand.meet(&front, protocol), answering);
            assert_eq!(met.status, 502, "{lie:?} {protocol:?}");
            assert_eq!(asked.rest().await, b"", "it is closed");
        }
    }
    assert_eq!(front.metric("vestibule_tunnels_open"), 0);
}

/// What comes of a handshake that the app answers so.
async fn declined(status: &str, protocol: Protocol) -> Met {
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let hand = hand(&front, &session, "/");
    let answering = async {
        let mut asked = app.asked().await;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\nX-Why: so\r\n\r\nwhy?");
        asked.say(answer.as_bytes()).await;
        asked
    };
    let (met, _asked) = tokio::join!(hand.meet(&front, protocol), answering);
    met
}

#[tokio::test]
async fn an_app_that_declines_is_heard() {
    // S-087: success of a CONNECT is a tunnel, so that over HTTP/2 it is no answer to pass on.
    for protocol in PROTOCOLS {
        for (status, expected) in [
            ("401 Unauthorized", [401, 401]),
            ("302 Found", [302, 302]),
            ("500 Odd", [500, 500]),
            ("200 OK", [200, 502]),
        ] {
            let mut met = declined(status, protocol).await;
            let expected = expected[usize::from(protocol == Protocol::Http2)];
            assert_eq!(met.status, expected, "{protocol:?}");
            if expected == 502 {
                continue;
            }
            assert_eq!(met.header("x-why"), Some("so"));
            assert_eq!(met.socket.hear(4).await, b"why?");
        }
    }
}

#[tokio::test]
async fn a_handshake_over_http2_ends_as_its_stream_does() {
    // A client that is gone leaves nothing behind at the app.
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    for protocol in PROTOCOLS {
        let hand: Hand = hand(&front, &session, "/");
        let answering = async {
            let mut asked = app.asked().await;
            asked.agree("").await;
            asked
        };
        let (met, mut asked) = tokio::join!(hand.meet(&front, protocol), answering);
        drop(met.open());
        assert_eq!(asked.rest().await, b"", "{protocol:?}");
    }
}
