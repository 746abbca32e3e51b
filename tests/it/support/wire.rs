//! One client over HTTP/1.1 and HTTP/2 alike, so that one table of requests can be sent over both.
//!
//! It keeps its connection as long as it may. Over HTTP/1.1 it writes names and values as they are
//! given, byte for byte.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{PATIENCE, client::raw_tls::RawTls};

/// Which protocol a [`Wire`] speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// Both.
pub(crate) const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A request to be; one character of a value is one byte.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: String,
    target: String,
    authority: Option<String>,
    headers: Vec<(String, String)>,
    payload: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    Chunked(Bytes, Vec<(String, String)>),
    None,
    Sized(Bytes),
}

/// A request without a header of its own.
pub(crate) fn ask(method: &str, target: &str) -> Ask {
    Ask {
        method: method.to_owned(),
        target: target.to_owned(),
        authority: None,
        headers: Vec::new(),
        payload: Payload::None,
    }
}

impl Ask {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_all(mut self, fields: &[(String, String)]) -> Self {
        self.headers.extend_from_slice(fields);
        self
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.headers.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The bytes of the body, however they are framed.
    pub(crate) fn payload_bytes(&self) -> Bytes {
        match &self.payload {
            Payload::Chunked(bytes, _) | Payload::Sized(bytes) => bytes.clone(),
            Payload::None => Bytes::new(),
        }
    }

    /// Names this host instead of the one of the connection.
    pub(crate) fn at(mut self, authority: &str) -> Self {
        self.authority = Some(authority.to_owned());
        self
    }

    /// A body whose length is announced.
    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.payload = Payload::Sized(body.into());
        self
    }

    /// A body whose length is not announced, with trailers.
    pub(crate) fn chunked(mut self, body: impl Into<Bytes>, trailers: &[(&str, &str)]) -> Self {
        let trailers = trailers.iter();
        let trailers = trailers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.payload = Payload::Chunked(body.into(), trailers.collect());
        self
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The value of a header that came once; `None` if it did not come.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() <= 1, "{name} came {} times", values.len());
        values.first().map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `reason` of a problem; empty for everything else.
    pub(crate) fn reason(&self) -> String {
        let problem = self.header("content-type") == Some("application/problem+json");
        if !problem {
            return String::new();
        }
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["reason"].as_str().unwrap().to_owned()
    }
}

/// A client of one host over one protocol.
pub(crate) struct Wire {
    raw: RawTls,
    authority: String,
    protocol: Protocol,
    connection: Option<Connection>,
}

type Body = BoxBody<Bytes, Infallible>;

enum Connection {
    Http1(Box<TlsStream<TcpStream>>),
    Http2(SendRequest<Body>),
}

/// A client of `authority` on connections that `raw` opens; they must agree on `protocol`.
pub(crate) fn wire(raw: RawTls, authority: String, protocol: Protocol) -> Wire {
    Wire {
        raw,
        authority,
        protocol,
        connection: None,
    }
}

impl Wire {
    pub(crate) async fn get(&mut self, target: &str) -> Reply {
        self.ask(&ask("GET", target)).await
    }

    /// # Panics
    /// If there is no whole answer.
    pub(crate) async fn ask(&mut self, ask: &Ask) -> Reply {
        let reply = self.try_ask(ask).await;
        reply.unwrap_or_else(|| panic!("no answer to {ask:?} over {:?}", self.protocol))
    }

    /// `None` if the connection or the stream ended before the answer did.
    pub(crate) async fn try_ask(&mut self, ask: &Ask) -> Option<Reply> {
        timeout(PATIENCE, self.exchange(ask))
            .await
            .unwrap_or_else(|_| panic!("nothing came back for {ask:?}"))
    }

    async fn exchange(&mut self, ask: &Ask) -> Option<Reply> {
        let authority = ask.authority.as_ref().unwrap_or(&self.authority).clone();
        match self.connected().await {
            Connection::Http1(mut stream) => {
                // Whoever is refused early may find the connection closed while writing.
                let _ = stream.write_all(&written(ask, &authority)).await;
                let _ = stream.flush().await;
                let (reply, stays) = read_reply(&mut stream, ask.method == "HEAD").await?;
                self.connection = stays.then_some(Connection::Http1(stream));
                Some(reply)
            }
            Connection::Http2(mut sender) => {
                let sending = sender.send_request(request(ask, &authority));
                let (parts, body) = sending.await.ok()?.into_parts();
                let reply = Reply {
                    status: parts.status.as_u16(),
                    headers: parts.headers,
                    body: body.collect().await.ok()?.to_bytes(),
                };
                self.connection = Some(Connection::Http2(sender));
                Some(reply)
            }
        }
    }

