//! An app that speaks HTTP/2 without TLS, each request of which a test answers as it likes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, Method, Request, Response, Uri};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    h2_frames::{PREFACE, kind, settings, settings_ack},
    vestibule::Upstream,
};

/// A running app.
pub(crate) struct App {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// Counted from zero.
    pub(crate) connection: usize,
}

/// One request, to be answered.
pub(crate) struct Asked {
    pub(crate) request: Request<RecvStream>,
    pub(crate) answer: SendResponse<Bytes>,
}

impl Upstream for App {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl App {
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// An app that takes any number of requests at once.
pub(crate) async fn app<F>(answering: impl Fn(Asked) -> F + Send + Sync + 'static) -> App
where
    F: Future<Output = ()> + Send + 'static,
{
    app_with(server::Builder::new(), answering).await
}

/// An app on connections that `builder` makes.
pub(crate) async fn app_with<F>(
    builder: server::Builder,
    answering: impl Fn(Asked) -> F + Send + Sync + 'static,
) -> App
where
    F: Future<Output = ()> + Send + 'static,
{
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let (kept, answering) = (Arc::clone(&seen), Arc::new(answering));
    let (address, accepted) = listen(move |stream, connection| {
        let (builder, answering, seen) = (builder.clone(), Arc::clone(&answering), kept.clone());
        async move {
            let Ok(mut requests) = builder.handshake::<_, Bytes>(stream).await else {
                return;
            };
            while let Some(Ok((request, answer))) = requests.accept().await {
                seen.lock().unwrap().push(Seen {
                    method: request.method().clone(),
                    uri: request.uri().clone(),
                    headers: request.headers().clone(),
                    connection,
                });
                tokio::spawn(answering(Asked { request, answer }));
            }
        }
    })
    .await;
    App {
        address,
        accepted,
        seen,
    }
}

/// Serves each connection with `serve`, which is told its number; says where, and counts them.
pub(crate) async fn listen<F>(
    serve: impl Fn(TcpStream, usize) -> F + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, number));
        }
    });
    (address, accepted)
}

/// An app by hand: to each request head it says what `answering` makes of its stream, frames as they are.
pub(crate) async fn raw_app(
    answering: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let answering = Arc::new(answering);
    listen(move |mut stream, _| {
        let answering = Arc::clone(&answering);
        async move {
            let hello = [settings(&[]), settings_ack()].concat();
            if stream.write_all(&hello).await.is_err() {
                return;
            }
            let mut read = Vec::new();
            while matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                for id in heads(&mut read) {
                    if stream.write_all(&answering(id)).await.is_err() {
                        return;
                    }
                }
            }
        }
    })
    .await
}

/// The streams of the HEADERS frames that have come whole; they are taken off.
pub(crate) fn heads(read: &mut Vec<u8>) -> Vec<u32> {
    if read.starts_with(PREFACE) {
        read.drain(..PREFACE.len());
    }
    let mut ids = Vec::new();
    while let Some([a, b, c, frame_kind, _, id @ ..]) = read.first_chunk::<9>().copied() {
        let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        if read.len() < length {
            break;
        }
        if frame_kind == kind::HEADERS {
            ids.push(u32::from_be_bytes(id));
        }
        read.drain(..length);
    }
    ids
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// All of the body, or nothing if it broke off. There is never anything behind it (S-021).
    pub(crate) async fn body(&mut self) -> Option<Vec<u8>> {
        let body = self.request.body_mut();
        let mut read = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.ok()?;
            let _ = body.flow_control().release_capacity(piece.len());
            read.extend_from_slice(&piece);
        }
        let behind = body.trailers().await.ok()?;
        assert!(behind.is_none(), "trailers came: {behind:?}");
        Some(read)
    }

    /// Answers with this head and, if there is any, this body.
    pub(crate) fn says(&mut self, head: Response<()>, body: &'static [u8]) {
        let mut stream = self.answer.send_response(head, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(Bytes::from_static(body), true).unwrap();
        }
    }
}

/// A head that says 200 and nothing else.
pub(crate) fn ok() -> Response<()> {
    Response::new(())
}

/// A head of this status with these fields.
pub(crate) fn head(status: u16, named: &[(&str, &str)]) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = status.try_into().unwrap();
    *head.headers_mut() = fields(named);
    head
}

pub(crate) fn fields(named: &[(&str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in named {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        fields.append(name, value.parse().unwrap());
    }
    fields
}
