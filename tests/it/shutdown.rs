//! Stopping: nothing new, what is under way may finish, a second signal ends it at once.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::support::{
    PATIENCE,
    front::{Front, HOST, front},
    h2::{self, H2},
    pki::Alpn,
};

/// An app whose connections the test answers by hand.
async fn by_hand() -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, streams) = mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            asked.send(stream).await.unwrap();
        }
    });
    (address, streams)
}

fn with_grace(grace: &str, app: SocketAddr) -> Front {
    front(|it| {
        it.variable("VESTIBULE_LISTEN__GRACE", grace)
            .main("http = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"")
            .route(
                "wiki",
                HOST,
                "allow = \"signed-in\"\n[[public]]\npath = \"/pub\"",
                &app,
            )
    })
}

/// A request over HTTP/1.1 that the app has, and has not answered.
async fn under_way(
    front: &Front,
    asked: &mut mpsc::Receiver<TcpStream>,
) -> (TlsStream<TcpStream>, TcpStream) {
    let mut client = front.vestibule.raw(HOST).connect().await.unwrap();
    let authority = front.vestibule.authority(HOST);
    let request = format!("GET /pub HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let app = timeout(PATIENCE, asked.recv()).await.unwrap().unwrap();
    (client, app)
}

type Http2 = (SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>);

async fn over_http2(front: &Front) -> Http2 {
    let raw = front
        .vestibule
        .raw(HOST)
        .offering(Alpn::H2, front.vestibule.pki());
    let io = TokioIo::new(raw.connect().await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    (sender, tokio::spawn(connection))
}

fn get(front: &Front) -> Request<Empty<Bytes>> {
    let url = front.vestibule.url(HOST, "/pub");
    Request::get(url).body(Empty::new()).unwrap()
}

/// Everything until the end of a connection; an end by reset counts as one.
async fn rest_of(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    let end: io::Result<usize> = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection ends");
    drop(end);
    bytes.into_iter().map(char::from).collect()
}

/// Begins a soft stop and waits until nobody can connect any more.
async fn stopping(front: Front) -> (JoinHandle<Front>, SocketAddr) {
    let address = front.vestibule.https();
    let stopping = tokio::spawn(async move {
        let mut front = front;
        front.vestibule.stop().await;
        front
    });
    let polling = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, polling)
        .await
        .expect("nobody is let in any more");
    (stopping, address)
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";

#[tokio::test]
async fn a_stop_without_anything_under_way_is_over_at_once() {
    let (app, _asked) = by_hand().await;
    // Nobody waits for this grace: the test would fail by its patience.
    let front = with_grace("10m", app);
    front.provider_is_known(HOST).await;
    let mut idle = front.vestibule.raw(HOST).connect().await.unwrap();
    let mut plain = TcpStream::connect(front.vestibule.http().unwrap())
        .await
        .unwrap();
    let mut ops = TcpStream::connect(front.vestibule.ops().unwrap())
        .await
        .unwrap();
    let (_sender, http2) = over_http2(&front).await;
    let (stopping, _) = stopping(front).await;
    let front = timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert_eq!(rest_of(&mut idle).await, "");
    assert_eq!(rest_of(&mut plain).await, "");
    assert_eq!(rest_of(&mut ops).await, "");
    timeout(PATIENCE, http2).await.unwrap().unwrap().ok();
    drop(front);
}

#[tokio::test]
async fn a_request_under_way_may_finish() {
    let (app, mut asked) = by_hand().await;
    let front = with_grace("10m", app);
    let (mut client, mut app) = under_way(&front, &mut asked).await;
    let (stopping, _) = stopping(front).await;
    assert!(!stopping.is_finished());
    app.write_all(ANSWER).await.unwrap();
    let answer = rest_of(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_is_told_to_go_away_and_its_streams_may_finish() {
    let (app, mut asked) = by_hand().await;
    let front = with_grace("10m", app);
    let raw = front
        .vestibule
        .raw(HOST)
        .offering(Alpn::H2, front.vestibule.pki());
    let mut client = H2::over(&raw).await;
    let authority = front.vestibule.authority(HOST);
    let request: [(&[u8], &[u8]); 4] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/pub"),
        (b":authority", authority.as_bytes()),
    ];
    client.fields(1, &request, h2::END_STREAM).await;
    let mut app = timeout(PATIENCE, asked.recv()).await.unwrap().unwrap();
    let (stopping, _) = stopping(front).await;
    let first = client.next().await.unwrap();
    assert_eq!(
        (first.kind, &first.payload[4..8]),
        (h2::GOAWAY, &[0; 4][..]),
        "{first:?}"
    );
    assert!(!stopping.is_finished());
    // Until it knows that the client has heard, the server may say so twice.
    app.write_all(ANSWER).await.unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = client.next().await {
        frames.push(frame);
    }
    let kinds: Vec<_> = frames.iter().map(|it| (it.kind, it.stream)).collect();
    assert!(kinds.contains(&(h2::HEADERS, 1)), "{kinds:?}");
    assert!(
        frames
            .iter()
            .any(|it| it.kind == h2::DATA && it.payload == b"done")
    );
    let last = frames.iter().rfind(|it| it.kind == h2::GOAWAY).unwrap();
    assert_eq!(
        last.payload[..4],
        [0, 0, 0, 1],
        "the last stream that counts"
    );
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn after_the_grace_everything_ends() {
    let (app, mut asked) = by_hand().await;
    let front = with_grace("50ms", app);
    let (mut client, mut app) = under_way(&front, &mut asked).await;
    let (stopping, _) = stopping(front).await;
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert_eq!(rest_of(&mut client).await, "");
    // Nothing is left running towards the app either.
    assert_eq!(rest_of(&mut app).await, "");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (app, mut asked) = by_hand().await;
    let front = with_grace("10m", app);
    let end_now = front.vestibule.hard_stop();
    let (mut client, mut app) = under_way(&front, &mut asked).await;
    let (mut sender, _http2) = over_http2(&front).await;
    let stream = tokio::spawn(sender.send_request(get(&front)));
    let mut other_app = timeout(PATIENCE, asked.recv()).await.unwrap().unwrap();
    let (stopping, _) = stopping(front).await;
    assert!(!stopping.is_finished());
    end_now();
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert_eq!(rest_of(&mut client).await, "");
    assert!(timeout(PATIENCE, stream).await.unwrap().unwrap().is_err());
    assert_eq!(rest_of(&mut app).await, "");
    assert_eq!(rest_of(&mut other_app).await, "");
}

#[tokio::test]
async fn readiness_goes_before_the_connections_do() {
    let (app, mut asked) = by_hand().await;
    let front = with_grace("10m", app);
    let end_now = front.vestibule.hard_stop();
    let mut ops = TcpStream::connect(front.vestibule.ops().unwrap())
        .await
        .unwrap();
    // Half a request before the stop: the connection is not idle and gets its answer.
    ops.write_all(b"GET /readyz HTTP/1.1\r\n").await.unwrap();
    let (_client, _app) = under_way(&front, &mut asked).await;
    let (stopping, _) = stopping(front).await;
    let last = b"Host: x\r\nConnection: close\r\n\r\n";
    let _ = ops.write_all(last).await;
    let answer = rest_of(&mut ops).await;
    let refuses = answer.is_empty() || answer.starts_with("HTTP/1.1 503 ");
    assert!(refuses, "{answer}");
    end_now();
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_address_is_free_for_the_next_one() {
    let (app, _asked) = by_hand().await;
    let front = with_grace("1s", app);
    let (stopping, address) = stopping(front).await;
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert!(std::net::TcpListener::bind(address).is_ok());
}
