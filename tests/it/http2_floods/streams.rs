//! Streams that are opened to be reset, to be refused, or to stand still.

use std::{net::TcpListener, time::Duration};

use super::{Siege, assert_calmed, count, stream_id};
use crate::support::{
    h2::{self, END_HEADERS, END_STREAM, frame},
    upstream,
};

const QUIET: Duration = Duration::from_secs(2);

const REFUSED_STREAM: u8 = 7;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

// S-103
#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection_and_make_no_work() {
    let mut siege = Siege::begin().await;
    let head = siege.head("GET", "/pub/reset", &[]);
    let connections = 1 + count(5, 50);
    for _ in 0..connections {
        let mut attacker = siege.attacker().await;
        let pairs = (0..count(5_000, 100_000)).map(|number| {
            let stream = stream_id(number);
            let mut pair = frame(h2::HEADERS, END_HEADERS | END_STREAM, stream, &head);
            pair.extend(frame(h2::RST_STREAM, 0, stream, &CANCEL));
            pair
        });
        let ended = attacker.flood(pairs, QUIET).await;
        assert_calmed(&ended, "rapid reset");
        siege.good_client_is_served().await;
    }
    let asked = siege.asked("/pub/reset");
    assert!(
        asked < 100 * connections,
        "{asked} requests reached the app"
    );
    siege.ends_well().await;
}

/// What it is called, and its frames on a stream.
type Provocation<'a> = (&'a str, Box<dyn Fn(u32) -> Vec<Vec<u8>> + 'a>);

// S-104
#[tokio::test]
async fn resets_that_a_client_provokes_end_the_connection() {
    let mut siege = Siege::begin().await;
    let get = siege.head("GET", "/pub/provoked", &[]);
    let post = siege.head("POST", "/pub/provoked", &[]);
    let sized = siege.head("POST", "/pub/provoked", &[(b"content-length", b"5")]);
    let open = |stream, head: &[u8]| frame(h2::HEADERS, END_HEADERS, stream, head);
    let whole = |stream, head: &[u8]| frame(h2::HEADERS, END_HEADERS | END_STREAM, stream, head);
    let provocations: Vec<Provocation<'_>> = vec![
        (
            "WINDOW_UPDATE of zero",
            Box::new(|it| vec![open(it, &post), frame(h2::WINDOW_UPDATE, 0, it, &[0; 4])]),
        ),
        (
            "a window that overflows",
            Box::new(|it| {
                let most = [0x7f, 0xff, 0xff, 0xff];
                vec![open(it, &post), frame(h2::WINDOW_UPDATE, 0, it, &most)]
            }),
        ),
        (
            "DATA behind the end",
            Box::new(|it| vec![whole(it, &get), frame(h2::DATA, 0, it, b"more")]),
        ),
        (
            "more than the length said",
            Box::new(|it| vec![open(it, &sized), frame(h2::DATA, 0, it, b"123456")]),
        ),
        (
            "less than the length said",
            Box::new(|it| vec![open(it, &sized), frame(h2::DATA, END_STREAM, it, b"1")]),
        ),
        (
            "HEADERS behind the end",
            Box::new(|it| vec![whole(it, &get), whole(it, &get)]),
        ),
        (
            "a stream that depends on itself",
            Box::new(|it| {
                let mut itself = it.to_be_bytes().to_vec();
                itself.push(9);
                vec![open(it, &post), frame(h2::PRIORITY, 0, it, &itself)]
            }),
        ),
        (
            "a head that is no request",
            Box::new(|it| vec![whole(it, &h2::block(&[(b":method", b"GET")]))]),
        ),
    ];
    for (what, provocation) in provocations {
        let mut attacker = siege.attacker().await;
        let times = count(2_000, 100_000);
        let pieces = (0..times).map(|number| provocation(stream_id(number)).concat());
        let ended = attacker.flood(pieces, QUIET).await;
        assert!(ended.closed, "{what}: {ended:?}");
        assert!(ended.resets.len() <= 500, "{what}: {}", ended.resets.len());
        siege.good_client_is_served().await;
    }
    siege.ends_well().await;
}

// S-109
#[tokio::test]
async fn answers_that_nobody_takes_are_not_held_in_memory() {
    const BODY: usize = 8 * 1024 * 1024;
    let mut head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").into_bytes();
    head.resize(head.len() + BODY, b'x');
    let app = upstream::raw().answers(head).run();
    let mut siege = Siege::beside(&app).await;
    let head = siege.head("GET", "/other/pub/big", &[]);
    for window in [[0; 4], [0, 0, 0, 1], [0, 0, 0x40, 0]] {
        let mut attacker = siege.attacker().await;
        let mut settings = vec![0, 4];
        settings.extend(window);
        attacker.send(h2::SETTINGS, 0, 0, &settings).await;
        for number in 0..100 {
            let flags = END_HEADERS | END_STREAM;
            attacker
                .send(h2::HEADERS, flags, stream_id(number), &head)
                .await;
        }
        let mut heads = 0;
        while heads < 100 {
            heads += usize::from(attacker.next().await.unwrap().kind == h2::HEADERS);
        }
        siege.good_client_is_served().await;
    }
    siege.ends_well().await;
}

// S-112, S-108: what is taken is said before the first request.
#[tokio::test]
async fn limits_are_announced_and_the_stream_beyond_them_is_refused() {
    let deaf = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut siege = Siege::beside(&deaf.local_addr().unwrap()).await;
    let mut client = siege.attacker().await;
    let settings = client.any().await.unwrap();
    assert_eq!((settings.kind, settings.flags), (h2::SETTINGS, 0));
    let announced: Vec<_> = settings
        .payload
        .chunks(6)
        .map(|it| (it[1], u32::from_be_bytes([it[2], it[3], it[4], it[5]])))
        .collect();
    for expected in [
        (1, 4_096),
        (3, 100),
        (4, 262_144),
        (5, 16_384),
        (6, 40_961),
        (8, 1),
    ] {
        assert!(announced.contains(&expected), "{expected:?}: {announced:?}");
    }

    let head = siege.head("GET", "/other/pub/slow", &[]);
    for number in 0..101 {
        let flags = END_HEADERS | END_STREAM;
        client
            .send(h2::HEADERS, flags, stream_id(number), &head)
            .await;
    }
    let refusal = client.next().await.unwrap();
    assert_eq!((refusal.kind, refusal.stream), (h2::RST_STREAM, 201));
    assert_eq!(refusal.payload, [0, 0, 0, REFUSED_STREAM]);
    siege.good_client_is_served().await;
    siege.ends_well().await;
}
