//! A connection on which an app went against the protocol carries nobody's next request.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    front::{HOST, wiki},
    wire::{PROTOCOLS, Protocol, ask},
};

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

/// What an app answers below `/bad/`, by name; it goes on listening after each but the last.
const FAULTS: &[(&str, &str)] = &[
    (
        "two-answers",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevilHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ),
    (
        "late-continue",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevilHTTP/1.1 100 Continue\r\n\r\n",
    ),
    (
        "surplus",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevilmore",
    ),
    (
        "surplus-chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\nmore",
    ),
    (
        "no-content-with-body",
        "HTTP/1.1 204 No Content\r\n\r\nevil",
    ),
    (
        "not-modified-with-body",
        "HTTP/1.1 304 Not Modified\r\n\r\nevil",
    ),
    (
        "two-lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nevil",
    ),
    (
        "length-and-chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "bad-chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nevil\r\n0\r\n\r\n",
    ),
    (
        "switch",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nevil",
    ),
    ("garbage", "evil\r\n\r\n"),
];

/// Which targets each connection was asked for.
type Asked = Arc<Mutex<BTreeMap<usize, Vec<String>>>>;

/// An app that answers as its path says, and keeps every connection.
async fn two_faced() -> (SocketAddr, Asked) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Asked = Arc::default();
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            tokio::spawn(serve_two_faced(stream, number, Arc::clone(&kept)));
        }
    });
    (address, asked)
}

async fn serve_two_faced(mut stream: TcpStream, number: usize, asked: Asked) {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head: Vec<u8> = bytes.drain(..end + 4).collect();
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let name = target.strip_prefix("/bad/").unwrap_or_default();
            let fault = FAULTS.iter().find(|(it, _)| *it == name);
            asked
                .lock()
                .unwrap()
                .entry(number)
                .or_default()
                .push(target);
            let answer = fault.map_or(GOOD, |(_, answer)| answer);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(read) if read > 0) {
            return;
        }
    }
}

#[tokio::test]
async fn a_fault_spoils_one_connection_and_nobody_elses_answer() {
    // S-087, S-096, S-225
    let (app, asked) = two_faced().await;
    let front = wiki(&app, "");
    let session = front.session(HOST).await;
    let good = ask("GET", "/good").with("Cookie", &session);
    for protocol in PROTOCOLS {
        for (name, answer) in FAULTS {
            // Connections that are there to be taken.
            let mut calm = front.wire(protocol, HOST);
            assert_eq!(calm.ask(&good).await.text(), "good");
            let bad = ask("GET", &format!("/bad/{name}")).with("Cookie", &session);
            let (mut one, mut other) = (front.wire(protocol, HOST), front.wire(protocol, HOST));
            let chunked = answer.contains("chunked") && protocol == Protocol::Http1;
            let bad = async {
                if chunked {
                    // The reader of the tests knows no chunks: what comes is looked at as bytes.
                    let authority = front.vestibule.authority(HOST);
                    let head = format!(
                        "GET /bad/{name} HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\n\
                         Connection: close\r\n\r\n"
                    );
                    let came = front.vestibule.raw(HOST).say(head).await;
                    assert_eq!(came.text().matches("more").count(), 0, "{name}");
                } else if let Some(reply) = one.try_ask(&bad).await {
                    assert!(
                        reply.body.len() <= 4 || reply.status == 502,
                        "{name} {reply:?}"
                    );
                }
            };
            let alongside = async {
                for _ in 0..5 {
                    assert_eq!(other.ask(&good).await.text(), "good", "{name} {protocol:?}");
                }
            };
            tokio::join!(bad, alongside);
            for _ in 0..5 {
                assert_eq!(calm.ask(&good).await.text(), "good", "{name} {protocol:?}");
            }
        }
    }
    for (number, targets) in asked.lock().unwrap().iter() {
        let bad = targets.iter().position(|it| it.starts_with("/bad/"));
        let behind = bad.map_or(0, |bad| targets.len() - bad - 1);
        assert_eq!(behind, 0, "connection {number} was used again: {targets:?}");
    }
}
