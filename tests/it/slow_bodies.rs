//! Bodies that come drop by drop: from strangers they have an end, from people who are signed in not.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use tokio::{task::JoinHandle, time::sleep};

use crate::support::{
    client::kept::{Feed, fed},
    eventually,
    front::{Front, HOST, front},
    pki::Alpn,
    upstream::{self, Raw},
    wire::{PROTOCOLS, Protocol},
};

const IDLE: Duration = Duration::from_secs(10);

/// Just not long enough for a body that stands still.
const PAUSE: Duration = Duration::from_secs(9);

const RULES: &str = "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"";

/// What a stranger may bring in a pause.
static ENOUGH: [u8; 4_500] = [b'x'; 4_500];

fn slow(app: &Raw) -> Front {
    front(|it| {
        let limited = it.adjusted(|config| config.limits.body_idle = IDLE);
        limited.route("wiki", HOST, RULES, app)
    })
}

/// An upload to an app that never answers.
struct Upload {
    feed: Feed,
    asking: JoinHandle<(u16, String)>,
}

impl Upload {
    async fn begin(front: &Front, protocol: Protocol, target: &str, cookie: &str) -> Self {
        let alpn = match protocol {
            Protocol::Http1 => Alpn::Http1,
            Protocol::Http2 => Alpn::H2,
        };
        let raw = front.vestibule.raw(HOST);
        let raw = raw.offering(alpn, front.vestibule.pki());
        let mut client = raw.keep(alpn).await;
        let (feed, body) = fed();
        let request = Request::post(front.vestibule.url(HOST, target)).header("cookie", cookie);
        let request = request.body(body).unwrap();
        let asking = tokio::spawn(async move {
            let answer = client.ask(request).await.unwrap();
            let status = answer.status().as_u16();
            let said = answer.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8_lossy(&said).into_owned())
        });
        Self { feed, asking }
    }

    /// Sends a piece and lets a pause go by, so many times at the most; says how often it did.
    async fn drips(&self, front: &Front, app: &Raw, piece: &'static [u8], times: usize) -> usize {
        for round in 0..times {
            if self.asking.is_finished() {
                return round;
            }
            let heard = || app.heard().iter().map(Vec::len).sum::<usize>();
            let before = heard();
            self.feed.send(piece);
            eventually("the piece is passed on, or nothing is any more", || {
                heard() >= before + piece.len() || self.asking.is_finished()
            })
            .await;
            front.vestibule.time().advance(PAUSE);
            sleep(Duration::from_millis(50)).await;
        }
        times
    }
}

#[tokio::test]
async fn a_stranger_who_sends_byte_by_byte_is_given_up() {
    // S-256
    for protocol in PROTOCOLS {
        let app = upstream::raw().run();
        let front = slow(&app);
        let upload = Upload::begin(&front, protocol, "/pub", "a=b").await;
        let rounds = upload.drips(&front, &app, b"x", 20).await;
        assert!(rounds < 20, "{protocol:?}: it goes on for ever");
        let (status, said) = upload.asking.await.unwrap();
        assert_eq!(status, 408, "{protocol:?} {said}");
        assert!(said.contains("request_timeout"), "{said}");
        assert!(!app.heard().concat().ends_with(b"0\r\n\r\n"), "no end");
    }
}

#[tokio::test]
async fn whoever_brings_enough_or_is_signed_in_may_take_their_time() {
    // S-256
    for protocol in PROTOCOLS {
        let app = upstream::raw().run();
        let front = slow(&app);
        let session = front.session(HOST).await;
        for (target, cookie, piece) in [("/pub", "a=b", &ENOUGH[..]), ("/", &*session, b"x")] {
            let upload = Upload::begin(&front, protocol, target, cookie).await;
            let rounds = upload.drips(&front, &app, piece, 12).await;
            assert_eq!(rounds, 12, "{protocol:?} {target}");
            assert!(!upload.asking.is_finished(), "{protocol:?} {target}");
            upload.asking.abort();
        }
    }
}
