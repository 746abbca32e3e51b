//! What a WebSocket costs and counts for: limits of connections, stops, seats, the log.

use std::{net::SocketAddr, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::{
    Hand, PROTOCOLS, Protocol,
    app::{App, Asked, app, echo},
    client::{End, Socket, connect, met_over_http1},
    hand, signed_in,
};
use crate::support::{
    PATIENCE, clock, eventually,
    front::{Front, HOST, front},
    issuer,
    lines::Lines,
    vestibule,
    wire::ask,
};

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/pub/*\"";

#[tokio::test]
async fn a_quiet_websocket_is_not_idle() {
    // S-257
    let address = echo().await;
    let front = front(|it| {
        it.route("wiki", HOST, RULES, &address)
            .main("[limits]\nidle = \"1s\"\nhead_timeout = \"1s\"\nbody_idle = \"1s\"")
    });
    front.provider_is_known(HOST).await;
    for protocol in PROTOCOLS {
        let hand = Hand::of(&front, HOST, "/pub/x");
        let mut socket = hand.meet(&front, protocol).await.open();
        socket.echoes(b"first").await;
        // Longer than anything else may be quiet, by either clock.
        front.vestibule.time().advance(Duration::from_hours(1));
        tokio::time::sleep(Duration::from_secs(3)).await;
        socket.assert_quiet().await;
        socket.echoes(b"again").await;
    }
}

#[tokio::test]
async fn a_quiet_websocket_makes_no_room() {
    // S-260
    let address = echo().await;
    for protocol in PROTOCOLS {
        let front = front(|it| {
            it.route("wiki", HOST, RULES, &address)
                .main("[limits]\nconnections = 1")
        });
        front.provider_is_known(HOST).await;
        let hand = Hand::of(&front, HOST, "/pub/x");
        let mut socket = hand.meet(&front, protocol).await.open();
        socket.echoes(b"first").await;
        let raw = front.vestibule.raw(HOST);
        let waiting = timeout(Duration::from_secs(4), raw.connect()).await;
        assert!(waiting.is_err(), "there is no room for another");
        socket.echoes(b"again").await;
    }
}

/// Begins a soft stop of a minute's grace and waits until nobody can connect any more; what is handed
/// back ends it.
async fn stopping(mut front: Front) -> impl AsyncFnOnce() {
    let hard: Box<dyn FnOnce() + Send> = Box::new(front.vestibule.hard_stop());
    let https = front.vestibule.https();
    let stopping = tokio::spawn(async move { front.vestibule.stop().await });
    let closed = async {
        while TcpStream::connect(https).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the stop begins");
    async move || {
        hard();
        timeout(PATIENCE, stopping).await.expect("it ends").unwrap();
    }
}

fn patient(address: &SocketAddr) -> Front {
    front(|it| {
        it.route("wiki", HOST, RULES, address)
            .adjusted(|config| config.listen.grace = Duration::from_mins(1))
    })
}

#[tokio::test]
async fn a_stop_leaves_a_websocket_be_until_everything_ends() {
    // S-269
    let address = echo().await;
    for protocol in PROTOCOLS {
        let front = patient(&address);
        front.provider_is_known(HOST).await;
        let hand = Hand::of(&front, HOST, "/pub/x");
        let mut socket = hand.meet(&front, protocol).await.open();
        socket.echoes(b"before").await;
        let end = stopping(front).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        socket.echoes(b"meanwhile").await;
        end().await;
        assert_eq!(
            socket.ends(|| ()).await,
            (Vec::new(), End::Cut),
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn a_websocket_that_is_granted_during_a_stop_is_no_last_answer() {
    // S-269: under way when the stop begins.
    for protocol in PROTOCOLS {
        let mut app = app().await;
        let front = patient(&app.address());
        front.provider_is_known(HOST).await;
        let hand = Hand::of(&front, HOST, "/pub/x");
        let connection = connect(&front, HOST).await;
        let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
        let meeting = async {
            match protocol {
                Protocol::Http1 => {
                    stream.write_all(hand.head().as_bytes()).await.unwrap();
                    met_over_http1(stream).await
                }
                Protocol::Http2 => hand.meet_on(connection, "websocket").await,
            }
        };
        let answering = async {
            let mut asked = app.asked().await;
            let end = stopping(front).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            asked.agree("").await;
            (asked, end)
        };
        let (met, (mut asked, end)) = tokio::join!(meeting, answering);
        let expected = (protocol == Protocol::Http1).then_some("upgrade");
        assert_eq!(met.header("connection"), expected);
        let mut socket = met.open();
        socket.say(b"on").await;
        assert_eq!(asked.hear(2).await, b"on");
        end().await;
    }
}

#[tokio::test]
async fn a_websocket_keeps_its_place_at_the_app() {
    // S-260: strangers have half of the app's places, which is one.
    let mut app = app().await;
    let address = app.address();
    let front = front(|it| {
        it.route("wiki", HOST, RULES, &address)
            .adjusted(|config| config.limits.connections = 2)
    });
    front.provider_is_known(HOST).await;
    for protocol in PROTOCOLS {
        let hand = Hand::of(&front, HOST, "/pub/x");
        let (socket, asked) = both_ends(&front, &mut app, &hand, protocol).await;
        let time = front.vestibule.time().clone();
        let waiting = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            time.advance(Duration::from_secs(6));
        };
        let mut wire = front.wire(Protocol::Http1, HOST);
        let (reply, ()) = tokio::join!(wire.get("/pub/y"), waiting);
        assert_eq!((reply.status, &*reply.reason()), (503, "upstream_crowded"));
        drop((socket, asked));
        let gone = || front.metric("vestibule_tunnels_open") == 0;
        eventually("it has ended", gone).await;
        let (socket, asked) = both_ends(&front, &mut app, &hand, protocol).await;
        drop((socket, asked));
        eventually("it has ended again", gone).await;
    }
}

/// A WebSocket that both sides have.
async fn both_ends(
    front: &Front,
    app: &mut App,
    hand: &Hand,
    protocol: Protocol,
) -> (Socket, Asked) {
    let answering = async {
        let mut asked = app.asked().await;
        asked.agree("").await;
        asked
    };
    let (met, asked) = tokio::join!(hand.meet(front, protocol), answering);
    (met.open(), asked)
}

#[tokio::test]
async fn the_line_of_a_websocket_is_written_at_its_end() {
    let time = clock::manual();
    let idp = issuer::honest(&time).entra().run();
    let lines = Lines::default();
    let address = echo().await;
    let vestibule = vestibule::at(&time)
        .route("wiki", HOST, RULES, &address)
        .entra(&idp)
        .telling(&lines)
        .run();
    let front = Front { idp, vestibule };
    front.provider_is_known(HOST).await;
    let shown = front.vestibule.metrics();
    assert!(shown.contains("vestibule_tunnels_open 0"), "{shown}");
    for (protocol, path, status) in [
        (Protocol::Http1, "/pub/one", 101),
        (Protocol::Http2, "/pub/two", 200),
    ] {
        let mut socket = Hand::of(&front, HOST, path)
            .meet(&front, protocol)
            .await
            .open();
        socket.echoes(b"twelve bytes").await;
        assert_eq!(front.metric("vestibule_tunnels_open"), 1);
        assert_eq!(lines.of(path).len(), 0, "not before its end");
        socket.finish().await;
        assert_eq!(socket.ends(|| ()).await, (Vec::new(), End::Clean));
        let line = lines.only(path).await;
        assert_eq!(line["status"], status);
        assert_eq!(
            (&line["bytes"], &line["ended"]),
            (&12.into(), &"whole".into())
        );
        assert_eq!(
            (&line["decision"], &line["method"]),
            (&"public".into(), &"GET".into())
        );
        eventually("it is counted off", || {
            front.metric("vestibule_tunnels_open") == 0
        })
        .await;
    }
    let hand = Hand::of(&front, HOST, "/pub/left");
    drop(hand.meet(&front, Protocol::Http1).await.open());
    let line = lines.only("/pub/left").await;
    assert_eq!(line["status"], 101);
    let refused = Hand::of(&front, HOST, "/pub/refused").without("Origin");
    refused.meet(&front, Protocol::Http2).await;
    let line = lines.only("/pub/refused").await;
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&403.into(), &"foreign_origin".into())
    );
}

#[tokio::test]
async fn the_apps_connection_is_never_used_again() {
    let mut app = app().await;
    let (front, session) = signed_in(&app, "").await;
    let hand = hand(&front, &session, "/");
    let answering = async {
        let mut asked = app.asked().await;
        asked.agree("").await;
        asked
    };
    let (met, mut first) = tokio::join!(hand.meet(&front, Protocol::Http2), answering);
    let mut socket = met.open();
    socket.finish().await;
    assert_eq!(first.rest().await, b"");
    let mut wire = front.wire(Protocol::Http1, HOST);
    let get = ask("GET", "/").with("Cookie", &session);
    let answering = async {
        let mut asked = app.asked().await;
        asked
            .say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
        asked
    };
    let (reply, _asked) = tokio::join!(wire.ask(&get), answering);
    assert_eq!(reply.status, 200);
}
