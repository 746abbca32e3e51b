//! Bodies far larger than what is held of them: the same verdict with vestibule between as without, over
//! both protocols on both sides, in bounded memory.
//!
//! `VESTIBULE_BODY_MIB` is how large they are (64 MiB unless set; `VESTIBULE_BODY_MIB=5120` before a
//! release).

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use vestibule::clock::{Clock, ManualClock};

use crate::{
    fuzz::variable,
    support::{client::raw_tls::raw_tls, issuer, pki::Alpn, process, vestibule as files},
};

/// How large a body is unless said otherwise.
const MIB: u64 = 64;

/// How much more memory the program may take up than before, whatever passes.
const GROWTH: u64 = 48 * 1024 * 1024;

/// The longest piece of a body.
const PIECE: usize = 64 * 1024;

/// So many bytes come before the first ones come again: nothing that is cut at a power of two.
const PERIOD: usize = 65_521;

/// Bytes that say where in a body they stand.
static PATTERN: std::sync::LazyLock<Bytes> = std::sync::LazyLock::new(|| {
    let byte = |at: usize| (at.wrapping_mul(0x9e37_79b1) >> 13).to_le_bytes()[0];
    (0..PERIOD + PIECE).map(|at| byte(at % PERIOD)).collect()
});

/// The bytes of a body from `at` on, as many as one piece may have.
fn piece(at: u64, left: u64) -> Bytes {
    let begin = usize::try_from(at % PERIOD as u64).unwrap();
    let length = usize::try_from(left.min(PIECE as u64)).unwrap();
    PATTERN.slice(begin..begin + length)
}

/// So many bytes of the pattern.
struct Pattern {
    at: u64,
    length: u64,
    is_announced: bool,
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.at == self.length {
            return Poll::Ready(None);
        }
        let piece = piece(self.at, self.length - self.at);
        self.at += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_announced && self.at == self.length
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_announced {
            SizeHint::with_exact(self.length - self.at)
        } else {
            SizeHint::default()
        }
    }
}

/// How much of the pattern came, up to the first byte that is none of it.
async fn read(mut body: Incoming) -> Result<u64, String> {
    let mut at = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("broken off at {at}: {error:?}"))?;
        let Ok(mut data) = frame.into_data() else {
            continue;
        };
        while !data.is_empty() {
            let wanted = piece(at, data.len() as u64);
            let came = data.split_to(wanted.len());
            if came != wanted {
                return Err(format!("other bytes behind {at}"));
            }
            at += came.len() as u64;
        }
    }
    Ok(at)
}

/// Answers a GET with as many bytes as its query says, and anything else with how many it brought.
async fn answer(request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let (length, framing) = query.split_once('&').unwrap();
    if request.method() == "GET" {
        let body = Pattern {
            at: 0,
            length: length.parse().unwrap(),
            is_announced: framing == "sized",
        };
        return Response::new(body.boxed());
    }
    let verdict = format!("{:?}", read(request.into_body()).await);
    Response::new(Full::from(verdict).boxed())
}

async fn app(version: Version) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |request| Ok::<_, Infallible>(answer(request).await));
            let io = TokioIo::new(stream);
            if version == Version::HTTP_2 {
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http2.serve_connection(io, service));
            } else {
                let http1 = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http1.serve_connection(io, service));
            }
        }
    });
    address
}

/// What an exchange over this connection comes to.
#[expect(
    clippy::disallowed_methods,
    reason = "this is a client of the tests, without limits on purpose"
)]
async fn verdict(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    mut request: Request<Pattern>,
) -> String {
    let io = TokioIo::new(io);
    let is_download = request.method() == "GET";
    if version != Version::HTTP_2 {
        let (host, target) = (request.uri().authority(), request.uri().path_and_query());
        let host = host.unwrap().as_str().parse().unwrap();
        *request.uri_mut() = Uri::from(target.unwrap().clone());
        request.headers_mut().insert("host", host);
    }
    let answer = if version == Version::HTTP_2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        tokio::spawn(async move {
            // As long as the answer may still come.
            tokio::time::sleep(Duration::from_hours(1)).await;
            drop(sender);
        });
        answer
    };
    let (head, body) = answer.unwrap().into_parts();
    if is_download {
        return format!("{} {:?}", head.status, read(body).await);
    }
    let said = body.collect().await.unwrap().to_bytes();
    format!("{} {}", head.status, String::from_utf8_lossy(&said))
}

fn request(method: &str, url: &str, length: u64, framing: &str) -> Request<Pattern> {
    let request = Request::builder()
        .method(method)
        .uri(format!("{url}?{length}&{framing}"));
    let body = Pattern {
        at: 0,
        length: if method == "GET" { 0 } else { length },
        is_announced: method == "GET" || framing == "sized",
    };
    request.body(body).unwrap()
}

// S-225, S-257
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_any_size_pass_both_ways_in_bounded_memory() {
    const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];
    let length = variable("VESTIBULE_BODY_MIB").unwrap_or(MIB) * 1024 * 1024 + 7;
    let time = ManualClock::starting_at(Clock::system().now().wall);
    let idp = issuer::honest(&time).entra().run();
    let apps = [app(VERSIONS[0]).await, app(VERSIONS[1]).await];
    let hosts = ["one.example", "two.example"];
    let open = "allow = \"signed-in\"\n[[public]]\npath = \"/open\"\n";
    let built = files::at(&time)
        .route("one", hosts[0], open, &apps[0])
        .route(
            "two",
            hosts[1],
            &format!("{open}[upstream]\nprotocol = \"http2\""),
            &apps[1],
        )
        .entra(&idp)
        .main("[log]\naccess = \"off\"\n[limits]\npublic_body_bytes = \"100GiB\"")
        .variable("RUST_LOG", "warn");
    let process = process::serve(built).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, process.built().port()));
    let before = process.resident();
    for (of_app, app) in apps.into_iter().enumerate() {
        for (method, framing) in [
            ("GET", "sized"),
            ("GET", "unsized"),
            ("PUT", "sized"),
            ("PUT", "unsized"),
        ] {
            let stream = TcpStream::connect(app).await.unwrap();
            let asked = request(method, &format!("http://{app}/open"), length, framing);
            let direct = verdict(stream, VERSIONS[of_app], asked).await;
            assert!(direct.contains(&format!("Ok({length})")), "{direct}");
            for (version, alpn) in VERSIONS.into_iter().zip([Alpn::Http1, Alpn::H2]) {
                let raw = raw_tls(address, hosts[of_app], process.built().pki());
                let raw = raw.offering(alpn, process.built().pki());
                let url = process.built().url(hosts[of_app], "/open");
                let asked = request(method, &url, length, framing);
                let through = verdict(raw.connect().await.unwrap(), version, asked).await;
                let what = format!("{method} {framing} {version:?} to {:?}", VERSIONS[of_app]);
                assert_eq!(through, direct, "{what}");
                let growth = process.resident().saturating_sub(before);
                assert!(growth < GROWTH, "{what}: {growth} bytes more");
            }
        }
    }
    let growth = process.resident().saturating_sub(before);
    println!("{length} bytes each way: {growth} bytes of memory more");
}
