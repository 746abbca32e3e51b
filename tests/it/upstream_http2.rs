//! Apps that are spoken to in HTTP/2: what they get, what passes back, and whom a bad day of theirs hits.

pub(crate) mod app;
mod connections;
mod grpc;
mod requests;
mod streams;
mod verdicts;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{
    client::{
        BoxError,
        kept::{Sent, nothing},
    },
    front::{Front, HOST},
    pki::Alpn,
};

/// What a route says of such an app.
pub(crate) const HTTP2: &str = "[upstream]\nprotocol = \"http2\"";

/// A client of [`HOST`] with a session and one HTTP/2 connection, all requests of which may be under way
/// at once: they are all on one data thread.
#[derive(Clone)]
pub(crate) struct Client {
    sender: SendRequest<Sent>,
    url: String,
    session: String,
}

/// An answer that has come to its end.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

/// A client of somebody who is signed in.
pub(crate) async fn client(front: &Front) -> Client {
    let session = front.session(HOST).await;
    let raw = front
        .vestibule
        .raw(HOST)
        .offering(Alpn::H2, front.vestibule.pki());
    let io = TokioIo::new(raw.connect().await.unwrap());
    // What is not taken of one answer leaves room for all others.
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(64 * 1024 * 1024)
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    Client {
        sender,
        url: front.vestibule.url(HOST, ""),
        session,
    }
}

impl Client {
    /// A request for `path` with the session.
    pub(crate) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("cookie", &self.session)
    }

    /// The head of the answer.
    pub(crate) async fn begin(
        &mut self,
        request: Request<Sent>,
    ) -> Result<http::Response<Incoming>, hyper::Error> {
        self.sender.send_request(request).await
    }

    /// The answer, if it comes to its end.
    pub(crate) async fn ask(&mut self, request: Request<Sent>) -> Result<Whole, BoxError> {
        whole(self.begin(request).await?).await
    }

    /// # Panics
    /// If there is no whole answer.
    pub(crate) async fn get(&mut self, path: &str) -> Whole {
        let request = self.request("GET", path).body(nothing()).unwrap();
        self.ask(request).await.unwrap()
    }
}

pub(crate) async fn whole(answer: http::Response<Incoming>) -> Result<Whole, BoxError> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?;
    Ok(Whole {
        status: parts.status.as_u16(),
        headers: parts.headers,
        trailers: body.trailers().cloned().unwrap_or_default(),
        body: body.to_bytes(),
    })
}
