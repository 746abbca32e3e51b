//! Large bodies pass piece by piece in both directions, at the pace of whoever is slower.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::support::{
    front::{Front, HOST, wiki},
    pki::Alpn,
};

/// What is sent: far more than all sockets and windows on the way hold together.
const LENGTH: usize = 64 << 20;
/// What may lie on the way while one side does not take anything.
const HELD: usize = LENGTH / 2;
const PIECE: usize = 64 << 10;

/// An app that serves one connection with `serve`.
async fn app<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    });
    address
}

async fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            return bytes.split_off(at + 4);
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "closed");
    }
}

/// Waits until a count stands still, and says where.
async fn stands_still(count: &AtomicUsize) -> usize {
    let mut seen = (0, 0);
    while seen.1 < 30 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = count.load(Ordering::Relaxed);
        seen = if now == seen.0 && now > 0 {
            (now, seen.1 + 1)
        } else {
            (now, 0)
        };
    }
    seen.0
}

/// An app that answers with [`LENGTH`] bytes, and how many it could hand on so far.
async fn pouring() -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let poured = Arc::clone(&count);
    let address = app(async move |mut stream| {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; PIECE];
        for _ in 0..LENGTH / PIECE {
            stream.write_all(&piece).await.unwrap();
            poured.fetch_add(PIECE, Ordering::Relaxed);
        }
    })
    .await;
    (address, count)
}

fn get(front: &Front, session: &str) -> String {
    let authority = front.vestibule.authority(HOST);
    format!("GET / HTTP/1.1\r\nHost: {authority}\r\nCookie: {session}\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_slow_reader_holds_the_app_back_over_http1() {
    let (address, poured) = pouring().await;
    let front = wiki(&address, "");
    let session = front.session(HOST).await;
    let mut stream = front.vestibule.raw(HOST).connect().await.unwrap();
    stream
        .write_all(get(&front, &session).as_bytes())
        .await
        .unwrap();
    let on_the_way = stands_still(&poured).await;
    assert!(on_the_way < HELD, "{on_the_way} bytes left");

    let mut read = 0;
    let mut buffer = vec![0; PIECE];
    let mut first = Vec::new();
    loop {
        let piece = stream.read(&mut buffer).await.unwrap();
        if piece == 0 {
            break;
        }
        if first.len() < 1024 {
            first.extend_from_slice(&buffer[..piece]);
        }
        read += piece;
    }
    let head = first.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(read - head, LENGTH);
}

#[tokio::test]
async fn a_slow_reader_holds_the_app_back_over_http2() {
    let (address, poured) = pouring().await;
    let front = wiki(&address, "");
    let session = front.session(HOST).await;
    let raw = front
        .vestibule
        .raw(HOST)
        .offering(Alpn::H2, front.vestibule.pki());
    let io = TokioIo::new(raw.connect().await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), io)
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get(front.vestibule.url(HOST, "/"))
        .header("cookie", &session)
        .body(Empty::new())
        .unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let on_the_way = stands_still(&poured).await;
    assert!(on_the_way < HELD, "{on_the_way} bytes left");

    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().data_ref().unwrap().len();
    }
    assert_eq!(read, LENGTH);
}

/// An app that takes nothing until it is told to, and then says how much there was.
async fn hesitant() -> (SocketAddr, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let told = Arc::clone(&go_on);
    let address = app(async move |mut stream| {
        let mut read = read_head(&mut stream).await.len();
        told.notified().await;
        let mut buffer = vec![0; PIECE];
        while read < LENGTH {
            let piece = stream.read(&mut buffer).await.unwrap();
            assert!(piece > 0, "the upload broke off at {read}");
            read += piece;
        }
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{read:08}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    (address, go_on)
}

#[tokio::test]
async fn a_slow_app_holds_the_sender_back_over_http1() {
    let (address, go_on) = hesitant().await;
    let front = wiki(&address, "");
    let session = front.session(HOST).await;
    let stream = front.vestibule.raw(HOST).connect().await.unwrap();
    let (mut from, mut to) = split(stream);
    let count = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&count);
    let head = get(&front, &session).replace("GET", "PUT").replace(
        "Connection: close",
        &format!("Content-Length: {LENGTH}\r\nConnection: close"),
    );
    let sending = tokio::spawn(async move {
        to.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; PIECE];
        for _ in 0..LENGTH / PIECE {
            to.write_all(&piece).await.unwrap();
            sent.fetch_add(PIECE, Ordering::Relaxed);
        }
        to.flush().await.unwrap();
    });
    let on_the_way = stands_still(&count).await;
    assert!(on_the_way < HELD, "{on_the_way} bytes left");
    go_on.notify_one();
    let mut answer = String::new();
    from.read_to_string(&mut answer).await.unwrap();
    sending.await.unwrap();
    assert!(answer.ends_with(&format!("{LENGTH:08}")), "{answer}");
}

#[tokio::test]
async fn a_large_upload_arrives_whole_over_http2() {
    let (address, go_on) = hesitant().await;
    go_on.notify_one();
    let front = wiki(&address, "");
    let session = front.session(HOST).await;
    let raw = front
        .vestibule
        .raw(HOST)
        .offering(Alpn::H2, front.vestibule.pki());
    let io = TokioIo::new(raw.connect().await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::put(front.vestibule.url(HOST, "/"))
        .header("cookie", &session)
        .body(Full::new(Bytes::from(vec![b'x'; LENGTH])))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!("{LENGTH:08}"));
}
