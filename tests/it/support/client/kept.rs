//! A connection that is kept: several requests on it, bodies that stream both ways.

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{BoxError, raw_tls::RawTls};
use crate::support::{PATIENCE, pki::Alpn};

/// What a request brings along.
pub(crate) type Sent = BoxBody<Bytes, BoxError>;

/// One connection to a server, open until it is dropped.
pub(crate) struct Kept {
    sender: Sender,
    driving: JoinHandle<hyper::Result<()>>,
}

enum Sender {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

/// A body that a test feeds piece by piece; it breaks off when this is dropped.
pub(crate) struct Feed(mpsc::UnboundedSender<Bytes>);

impl RawTls {
    /// A connection that speaks what this client offers.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is a client of the tests, without limits on purpose"
    )]
    pub(crate) async fn keep(&self, alpn: Alpn) -> Kept {
        let stream = TokioIo::new(self.connect().await.unwrap());
        match alpn {
            Alpn::H2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
                    .await
                    .unwrap();
                Kept {
                    sender: Sender::Http2(sender),
                    driving: tokio::spawn(connection),
                }
            }
            Alpn::Http1 | Alpn::Silent => {
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                Kept {
                    sender: Sender::Http1(sender),
                    driving: tokio::spawn(connection),
                }
            }
        }
    }
}

impl Kept {
    /// Sends a request to a whole URL and waits for the head of the answer.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Sent>,
    ) -> Result<Response<Incoming>, BoxError> {
        let answer = match &mut self.sender {
            Sender::Http1(sender) => {
                timeout(PATIENCE, sender.send_request(in_origin_form(request))).await
            }
            Sender::Http2(sender) => timeout(PATIENCE, sender.send_request(request)).await,
        };
        Ok(answer??)
    }

    /// The status of a GET with these headers; its body is read to the end.
    pub(crate) async fn get(&mut self, url: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.ask(request.body(nothing()).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.into()).unwrap())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

impl Feed {
    /// Whether anybody still takes the body.
    pub(crate) fn send(&self, piece: &'static [u8]) -> bool {
        self.0.send(Bytes::from_static(piece)).is_ok()
    }
}

/// No body.
pub(crate) fn nothing() -> Sent {
    Full::default().map_err(|never| match never {}).boxed()
}

/// A body that goes on until its feed is dropped, and then breaks off.
pub(crate) fn fed() -> (Feed, Sent) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let piece: Result<Frame<Bytes>, BoxError> = match receiver.recv().await {
            Some(piece) => Ok(Frame::data(piece)),
            None => Err("the test broke off".into()),
        };
        Some((piece, receiver))
    });
    (Feed(sender), StreamBody::new(frames).boxed())
}

fn in_origin_form(request: Request<Sent>) -> Request<Sent> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().unwrap().as_str();
    parts.headers.insert(HOST, authority.parse().unwrap());
    let target = parts.uri.path_and_query().unwrap().clone();
    parts.uri = Uri::from(target);
    Request::from_parts(parts, body)
}
