//! An app that takes handshakes and leaves the rest to the test.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::support::PATIENCE;

/// The fields of an answer that agrees, without the last.
pub(super) const SWITCHES: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";

/// A running app; the test has every connection that asks anything.
pub(super) struct App {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// A connection whose request has come.
pub(super) struct Asked {
    /// The head, up to and with its empty line.
    pub(super) head: String,
    pub(super) stream: TcpStream,
}

/// An app that says nothing by itself.
pub(super) async fn app() -> App {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                if let Some(asked) = Asked::read(stream).await {
                    let _ = sender.send(asked);
                }
            });
        }
    });
    App { address, asked }
}

/// An app that agrees with everybody and sends back every byte.
pub(super) async fn echo() -> SocketAddr {
    let mut app = app().await;
    let address = app.address;
    tokio::spawn(async move {
        while let Some(mut asked) = app.asked.recv().await {
            tokio::spawn(async move {
                asked.agree("").await;
                let (mut reading, mut writing) = asked.stream.split();
                let _ = tokio::io::copy(&mut reading, &mut writing).await;
                let _ = writing.shutdown().await;
            });
        }
    });
    address
}

impl App {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection that asks anything.
    pub(super) async fn asked(&mut self) -> Asked {
        let asked = timeout(PATIENCE, self.asked.recv()).await;
        asked.expect("the app is asked").expect("it is running")
    }

    /// Nobody has asked anything.
    pub(super) async fn assert_silent(&mut self) {
        let asked = timeout(Duration::from_millis(100), self.asked.recv()).await;
        assert!(asked.is_err(), "{}", asked.unwrap().unwrap().head);
    }
}

impl Asked {
    async fn read(mut stream: TcpStream) -> Option<Self> {
        let mut head = Vec::new();
        // Not one byte more: what follows is the test's.
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        Some(Self { head, stream })
    }

    /// The value of a field that came once.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|it| it.split_once(':'));
        let mut values = lines.filter(|(it, _)| it.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.trim());
        assert!(values.next().is_none(), "{name} came twice: {}", self.head);
        value
    }

    /// What an app answers that has read the key.
    pub(super) fn accept(&self) -> String {
        let key = self.field("sec-websocket-key").expect("a key");
        let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
    }

    /// Agrees, with further fields.
    pub(super) async fn agree(&mut self, fields: &str) {
        let accept = self.accept();
        let answer = format!("{SWITCHES}Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n");
        self.say(answer.as_bytes()).await;
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) {
        // Whoever is cut off meanwhile says nothing.
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next bytes of the client, so many.
    pub(super) async fn hear(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await;
        read.expect("in time").unwrap();
        bytes
    }

    /// All that comes until the end, however that looks.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await;
        drop(read.expect("the connection ends"));
        bytes
    }
}