    async fn connected(&mut self) -> Connection {
        match self.connection.take() {
            Some(Connection::Http2(sender)) if sender.is_closed() => {}
            Some(connection) => return connection,
            None => {}
        }
        let stream = self.raw.connect().await.unwrap();
        match self.protocol {
            Protocol::Http1 => Connection::Http1(Box::new(stream)),
            Protocol::Http2 => {
                let (sender, connection) = hyper::client::conn::http2::handshake(
                    TokioExecutor::new(),
                    TokioIo::new(stream),
                )
                .await
                .unwrap();
                tokio::spawn(connection);
                Connection::Http2(sender)
            }
        }
    }
}

/// The bytes of a request over HTTP/1.1.
fn written(ask: &Ask, authority: &str) -> Vec<u8> {
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: {authority}\r\n",
        ask.method, ask.target
    );
    for (name, value) in &ask.headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    let mut bytes: Vec<u8> = match &ask.payload {
        Payload::None => text + "\r\n",
        Payload::Sized(body) => format!("{text}Content-Length: {}\r\n\r\n", body.len()),
        Payload::Chunked(..) => format!("{text}Transfer-Encoding: chunked\r\n\r\n"),
    }
    .chars()
    .map(|c| u8::try_from(u32::from(c)).expect("one character is one byte"))
    .collect();
    match &ask.payload {
        Payload::None => {}
        Payload::Sized(body) => bytes.extend_from_slice(body),
        Payload::Chunked(body, trailers) => {
            if !body.is_empty() {
                bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(body);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n");
            for (name, value) in trailers {
                bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

/// The request over HTTP/2.
fn request(ask: &Ask, authority: &str) -> Request<Body> {
    let uri = Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(&*ask.target)
        .build();
    let mut request = Request::builder()
        .method(&*ask.method)
        .uri(uri.unwrap_or_else(|fault| panic!("{}: {fault}", ask.target)));
    for (name, value) in &ask.headers {
        request = request.header(name, header_value(value));
    }
    let body = match &ask.payload {
        Payload::None => Empty::new().boxed(),
        Payload::Sized(body) => Full::new(body.clone()).boxed(),
        Payload::Chunked(body, trailers) => {
            let trailers = trailers.iter().map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                (name, header_value(value))
            });
            let frames = [
                Ok(Frame::data(body.clone())),
                Ok(Frame::trailers(trailers.collect())),
            ];
            StreamBody::new(futures_util::stream::iter(frames)).boxed()
        }
    };
    request.body(body).unwrap()
}

fn header_value(value: &str) -> HeaderValue {
    let bytes: Vec<u8> = value
        .chars()
        .map(|c| u8::try_from(u32::from(c)).expect("one character is one byte"))
        .collect();
    HeaderValue::from_bytes(&bytes).unwrap()
}

/// The next final answer, and whether the connection may go on.
async fn read_reply(stream: &mut TlsStream<TcpStream>, is_head: bool) -> Option<(Reply, bool)> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            more(stream, &mut bytes).await?;
        };
        let head: Vec<u8> = bytes.drain(..end).collect();
        let (status, headers) = read_head(&head);
        if status == 100 {
            continue;
        }
        let length = match headers.get("content-length") {
            Some(length) if !is_head => length.to_str().unwrap().parse().unwrap(),
            _ => 0,
        };
        while bytes.len() < length {
            more(stream, &mut bytes).await?;
        }
        assert_eq!(bytes.len(), length, "surplus behind the answer {headers:?}");
        let stays = headers.get("connection").is_none_or(|it| it != "close");
        let body = bytes.into();
        break Some((
            Reply {
                status,
                headers,
                body,
            },
            stays,
        ));
    }
}

async fn more(stream: &mut TlsStream<TcpStream>, bytes: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

fn read_head(head: &[u8]) -> (u16, HeaderMap) {
    let text: String = head.iter().copied().map(char::from).collect();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap();
    let status = status["HTTP/1.1 ".len()..][..3].parse().unwrap();
    let fields = lines.filter_map(|line| line.split_once(':'));
    let headers = fields.map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, header_value(value.trim_matches([' ', '\t'])))
    });
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.append(name, value);
    }
    (status, all)
}
