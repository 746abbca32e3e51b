//! Every kind of answer, asked of an app directly and through vestibule: the same, whichever versions of
//! HTTP are spoken on both sides.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::app::fields;
use crate::support::{
    front::{HOST, front},
    pki::Alpn,
};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// A thousand numbers, so that a range of them is told from any other.
fn content() -> Bytes {
    let lines: Vec<_> = (0..1000).map(|number| format!("{number:04}\n")).collect();
    lines.concat().into()
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

fn with(status: u16, named: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::from(body.into()).boxed());
    *answer.status_mut() = status.try_into().unwrap();
    *answer.headers_mut() = fields(named);
    answer
}

/// Pieces, and fields behind them.
fn piecemeal(named: &[(&str, &str)], pieces: &[&'static str], behind: &[(&str, &str)]) -> Answer {
    let pieces = pieces
        .iter()
        .map(|it| Frame::data(Bytes::from_static(it.as_bytes())));
    let mut frames: Vec<_> = pieces.map(Ok).collect();
    if !behind.is_empty() {
        frames.push(Ok(Frame::trailers(fields(behind))));
    }
    let mut answer = Response::new(StreamBody::new(stream::iter(frames)).boxed());
    *answer.headers_mut() = fields(named);
    answer
}

async fn answer(request: Request<Incoming>) -> Answer {
    const ETAG: (&str, &str) = ("etag", "\"one\"");
    let is = |name: &str, value: &str| request.headers().get(name).is_some_and(|it| it == value);
    let whole = content();
    match request.uri().path() {
        "/file" if is("if-none-match", "\"one\"") => with(304, &[ETAG], ""),
        "/file" if is("range", "bytes=5-9") && !is("if-range", "\"other\"") => {
            let range = ("content-range", "bytes 5-9/5000");
            with(206, &[ETAG, range], whole.slice(5..10))
        }
        "/file" if is("range", "bytes=0-4,10-14") => {
            let kind = ("content-type", "multipart/byteranges; boundary=b");
            let part = |at: usize| {
                let text = String::from_utf8_lossy(&whole[at..at + 5]).into_owned();
                let end = at + 4;
                format!("--b\r\nContent-Range: bytes {at}-{end}/5000\r\n\r\n{text}\r\n")
            };
            with(
                206,
                &[ETAG, kind],
                format!("{}{}--b--\r\n", part(0), part(10)),
            )
        }
        "/file" if is("range", "bytes=9000-") => {
            with(416, &[("content-range", "bytes */5000")], "")
        }
        // Over HTTP/2 hyper would send whatever body there is.
        "/file" if request.method() == "HEAD" => with(200, &[ETAG, ("content-length", "5000")], ""),
        "/file" => with(200, &[ETAG], whole),
        "/events" => {
            let kind = ("content-type", "text/event-stream");
            piecemeal(&[kind], &["data: 1\n\n", "data: 2\n\n"], &[])
        }
        "/pieces" => piecemeal(&[], &["one", "two", "three"], &[]),
        "/summed" => {
            let names = ("trailer", "x-sum, server-timing");
            let behind = [("x-sum", "9"), ("server-timing", "db;dur=53")];
            piecemeal(&[names], &["one", "two"], &behind)
        }
        "/nothing" => with(204, &[], ""),
        "/reset" => with(205, &[("content-length", "0")], ""),
        "/moved" => with(302, &[("location", "/elsewhere")], "there"),
        "/wrong" => with(418, &[("x-why", "teapot")], "short and stout"),
        "/broken" => with(503, &[("retry-after", "3")], "later"),
        "/early" => with(413, &[], "too much"),
        "/links" => {
            let links = [("link", "</a>; rel=preload"), ("link", "</b>; rel=next")];
            with(200, &links, "linked")
        }
        _ => {
            let method = request.method().to_string();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            with(200, &[("x-method", &method)], body)
        }
    }
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

/// What an answer says that is the app's to say.
#[derive(Debug, PartialEq)]
struct Verdict {
    status: u16,
    fields: Vec<(String, String)>,
    body: Bytes,
    behind: Vec<(String, String)>,
}

impl Verdict {
    async fn of(answer: Response<Incoming>) -> Self {
        /// The others are of the connection, or ours.
        const KEPT: &[&str] = &[
            "content-length",
            "content-range",
            "content-type",
            "etag",
            "link",
            "location",
            "retry-after",
            "trailer",
            "x-method",
            "x-why",
        ];
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap();
        let list = |fields: &HeaderMap| {
            let fields = fields.iter();
            let mut list: Vec<_> = fields
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect();
            list.sort();
            list
        };
        let behind = body.trailers().map(list).unwrap_or_default();
        let body = body.to_bytes();
        let mut fields = list(&head.headers);
        fields.retain(|(name, value)| {
            // The length of what has come is how it was framed.
            let is_framing = name == "content-length" && *value == body.len().to_string();
            KEPT.contains(&name.as_str()) && !is_framing
        });
        Self {
            status: head.status.as_u16(),
            fields,
            body,
            behind,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is a client of the tests, without limits on purpose"
)]
async fn verdict(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    mut request: Request<Full<Bytes>>,
) -> Verdict {
    let io = TokioIo::new(io);
    if version == Version::HTTP_2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        return Verdict::of(answer.unwrap()).await;
    }
    let (host, target) = (request.uri().authority(), request.uri().path_and_query());
    let host = host.unwrap().as_str().parse().unwrap();
    *request.uri_mut() = Uri::from(target.unwrap().clone());
    request.headers_mut().insert("host", host);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    Verdict::of(answer.unwrap()).await
}

/// Method, path, fields and body of a request.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const TABLE: &[Row] = &[
    ("GET", "/file", &[], ""),
    ("HEAD", "/file", &[], ""),
    ("GET", "/file", &[("if-none-match", "\"one\"")], ""),
    ("GET", "/file", &[("range", "bytes=5-9")], ""),
    (
        "GET",
        "/file",
        &[("range", "bytes=5-9"), ("if-range", "\"one\"")],
        "",
    ),
    (
        "GET",
        "/file",
        &[("range", "bytes=5-9"), ("if-range", "\"other\"")],
        "",
    ),
    ("GET", "/file", &[("range", "bytes=0-4,10-14")], ""),
    ("GET", "/file", &[("range", "bytes=9000-")], ""),
    ("GET", "/events", &[], ""),
    ("GET", "/pieces", &[], ""),
    ("GET", "/summed", &[("te", "trailers")], ""),
    ("GET", "/nothing", &[], ""),
    ("GET", "/reset", &[], ""),
    ("GET", "/moved", &[], ""),
    ("GET", "/wrong", &[], ""),
    ("GET", "/broken", &[], ""),
    ("GET", "/links", &[], ""),
    ("POST", "/early", &[], "abc"),
    ("POST", "/echo", &[], "abc"),
    ("POST", "/echo", &[], ""),
    ("POST", "/echo", &[("expect", "100-continue")], "abc"),
    ("PUT", "/echo", &[], "abc"),
    ("PATCH", "/echo", &[], "abc"),
    ("DELETE", "/echo", &[], ""),
    ("DELETE", "/echo", &[], "abc"),
    ("OPTIONS", "/echo", &[], ""),
    ("QUERY", "/echo", &[], "abc"),
    ("PROPFIND", "/echo", &[("depth", "1")], "<x/>"),
];

fn path_of((_, path, ..): &Row) -> &'static str {
    path
}

