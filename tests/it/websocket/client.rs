//! A client of a WebSocket that knows nothing of frames: a handshake over HTTP/1.1 or HTTP/2, and the
//! bytes behind it.

use std::{fmt::Write, future::poll_fn, time::Duration};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::SendRequest, ext::Protocol as Named};
use http::{HeaderMap, Method, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::support::{PATIENCE, front::Front, pki::Alpn, wire::Protocol};

/// The key of RFC 6455 1.3.
pub(super) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake to be.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    host: String,
    authority: String,
    path: String,
    fields: Vec<(String, String)>,
}

/// What came of it.
pub(super) struct Met {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) socket: Socket,
}

/// The bytes behind a handshake.
pub(super) enum Socket {
    Http1(Box<TlsStream<TcpStream>>),
    Http2(Box<Stream>),
}

pub(super) struct Stream {
    send: SendStream<Bytes>,
    recv: RecvStream,
    read: Vec<u8>,
    _connection: Connection,
}

/// An HTTP/2 connection, open until it is dropped.
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    driving: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// How the bytes of the other side have ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Clean,
    Cut,
}

impl Hand {
    /// As a page of the route's own origin makes it.
    pub(super) fn of(front: &Front, host: &str, path: &str) -> Self {
        let own = front.vestibule.url(host, "");
        let hand = Self {
            host: host.to_owned(),
            authority: front.vestibule.authority(host),
            path: path.to_owned(),
            fields: Vec::new(),
        };
        hand.with("Sec-WebSocket-Version", "13")
            .with("Origin", &own)
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
        self
    }

    /// The head of HTTP/1.1.
    pub(super) fn head(&self) -> String {
        let authority = &self.authority;
        let mut head = format!("GET {} HTTP/1.1\r\nHost: {authority}\r\n", self.path);
        head += "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n";
        if !self.has("Sec-WebSocket-Key") {
            write!(head, "Sec-WebSocket-Key: {KEY}\r\n").unwrap();
        }
        for (name, value) in &self.fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head + "\r\n"
    }

    fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(it, _)| it.eq_ignore_ascii_case(name))
    }

    /// Makes it on a connection of its own.
    pub(super) async fn meet(&self, front: &Front, protocol: Protocol) -> Met {
        match protocol {
            Protocol::Http1 => {
                let mut stream = front.vestibule.raw(&self.host).connect().await.unwrap();
                stream.write_all(self.head().as_bytes()).await.unwrap();
                met_over_http1(stream).await
            }
            Protocol::Http2 => {
                let connection = connect(front, &self.host).await;
                self.meet_on(connection, "websocket").await
            }
        }
    }

    /// Makes it over an HTTP/2 connection, for any protocol.
    pub(super) async fn meet_on(&self, mut connection: Connection, named: &'static str) -> Met {
        let url = format!("https://{}{}", self.authority, self.path);
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(url)
            .extension(Named::from_static(named));
        for (name, value) in &self.fields {
            request = request.header(name, value);
        }
        let sending = connection
            .sender
            .send_request(request.body(()).unwrap(), false);
        let (answer, send) = sending.unwrap();
        let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
        let (head, recv) = answer.into_parts();
        Met {
            status: head.status.as_u16(),
            headers: head.headers,
            socket: Socket::Http2(Box::new(Stream {
                send,
                recv,
                read: Vec::new(),
                _connection: connection,
            })),
        }
    }
}

/// An HTTP/2 connection whose server has said that it takes extended CONNECT.
pub(super) async fn connect(front: &Front, host: &str) -> Connection {
    let raw = front.vestibule.raw(host);
    let raw = raw.offering(Alpn::H2, front.vestibule.pki());
    let stream = raw.connect().await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let driving = tokio::spawn(connection);
    let polling = async {
        while !sender.is_extended_connect_protocol_enabled() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let enabled = timeout(PATIENCE, polling).await;
    enabled.expect("the server takes extended CONNECT");
    Connection { sender, driving }
}

/// The answer that comes next on a connection.
pub(super) async fn met_over_http1(mut stream: TlsStream<TcpStream>) -> Met {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("in time");
        head.push(byte.unwrap());
    }
    let head: String = head.into_iter().map(char::from).collect();
    let status = head[9..12].parse().unwrap();
    let lines = head.lines().skip(1).filter_map(|it| it.split_once(": "));
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, value.parse().unwrap());
    }
    Met {
        status,
        headers,
        socket: Socket::Http1(Box::new(stream)),
    }
}

