//! Apps behind the gateway: one that tells what it was asked, one that speaks raw bytes.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

use super::{lock, server::Server};

/// A request as it arrived: names, values and their order exactly as on the wire, one character per
/// byte.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
    /// The connection it came on, counted from zero.
    pub(crate) connection: usize,
}

impl Seen {
    /// Every value of a header, without regard to the case of its name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let wanted = |(it, _): &&(String, String)| it.eq_ignore_ascii_case(name);
        let values = self.headers.iter().filter(wanted);
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a header that came once; `None` if it did not come.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times", all.len());
        all.first().copied()
    }

    fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "target": self.target,
            "version": self.version,
            "headers": self.headers,
            "body_length": self.body.len(),
            "connection": self.connection,
        })
    }
}

type Answering = dyn Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync;

/// Builds an [`Echo`].
pub(crate) struct EchoBuilder {
    answering: Box<Answering>,
}

/// An HTTP/1 app that answers what it received, as JSON, and remembers it.
pub(crate) fn echo() -> EchoBuilder {
    EchoBuilder {
        answering: Box::new(|seen| {
            let body = serde_json::to_vec(&seen.to_json()).unwrap();
            Response::builder()
                .header("content-type", "application/json")
                .body(Full::new(body.into()))
                .unwrap()
        }),
    }
}

impl EchoBuilder {
    /// Answers otherwise.
    pub(crate) fn answering(
        mut self,
        answering: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.answering = Box::new(answering);
        self
    }

    pub(crate) fn run(self) -> Echo {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answering: Arc<Answering> = self.answering.into();
        let kept = Arc::clone(&requests);
        let server = Server::run(move |stream, number| {
            serve_echo(stream, number, Arc::clone(&kept), Arc::clone(&answering))
        });
        Echo { server, requests }
    }
}

/// A running echo.
pub(crate) struct Echo {
    server: Server,
    requests: Arc<Mutex<Vec<Seen>>>,
}

impl Echo {
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// All requests so far, in the order in which they were complete.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        lock(&self.requests).clone()
    }

    /// The only request there was.
    pub(crate) fn only_request(&self) -> Seen {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests[0].clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.accepted()
    }

    /// Nobody connected, let alone asked anything.
    pub(crate) async fn assert_silent(&self) {
        assert_eq!(self.server.accepted_for_sure().await, 0, "connections");
    }

    /// Refuses connections and ends those there are.
    pub(crate) async fn go_down(&self) {
        self.server.go_down().await;
    }

    pub(crate) fn come_back(&self) {
        self.server.come_back();
    }
}

async fn serve_echo(
    stream: TcpStream,
    connection: usize,
    requests: Arc<Mutex<Vec<Seen>>>,
    answering: Arc<Answering>,
) {
    let wire = Arc::new(Mutex::new(Vec::new()));
    let recorded = Recorded {
        stream,
        wire: Arc::clone(&wire),
    };
    let service = service_fn(move |request| {
        let (wire, requests) = (Arc::clone(&wire), Arc::clone(&requests));
        let answering = Arc::clone(&answering);
        async move {
            // Nobody pipelines towards an upstream: what was read since the last request is the
            // head of this one, and perhaps some of its body.
            let head = head_of(&lock(&wire));
            let seen = read_whole(request, head, connection).await;
            lock(&wire).clear();
            let answer = match &seen {
                Some(seen) => {
                    lock(&requests).push(seen.clone());
                    answering(seen)
                }
                None => broken_off(),
            };
            Ok::<_, Infallible>(answer)
        }
    });
    // A client that goes away is no fault of the app's.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(recorded), service)
        .await;
}

/// `None` if the body broke off: such a request never counts as received.
async fn read_whole(
    request: http::Request<Incoming>,
    head: Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    let body = request.into_body().collect().await.ok()?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let text: String = head.into_iter().map(char::from).collect();
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    Some(Seen {
        method: words.next()?,
        target: words.next()?,
        version: words.next()?,
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect(),
        body: body.to_bytes(),
        trailers,
        connection,
    })
}

fn head_of(wire: &[u8]) -> Vec<u8> {
    let end = wire.windows(4).position(|it| it == b"\r\n\r\n");
    wire[..end.expect("hyper has read a whole head")].to_vec()
}

fn broken_off() -> Response<Full<Bytes>> {
    let answer = Response::builder()
        .status(400)
        .header("connection", "close");
    answer.body(Full::default()).unwrap()
}

