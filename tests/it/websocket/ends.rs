//! When a WebSocket ends although neither side wants it to: with what let it in, and never so that it
//! looks whole.

use std::{fs, time::Duration};

use serde_json::json;
use vestibule::session::{EndCause, Selection};

use super::{
    Hand, PROTOCOLS, Protocol,
    app::{App, Asked, app, echo},
    client::{End, Socket},
    hand, signed_in,
};
use crate::support::{
    PATIENCE,
    clock::START,
    eventually,
    front::{Front, HOST, front},
    issuer::TENANT,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// A WebSocket that both sides have.
async fn open(front: &Front, app: &mut App, hand: &Hand, protocol: Protocol) -> (Socket, Asked) {
    let answering = async {
        let mut asked = app.asked().await;
        asked.agree("").await;
        asked
    };
    let (met, asked) = tokio::join!(hand.meet(front, protocol), answering);
    (met.open(), asked)
}

/// Nothing crosses any more, and both sides see that it was cut.
async fn assert_cut(front: &Front, socket: &mut Socket, asked: &mut Asked, what: &str) {
    let time = front.vestibule.time().clone();
    let (came, end) = socket.ends(|| time.advance(SECOND)).await;
    assert_eq!((came, end), (Vec::new(), End::Cut), "{what}");
    assert_eq!(asked.rest().await, b"", "{what}");
    eventually("the tunnel is gone", || {
        front.metric("vestibule_tunnels_open") == 0
    })
    .await;
}

#[derive(Clone, Copy, Debug)]
enum How {
    Clock,
    SignedOut,
    WallClock,
}

#[tokio::test]
async fn a_websocket_ends_with_its_session() {
    // S-005, S-271, S-272, S-274
    for protocol in PROTOCOLS {
        for how in [How::Clock, How::SignedOut, How::WallClock] {
            let mut app = app().await;
            let (front, session) = signed_in(&app, "").await;
            let time = front.vestibule.time().clone();
            time.advance(DAY.saturating_sub(SECOND * 30));
            let hand = hand(&front, &session, "/");
            let (mut socket, mut asked) = open(&front, &mut app, &hand, protocol).await;
            time.advance(SECOND * 29);
            socket.say(b"ping").await;
            assert_eq!(asked.hear(4).await, b"ping");
            match how {
                How::Clock => time.advance(SECOND),
                How::WallClock => time.step_wall_forward(SECOND),
                How::SignedOut => {
                    let sessions = front.vestibule.sessions();
                    let ended = sessions.end(&Selection::All, EndCause::SignedOut);
                    assert_eq!(ended.unwrap(), 1);
                }
            }
            // Both sides go on as if nothing were.
            asked.say(b"late").await;
            let _ = tokio::time::timeout(SECOND, socket.say(b"late")).await;
            assert_cut(
                &front,
                &mut socket,
                &mut asked,
                &format!("{protocol:?} {how:?}"),
            )
            .await;
            assert_eq!(hand.meet(&front, protocol).await.status, 401);
        }
    }
}

#[tokio::test]
async fn a_side_that_takes_nothing_does_not_hold_up_the_end() {
    // S-272: neither the client nor the app reads a byte, and both have much to say.
    for protocol in PROTOCOLS {
        let mut app = app().await;
        let (front, session) = signed_in(&app, "").await;
        let hand = hand(&front, &session, "/");
        let (mut socket, mut asked) = open(&front, &mut app, &hand, protocol).await;
        let piece = vec![b'x'; 1024 * 1024];
        let pause = Duration::from_millis(300);
        let filling = async {
            loop {
                asked.say(&piece).await;
            }
        };
        let filled = tokio::time::timeout(pause, filling).await;
        assert!(filled.is_err());
        let sessions = front.vestibule.sessions();
        sessions.end(&Selection::All, EndCause::SignedOut).unwrap();
        let time = front.vestibule.time().clone();
        let gone = async {
            while front.metric("vestibule_tunnels_open") > 0 {
                time.advance(SECOND);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, gone).await.expect("it ends");
        let (_, end) = socket.ends(|| ()).await;
        assert_eq!(end, End::Cut, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_websocket_ends_with_the_rules_that_let_it_in() {
    // S-005, S-274
    let denied = "allow = \"signed-in\"\n[deny]\nusers = [\"ann@corp.example\"]";
    let closed = "allow = \"signed-in\"";
    for protocol in PROTOCOLS {
        for (path, rules) in [("/", denied), ("/pub/x", closed)] {
            let mut app = app().await;
            let (mut front, session) = signed_in(&app, "").await;
            front.vestibule.follow();
            let hand = match path {
                "/" => hand(&front, &session, path),
                _ => Hand::of(&front, HOST, path),
            };
            let (mut socket, mut asked) = open(&front, &mut app, &hand, protocol).await;
            let file = front.vestibule.folder().join("config/routes.d/wiki.toml");
            let before = fs::read_to_string(&file).unwrap();
            let (address, _) = before.split_once("allow").unwrap();
            // What changes nothing for it leaves it be.
            comes_into_force(&front, &file, &format!("title = \"W\"\n{before}")).await;
            socket.say(b"on").await;
            assert_eq!(asked.hear(2).await, b"on");
            comes_into_force(&front, &file, &format!("{address}{rules}\n")).await;
            let what = format!("{protocol:?} {path}");
            assert_cut(&front, &mut socket, &mut asked, &what).await;
        }
    }
}

/// Writes a route file, and waits until it holds.
async fn comes_into_force(front: &Front, file: &std::path::Path, text: &str) {
    let sample = "vestibule_reloads_total{outcome=\"applied\"}";
    let before = front.metric(sample);
    fs::write(file, text).unwrap();
    eventually("the file is in force", || front.metric(sample) > before).await;
}

#[tokio::test]
async fn a_websocket_of_a_program_ends_with_its_token() {
    // S-005, S-271
    for protocol in PROTOCOLS {
        let mut app = app().await;
        let address = app.address();
        let rules = "allow = \"signed-in\"\norigins = [\"none\"]\n\
                     [bearer]\naudiences = [\"api://wiki\"]\nroles = [\"Wiki.Sync\"]";
        let front = front(|it| it.route("wiki", HOST, rules, &address));
        front.provider_is_known(HOST).await;
        let object = "e0000000-0000-4000-8000-00000000000e";
        let claims = json!({
            "iss": front.idp.issuer(), "aud": "api://wiki", "iat": START, "nbf": START,
            "exp": START + 20, "sub": object, "oid": object, "tid": TENANT, "ver": "2.0",
            "azp": "d0000000-0000-4000-8000-00000000000d", "roles": ["Wiki.Sync"],
        });
        let token = format!("Bearer {}", front.idp.access_token(&claims));
        let hand = Hand::of(&front, HOST, "/")
            .without("Origin")
            .with("Authorization", &token);
        let (mut socket, mut asked) = open(&front, &mut app, &hand, protocol).await;
        assert_eq!(asked.field("authorization"), None);
        let time = front.vestibule.time().clone();
        // A minute of skew is part of it.
        time.advance(SECOND * 79);
        socket.say(b"still").await;
        assert_eq!(asked.hear(5).await, b"still");
        time.advance(SECOND);
        asked.say(b"late").await;
        assert_cut(&front, &mut socket, &mut asked, &format!("{protocol:?}")).await;
    }
}

#[tokio::test]
async fn a_handshake_that_outlasts_its_session_is_not_granted() {
    // S-271: asked in time, agreed to too late.
    for protocol in PROTOCOLS {
        let mut app = app().await;
        let (front, session) = signed_in(&app, "").await;
        let hand = hand(&front, &session, "/");
        let answering = async {
            let mut asked = app.asked().await;
            let sessions = front.vestibule.sessions();
            sessions.end(&Selection::All, EndCause::SignedOut).unwrap();
            asked.agree("").await;
            asked.say(b"late").await;
            asked
        };
        let (met, mut asked) = tokio::join!(hand.meet(&front, protocol), answering);
        assert_eq!(met.status, 401, "{protocol:?}");
        assert_eq!(asked.rest().await, b"");
    }
}

#[tokio::test]
async fn other_websockets_go_on_when_one_ends() {
    // S-274
    let address = echo().await;
    let front = front(|it| it.route("wiki", HOST, "allow = \"signed-in\"", &address));
    for protocol in PROTOCOLS {
        let ann = front.session(HOST).await;
        let mut anns = hand(&front, &ann, "/").meet(&front, protocol).await.open();
        anns.echoes(b"ann").await;
        let sessions = front.vestibule.sessions();
        sessions.end(&Selection::All, EndCause::SignedOut).unwrap();
        let bob = front.session(HOST).await;
        let mut bobs = hand(&front, &bob, "/").meet(&front, protocol).await.open();
        let time = front.vestibule.time().clone();
        let (_, end) = anns.ends(|| time.advance(SECOND)).await;
        assert_eq!(end, End::Cut);
        bobs.echoes(b"bob").await;
    }
}