impl Met {
    /// It is a WebSocket now.
    pub(super) fn open(self) -> Socket {
        let agreed = match self.socket {
            Socket::Http1(_) => 101,
            Socket::Http2(_) => 200,
        };
        assert_eq!(self.status, agreed, "{:?}", self.headers);
        self.socket
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|it| it.to_str().unwrap());
        assert!(values.next().is_none(), "{name}");
        value
    }
}

impl Socket {
    pub(super) async fn say(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1(stream) => {
                stream.write_all(bytes).await.unwrap();
                stream.flush().await.unwrap();
            }
            Self::Http2(stream) => stream.say(bytes).await,
        }
    }

    /// Says nothing more.
    pub(super) async fn finish(&mut self) {
        match self {
            Self::Http1(stream) => stream.shutdown().await.unwrap(),
            Self::Http2(stream) => stream.send.send_data(Bytes::new(), true).unwrap(),
        }
    }

    /// The next bytes, so many.
    pub(super) async fn hear(&mut self, count: usize) -> Vec<u8> {
        let hearing = async {
            match self {
                Self::Http1(stream) => {
                    let mut bytes = vec![0; count];
                    stream.read_exact(&mut bytes).await.unwrap();
                    bytes
                }
                Self::Http2(stream) => {
                    while stream.read.len() < count {
                        assert_eq!(stream.more().await, None, "it ends too early");
                    }
                    stream.read.drain(..count).collect()
                }
            }
        };
        timeout(PATIENCE, hearing).await.expect("in time")
    }

    /// Sends and gets it back from an echo.
    pub(super) async fn echoes(&mut self, bytes: &[u8]) {
        self.say(bytes).await;
        assert_eq!(self.hear(bytes.len()).await, bytes);
    }

    /// All bytes until the end, and how that looks; `tick` is called as long as there is none.
    pub(super) async fn ends(&mut self, mut tick: impl FnMut()) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        let reading = async {
            loop {
                let pause = Duration::from_millis(20);
                match timeout(pause, self.next_piece(&mut bytes)).await {
                    Ok(None) => {}
                    Ok(Some(end)) => break end,
                    Err(_) => tick(),
                }
            }
        };
        let end = timeout(PATIENCE, reading).await.expect("it ends");
        (bytes, end)
    }

    /// Nothing comes, not even an end.
    pub(super) async fn assert_quiet(&mut self) {
        let mut bytes = Vec::new();
        let pause = Duration::from_millis(100);
        let came = timeout(pause, self.next_piece(&mut bytes)).await;
        assert!(came.is_err(), "{came:?} {bytes:?}");
    }

    async fn next_piece(&mut self, bytes: &mut Vec<u8>) -> Option<End> {
        match self {
            Self::Http1(stream) => match stream.read_buf(bytes).await {
                Ok(0) => Some(End::Clean),
                Ok(_) => None,
                Err(_) => Some(End::Cut),
            },
            Self::Http2(stream) => {
                let end = stream.more().await;
                bytes.append(&mut stream.read);
                end
            }
        }
    }
}

impl Stream {
    async fn say(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.send.reserve_capacity(bytes.len());
            let room = poll_fn(|context| self.send.poll_capacity(context));
            let room = timeout(PATIENCE, room).await.expect("in time");
            let room = room.expect("the stream is open").unwrap();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.send
                .send_data(Bytes::copy_from_slice(now), false)
                .unwrap();
            bytes = later;
        }
    }

    async fn more(&mut self) -> Option<End> {
        match self.recv.data().await {
            None => Some(End::Clean),
            Some(Ok(data)) => {
                let _ = self.recv.flow_control().release_capacity(data.len());
                self.read.extend_from_slice(&data);
                None
            }
            Some(Err(error)) => {
                assert_ne!(error.reason(), Some(Reason::NO_ERROR), "{error}");
                Some(End::Cut)
            }
        }
    }
}
