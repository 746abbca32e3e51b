//! Answers of which nobody takes anything: what one connection can make us hold has a ceiling, which
//! is the one that the README gives to those who have to reckon with memory.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Siege, count,
    heads::{YOUNGEST, in_frames, remembered},
    stream_id,
};
use crate::support::{
    PATIENCE, eventually,
    front::HOST,
    h2::{self, frame},
    pki::Alpn,
};

const STREAMS: usize = 100;

/// What one stream may make us hold of heads: that of its request, as it came and as the app got it,
/// and that of its answer, in a buffer that has room for more.
const HEADS: usize = 160 * 1024;

/// What it may make us hold of a body, besides: one piece as large as it is read at once, the next, and
/// room for a third, as allocators round it.
const BODY: usize = 320 * 1024;

/// What else goes with a stream, and with its connection.
const STREAM: usize = 8 * 1024;
const CONNECTION: usize = 1024 * 1024;

/// A connection whose client reads when it is told to.
async fn connect(siege: &Siege, window: u32) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    // What waits in the system's buffers is not what this is about.
    socket.set_recv_buffer_size(4_096).unwrap();
    let built = siege.process.built();
    let address: SocketAddr = ([127, 0, 0, 1], built.port()).into();
    let stream = socket.connect(address).await.unwrap();
    let connector = TlsConnector::from(built.pki().client(Alpn::H2));
    let name = ServerName::try_from(HOST).unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let of_stream = [&[0, 4][..], &window.to_be_bytes()].concat();
    hello.extend(frame(h2::SETTINGS, 0, 0, &of_stream));
    let of_connection = 0x4000_0000_u32.to_be_bytes();
    hello.extend(frame(h2::WINDOW_UPDATE, 0, 0, &of_connection));
    stream.write_all(&hello).await.unwrap();
    stream
}

/// An app that answers when it is told to, all at once.
struct Patient {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    answers: watch::Sender<bool>,
}

impl Patient {
    async fn run(answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, told) = watch::channel(false);
        let (count, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let (count, mut told) = (Arc::clone(&count), told.clone());
                let answer = Arc::clone(&answer);
                connections.spawn(async move {
                    let mut read = Vec::new();
                    while !read.ends_with(b"\r\n\r\n") {
                        stream.read_buf(&mut read).await.unwrap();
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    told.wait_for(|told| *told).await.unwrap();
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.read(&mut [0]).await;
                });
            }
        });
        Self {
            address,
            asked,
            answers,
        }
    }

    /// Has all those answered who have asked, once these have.
    async fn answers(&self, requests: usize) {
        let asked = || self.asked.load(Ordering::SeqCst) == requests;
        eventually("all have asked", asked).await;
        self.answers.send_replace(true);
    }
}

fn answer(head: usize, body: usize) -> Vec<u8> {
    let fat = "h".repeat(head);
    let mut answer = format!("HTTP/1.1 200 OK\r\nX-Fat: {fat}\r\nContent-Length: {body}\r\n\r\n");
    answer.push_str(&"b".repeat(body));
    answer.into_bytes()
}

/// Has `connections` ask as much as they may, take `taken` bytes each and then nothing; says what one
/// of them made the program hold.
async fn held(
    siege: &mut Siege,
    connections: usize,
    blocks: &[Vec<u8>],
    window: u32,
    taken: usize,
    app: &Patient,
) -> usize {
    let before = siege.process.resident();
    let asked = blocks.iter().zip(0..);
    let asked: Vec<u8> = asked
        .flat_map(|(block, number)| in_frames(block, stream_id(number)))
        .collect();
    let mut kept = Vec::new();
    for _ in 0..connections {
        let mut stream = connect(siege, window).await;
        stream.write_all(&asked).await.unwrap();
        stream.flush().await.unwrap();
        kept.push(stream);
    }
    siege.good_client_is_served().await;
    app.answers(connections * STREAMS).await;
    for stream in &mut kept {
        let mut sink = vec![0; taken];
        let read = timeout(PATIENCE, stream.read_exact(&mut sink)).await;
        read.expect("in time").unwrap();
        siege.good_client_is_served().await;
    }
    let mut most = 0;
    // What the app has sent by now is on its way; nothing tells when it has come.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = siege.process.resident().max(most);
    }
    let grown = usize::try_from(most.saturating_sub(before)).unwrap();
    grown / connections
}

// S-109
#[tokio::test]
async fn heads_that_nobody_takes_stay_below_their_ceiling() {
    let ceiling = STREAMS * (HEADS + STREAM) + CONNECTION;
    let app = Patient::run(answer(60_000, 100)).await;
    let mut siege = Siege::beside(&app.address).await;
    // Small on the wire, so that all of them come at once.
    let short = siege.head("GET", "/other/pub/fat", &[]);
    let first = [short.clone(), remembered(b"x", 3_900)].concat();
    let others = [short, vec![YOUNGEST; 8]].concat();
    let blocks: Vec<_> = std::iter::once(first)
        .chain(std::iter::repeat_n(others, STREAMS - 1))
        .collect();
    let held = held(&mut siege, count(8, 20), &blocks, 0, 0, &app).await;
    println!("heads: {held} bytes a connection, of {ceiling}");
    assert!(
        held < ceiling,
        "{held} bytes a connection, more than {ceiling}"
    );
}

// S-109, S-257
#[tokio::test]
async fn bodies_that_nobody_takes_any_more_stay_below_their_ceiling() {
    const WINDOW: u32 = 512 * 1024;
    let ceiling = STREAMS * (BODY + STREAM) + CONNECTION;
    let app = Patient::run(answer(10, 4 * 1024 * 1024)).await;
    let mut siege = Siege::beside(&app.address).await;
    let blocks = vec![siege.head("GET", "/other/pub/large", &[]); STREAMS];
    // So much that the app's answers are read in pieces as large as they ever are.
    let taken = STREAMS * WINDOW as usize;
    let held = held(&mut siege, count(2, 10), &blocks, WINDOW, taken, &app).await;
    println!("bodies: {held} bytes a connection, of {ceiling}");
    assert!(
        held < ceiling,
        "{held} bytes a connection, more than {ceiling}"
    );
}