/// A stream whose incoming bytes are kept as well.
struct Recorded {
    stream: TcpStream,
    wire: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        lock(&self.wire).extend_from_slice(&buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What a raw app does once its script is at an end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Afterwards {
    /// Closes the connection.
    Close,
    /// Sends back every byte that comes, as behind an upgrade.
    Echo,
    /// Keeps listening and says nothing more.
    #[default]
    Listen,
}

/// Builds a [`Raw`].
#[derive(Default)]
pub(crate) struct RawBuilder {
    script: Vec<Bytes>,
    afterwards: Afterwards,
}

/// An app that keeps the exact bytes of each connection and answers each request head on it with
/// the next bytes of its script.
pub(crate) fn raw() -> RawBuilder {
    RawBuilder::default()
}

impl RawBuilder {
    /// The answer to the next head on a connection. An empty line inside a body counts as the end
    /// of a head too.
    pub(crate) fn answers(mut self, bytes: impl Into<Bytes>) -> Self {
        self.script.push(bytes.into());
        self
    }

    pub(crate) fn then(self, afterwards: Afterwards) -> Self {
        Self { afterwards, ..self }
    }

    pub(crate) fn run(self) -> Raw {
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let (kept, script) = (Arc::clone(&heard), Arc::new(self.script));
        let server = Server::run(move |stream, number| {
            let script = Arc::clone(&script);
            serve_raw(stream, number, Arc::clone(&kept), script, self.afterwards)
        });
        Raw { server, heard }
    }
}

/// A running raw app.
pub(crate) struct Raw {
    server: Server,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Raw {
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The bytes of every connection that sent any, in the order of their beginning.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        let mut heard = lock(&self.heard).clone();
        heard.retain(|bytes| !bytes.is_empty());
        heard
    }

    pub(crate) fn connections(&self) -> usize {
        self.server.accepted()
    }

    /// Nobody connected, and so nobody sent a byte.
    pub(crate) async fn assert_silent(&self) {
        assert_eq!(self.server.accepted_for_sure().await, 0, "connections");
        assert_eq!(self.heard(), Vec::<Vec<u8>>::new());
    }
}

async fn serve_raw(
    mut stream: TcpStream,
    number: usize,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    script: Arc<Vec<Bytes>>,
    afterwards: Afterwards,
) {
    {
        let mut heard = lock(&heard);
        let known = heard.len().max(number + 1);
        heard.resize(known, Vec::new());
    }
    let mut answers = script.iter();
    let (mut said, mut buffer) = (0, vec![0; 16 * 1024]);
    loop {
        let read = match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => &buffer[..read],
        };
        let heads = {
            let mut heard = lock(&heard);
            heard[number].extend_from_slice(read);
            heard[number]
                .windows(4)
                .filter(|it| it == b"\r\n\r\n")
                .count()
        };
        if said == script.len() && matches!(afterwards, Afterwards::Echo) {
            if stream.write_all(read).await.is_err() {
                return;
            }
            continue;
        }
        for answer in answers.by_ref().take(heads.saturating_sub(said)) {
            said += 1;
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
        if said == script.len() && matches!(afterwards, Afterwards::Close) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::eventually;

    async fn say(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn read_to_end(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn the_echo_keeps_names_values_and_order() {
        let echo = echo().run();
        let head = "POST /a?b HTTP/1.1\r\nhOst: x\r\nX_b:  one \r\nA: 1\r\nx_B: \u{e9}\r\n";
        let tail = "Content-Length: 5\r\nConnection: close\r\n\r\nhello";
        let answer = read_to_end(say(echo.address(), &format!("{head}{tail}")).await).await;
        assert!(answer.contains(r#""body_length":5"#), "{answer}");

        let seen = echo.only_request();
        assert_eq!(
            (seen.method.as_str(), seen.target.as_str()),
            ("POST", "/a?b")
        );
        assert_eq!(seen.version, "HTTP/1.1");
        let names: Vec<_> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
        let expected = ["hOst", "X_b", "A", "x_B", "Content-Length", "Connection"];
        assert_eq!(names, expected);
        assert_eq!(seen.all("x_b"), ["one", "\u{c3}\u{a9}"]);
        assert_eq!(seen.header("host"), Some("x"));
        assert_eq!(seen.header("absent"), None);
        assert_eq!((&seen.body[..], seen.connection), (&b"hello"[..], 0));
        assert!(seen.trailers.is_empty());
        assert_eq!(echo.connections(), 1);
    }

    #[tokio::test]
    async fn one_connection_may_ask_twice_and_a_broken_body_never_arrives() {
        let echo = echo()
            .answering(|seen| Response::new(Full::new(seen.target.clone().into())))
            .run();
        let chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nT: 1\r\n\r\n";
        let mut stream = say(echo.address(), &format!("PUT /1 HTTP/1.1\r\n{chunked}")).await;
        eventually("the first request", || echo.requests().len() == 1).await;
        stream
            .write_all(b"GET /2 HTTP/1.1\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(read_to_end(stream).await.ends_with("/2"));
        let targets: Vec<_> = echo.requests().into_iter().map(|it| it.target).collect();
        assert_eq!(targets, ["/1", "/2"]);
        assert_eq!(echo.requests()[0].trailers["t"], "1");

        drop(
            say(
                echo.address(),
                "PUT /3 HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf",
            )
            .await,
        );
        echo.go_down().await;
        echo.come_back();
        assert_eq!(echo.requests().len(), 2);
    }

    #[tokio::test]
    async fn the_raw_app_keeps_bytes_and_follows_its_script() {
        let raw = raw()
            .answers("HTTP/1.1 101 Odd\r\n\r\n")
            .then(Afterwards::Echo)
            .run();
        raw.assert_silent().await;
        let mut stream = say(raw.address(), "GET / HTTP/1.1\r\n").await;
        stream.write_all(b"\r\n").await.unwrap();
        let mut answer = [0; 20];
        stream.read_exact(&mut answer).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut answer[..4]).await.unwrap();
        assert_eq!(&answer[..4], b"ping");
        assert_eq!(raw.heard(), [b"GET / HTTP/1.1\r\n\r\nping"]);

        let closing = super::raw().answers("bye").then(Afterwards::Close).run();
        let answer = read_to_end(say(closing.address(), "x\r\n\r\n").await).await;
        assert_eq!((answer.as_str(), closing.connections()), ("bye", 1));
    }

    #[tokio::test]
    #[should_panic(expected = "connections")]
    async fn a_connection_is_not_silence() {
        let echo = echo().run();
        let _stream = TcpStream::connect(echo.address()).await.unwrap();
        echo.assert_silent().await;
    }
}
