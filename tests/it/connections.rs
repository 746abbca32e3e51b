//! HTTP/1.1 connections towards clients: waiting, parking, closing; and that what is not a request
//! never becomes one.

mod bodies;
mod house;
mod limits;
mod parking;
mod refused;
mod stop;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::Service};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use vestibule::{
    clock::Clock,
    config::listener::{Limits, Listen, TrustedProxies},
    head_guard::{HeadFault, RefuseHead},
    listener::{
        Entrance, Phase, Pressure, Shutdown, Terms,
        connection::{serve_plain, serve_tls},
    },
    telemetry::Metrics,
};

use crate::support::{
    PATIENCE,
    pki::{self, Alpn},
};

/// Longer than a connection that is idle keeps hyper.
const PARKED: Duration = Duration::from_millis(700);

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A listener with a service of the test's.
struct Tiny {
    address: SocketAddr,
    terms: Terms,
    asked: Arc<Mutex<Vec<String>>>,
    /// Lets `/wait` be answered.
    go: Arc<Notify>,
    /// How many pieces of `/endless` were taken.
    pieces: Arc<AtomicUsize>,
    pki: Option<pki::Pki>,
}

#[derive(Clone)]
struct Answers {
    asked: Arc<Mutex<Vec<String>>>,
    go: Arc<Notify>,
    pieces: Arc<AtomicUsize>,
}

/// The limits of most tests: nothing ends by itself.
fn patient() -> Limits {
    Limits {
        head_timeout: PATIENCE * 2,
        idle: PATIENCE * 2,
        ..Limits::default()
    }
}

fn listen(https: SocketAddr) -> Listen {
    Listen {
        https: Some(https),
        http: None,
        plain: None,
        workers: 1,
        grace: PATIENCE,
        hsts: None,
        trusted_proxies: TrustedProxies::default(),
        proxy_protocol: false,
    }
}

impl Tiny {
    async fn plain(limits: Limits) -> Self {
        Self::run(limits, None).await
    }

    async fn tls(limits: Limits) -> Self {
        Self::run(limits, Some(pki::fresh())).await
    }

    async fn run(limits: Limits, pki: Option<pki::Pki>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let tiny = Self {
            address: listener.local_addr().unwrap(),
            terms: Terms {
                limits: Arc::new(limits),
                metrics: Arc::new(Metrics::new(Clock::system())),
                shutdown: Shutdown::default(),
                pressure: Pressure::default(),
            },
            asked: Arc::default(),
            go: Arc::default(),
            pieces: Arc::default(),
            pki,
        };
        let answers = Answers {
            asked: Arc::clone(&tiny.asked),
            go: Arc::clone(&tiny.go),
            pieces: Arc::clone(&tiny.pieces),
        };
        let entrance = tiny.pki.as_ref().map(|pki| {
            let leaf = pki.leaf(&["tiny.example"]);
            let acceptor = TlsAcceptor::from(leaf.server(b"http/1.1"));
            let listen = listen(tiny.address);
            let limits = &tiny.terms.limits;
            Arc::new(Entrance::new(acceptor, &listen, limits, Clock::system()))
        });
        let terms = tiny.terms.clone();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (answers, terms) = (answers.clone(), terms.clone());
                let entrance = entrance.clone();
                tokio::spawn(terms.shutdown.clone().track(async move {
                    match entrance {
                        Some(it) => serve_tls(stream, peer, &it, |_| answers, &terms).await,
                        None => serve_plain(stream, peer, |_| answers, &terms).await,
                    }
                }));
            }
        });
        tiny
    }

    async fn connect(&self) -> Box<dyn Stream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let Some(pki) = &self.pki else {
            return Box::new(stream);
        };
        let connector = TlsConnector::from(pki.client(Alpn::Http1));
        let name = "tiny.example".try_into().unwrap();
        Box::new(connector.connect(name, stream).await.unwrap())
    }

    /// What was asked so far, as `METHOD target`.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// How many connections a limit has ended, by its word.
    fn cut(&self, word: &str) -> bool {
        let sample = format!("vestibule_connections_cut_total{{reason=\"{word}\"}} 1");
        self.terms.metrics.text(0).contains(&sample)
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Said>, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Said>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let target = request.uri().to_string();
        let line = format!("{} {target}", request.method());
        self.asked.lock().unwrap().push(line);
        let this = self.clone();
        Box::pin(async move {
            let said = match request.uri().path() {
                "/endless" => Said::Endless(Arc::clone(&this.pieces)),
                "/read" => match request.into_body().collect().await {
                    Ok(body) => said(&format!("read {}", body.to_bytes().len())),
                    Err(_) => said("broken"),
                },
                "/wait" => {
                    this.go.notified().await;
                    said("waited")
                }
                // The body, if there is one, is nobody's.
                _ => said(&target),
            };
            Ok(Response::new(said))
        })
    }
}

impl RefuseHead for Answers {
    fn refuse(&self, fault: HeadFault) -> Response<Bytes> {
        let mut answer = Response::new(Bytes::from_static(fault.reason().as_bytes()));
        *answer.status_mut() = fault.status();
        answer
    }
}

/// A body.
enum Said {
    Endless(Arc<AtomicUsize>),
    Once(Option<Bytes>),
}

fn said(text: &str) -> Said {
    Said::Once(Some(Bytes::copy_from_slice(text.as_bytes())))
}

const PIECE: usize = 64 * 1024;
static ONE_PIECE: [u8; PIECE] = [b'x'; PIECE];

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Self::Endless(pieces) => {
                pieces.fetch_add(1, Ordering::SeqCst);
                Some(Bytes::from_static(&ONE_PIECE))
            }
            Self::Once(text) => text.take(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Endless(_) => SizeHint::default(),
            Self::Once(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

/// One answer.
#[derive(Debug)]
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn says(&self, field: &str) -> bool {
        self.head
            .lines()
            .any(|line| line.eq_ignore_ascii_case(field))
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

async fn say(stream: &mut Box<dyn Stream>, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

/// The next answer, byte by byte: nothing behind it is read.
async fn hear(stream: &mut Box<dyn Stream>) -> Answer {
    let hearing = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer comes"));
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8(body).unwrap();
        Answer { head, body }
    };
    timeout(PATIENCE, hearing).await.expect("an answer comes")
}

/// The end comes, properly, and nothing before it.
async fn assert_over(stream: &mut Box<dyn Stream>) {
    let mut rest = Vec::new();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    reading.expect("it is closed").expect("and not reset");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Asks on a connection that goes on.
async fn ask(stream: &mut Box<dyn Stream>, target: &str) {
    say(stream, &get(target)).await;
    let answer = hear(stream).await;
    assert_eq!(answer.status(), StatusCode::OK.as_u16());
    assert_eq!(answer.body, target);
    assert!(!answer.says("connection: close"), "{answer:?}");
}

/// Begins a stop.
fn drain(tiny: &Tiny) {
    tiny.terms.shutdown.advance_to(Phase::Draining);
}