fn request(url: &str, row: &Row) -> Request<Full<Bytes>> {
    let (method, path, named, body) = row;
    let mut request = Request::builder()
        .method(*method)
        .uri(format!("{url}{path}"));
    *request.headers_mut().unwrap() = fields(named);
    request.body(Full::from(*body)).unwrap()
}

// S-225
#[tokio::test]
async fn an_answer_is_the_same_with_vestibule_between() {
    let apps = [app(VERSIONS[0]).await, app(VERSIONS[1]).await];
    let open = "allow = \"signed-in\"\n";
    let front = front(|it| {
        it.route("one", HOST, open, &apps[0]).route(
            "two",
            "two.example",
            &format!("{open}{}", super::HTTP2),
            &apps[1],
        )
    });
    for ((app, host), of_app) in apps.into_iter().zip([HOST, "two.example"]).zip(VERSIONS) {
        let session = front.session(host).await;
        // Over HTTP/1.1 no app is asked for trailers; whether it sends any is up to it.
        let asks = |row: &&Row| of_app == Version::HTTP_2 || path_of(row) != "/summed";
        for row in TABLE.iter().filter(asks) {
            let stream = TcpStream::connect(app).await.unwrap();
            let direct = verdict(stream, of_app, request(&format!("http://{app}"), row)).await;
            for (version, alpn) in VERSIONS.into_iter().zip([Alpn::Http1, Alpn::H2]) {
                let raw = front.vestibule.raw(host);
                let raw = raw.offering(alpn, front.vestibule.pki());
                let mut asked = request(&front.vestibule.url(host, ""), row);
                asked
                    .headers_mut()
                    .insert("cookie", session.parse().unwrap());
                let through = verdict(raw.connect().await.unwrap(), version, asked).await;
                assert_eq!(through, direct, "{row:?} over {version:?} to {of_app:?}");
            }
        }
    }
    assert_eq!(front.upstream_failures(), 0);
}

// S-225
#[tokio::test]
async fn an_answer_that_ends_with_its_connection_passes_whole() {
    let (address, _) = super::app::listen(async |mut stream, _| {
        let mut read = [0; 4096];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut read).await;
        let text = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end";
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let front = crate::support::front::wiki(&address, "");
    let session = front.session(HOST).await;
    for (version, alpn) in VERSIONS.into_iter().zip([Alpn::Http1, Alpn::H2]) {
        let raw = front.vestibule.raw(HOST);
        let raw = raw.offering(alpn, front.vestibule.pki());
        let row: Row = ("GET", "/", &[], "");
        let mut asked = request(&front.vestibule.url(HOST, ""), &row);
        asked
            .headers_mut()
            .insert("cookie", session.parse().unwrap());
        let through = verdict(raw.connect().await.unwrap(), version, asked).await;
        assert_eq!(
            (through.status, &*through.body),
            (200, &b"until the end"[..])
        );
    }
}
