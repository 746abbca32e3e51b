//! An app that speaks TLS, or listens on a socket of this machine, and remembers who asked it what.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::Response;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::lock;

/// What an app saw of a handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shook {
    /// The name that was asked for.
    pub(crate) name: Option<String>,
    pub(crate) version: ProtocolVersion,
    /// The protocol both agreed on.
    pub(crate) protocol: Option<String>,
    pub(crate) is_resumed: bool,
    /// Whether the other side said who it is.
    pub(crate) has_certificate: bool,
}

#[derive(Default)]
struct Seen {
    heads: Vec<String>,
    handshakes: Vec<Shook>,
    failed: usize,
}

/// An app; it ends with the runtime of its test, or when it is dropped.
pub(crate) struct SecureApp {
    address: Option<SocketAddr>,
    config: Option<Arc<Mutex<Arc<ServerConfig>>>>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// An app that speaks TLS. Each answer is two bytes; `/close` is the last of its connection.
pub(crate) async fn over_tls(config: Arc<ServerConfig>) -> SecureApp {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let config = Arc::new(Mutex::new(config));
    let (kept, offered) = (Arc::clone(&seen), Arc::clone(&config));
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = TlsAcceptor::from(Arc::clone(&lock(&offered)));
            let seen = Arc::clone(&kept);
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    lock(&seen).failed += 1;
                    return;
                };
                let (_, session) = stream.get_ref();
                let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
                let shook = Shook {
                    name: session.server_name().map(str::to_owned),
                    version: session.protocol_version().unwrap(),
                    protocol: protocol.map(|it| String::from_utf8(it).unwrap()),
                    is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
                    has_certificate: session.peer_certificates().is_some(),
                };
                let is_http2 = shook.protocol.as_deref() == Some("h2");
                lock(&seen).handshakes.push(shook);
                if is_http2 {
                    serve_http2(stream, seen).await;
                } else {
                    serve(stream, seen).await;
                }
            });
        }
    });
    SecureApp {
        address: Some(address),
        config: Some(config),
        seen,
        task,
    }
}

/// The same in the clear at a socket of this machine.
pub(crate) fn at_socket(path: &Path) -> SecureApp {
    let listener = UnixListener::bind(path).unwrap();
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let kept = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&kept)));
        }
    });
    SecureApp {
        address: None,
        config: None,
        seen,
        task,
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Mutex<Seen>>) {
    let mut heard = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = end_of_request(&heard) {
                break end;
            }
            match stream.read_buf(&mut heard).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        };
        let request: Vec<u8> = heard.drain(..end).collect();
        let request = String::from_utf8(request).unwrap();
        let closes = request.contains(" /close ");
        lock(&seen).heads.push(request);
        let connection = if closes { "Connection: close\r\n" } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\n{connection}Content-Length: 2\r\n\r\nhi");
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if closes {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Unpin, seen: Arc<Mutex<Seen>>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        let head = format!(
            "{} {} {:?}",
            request.method(),
            request.uri(),
            request.version()
        );
        lock(&seen).heads.push(head);
        let response = Response::builder()
            .header("content-length", 2)
            .body(())
            .unwrap();
        let mut body = answer.send_response(response, false).unwrap();
        body.send_data(Bytes::from_static(b"hi"), true).unwrap();
    }
}

/// Where the request at the start ends, with a body of an announced length.
fn end_of_request(heard: &[u8]) -> Option<usize> {
    let body = heard.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&heard[..body]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|it| it.strip_prefix("content-length: "));
    let whole = body + length.map_or(0, |it| it.trim().parse::<usize>().unwrap());
    (heard.len() >= whole).then_some(whole)
}

impl SecureApp {
    /// Where it listens for TLS.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("it speaks TLS")
    }

    /// Shakes hands with this from now on.
    pub(crate) fn becomes(&self, config: Arc<ServerConfig>) {
        *lock(self.config.as_ref().expect("it speaks TLS")) = config;
    }

    /// Every request so far, whole.
    pub(crate) fn heads(&self) -> Vec<String> {
        lock(&self.seen).heads.clone()
    }

    /// Every handshake that came to its end.
    pub(crate) fn handshakes(&self) -> Vec<Shook> {
        lock(&self.seen).handshakes.clone()
    }

    /// How many did not.
    pub(crate) fn failed_handshakes(&self) -> usize {
        lock(&self.seen).failed
    }
}

impl Drop for SecureApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}
