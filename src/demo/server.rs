//! A small HTTP/1.1 server for the demo's parts: collects a request, hands it over, sends the answer.
//!
//! It binds loopback addresses only and must never be what serves people.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the parts answer with.
pub(super) type Answer = Response<Full<Bytes>>;

/// A part's own logic; `None` drops the connection without an answer.
type Handler = dyn Fn(&Request<Bytes>) -> Option<Answer> + Send + Sync;

const MAX_BODY_BYTES: usize = 64 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may take after a stop was asked for.
const GRACE: Duration = Duration::from_secs(1);
/// After an accept error, most likely too many open files, before the next attempt.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A bound address that does not serve yet, for parts that must know their own port first.
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds `listen`; port 0 asks the system for a free one.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the address is not loopback, or why it cannot be bound.
    pub(super) async fn to(listen: SocketAddr) -> io::Result<Self> {
        if !listen.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the demo listens on loopback addresses only, not on {listen}"),
            ));
        }
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that was bound.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts serving.
    pub(super) fn serve(
        self,
        handler: impl Fn(&Request<Bytes>) -> Option<Answer> + Send + Sync + 'static,
    ) -> Server {
        let server = Server {
            address: self.address,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let stop = server.stop.clone();
        let accepting = accept(self.listener, Arc::new(handler), stop, server.tasks.clone());
        server.tasks.spawn(accepting);
        server
    }
}

/// A running server; dropping it stops it without waiting.
pub(super) struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// The address that was bound.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets requests under way end, and waits for that.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    handler: Arc<Handler>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, Arc::clone(&handler), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the demo failed to accept a connection");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, handler: Arc<Handler>, stop: CancellationToken) {
    let service = service_fn(move |request| respond(request, Arc::clone(&handler)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // How a connection ends is the client's business; there is nothing to do about it.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(GRACE, connection).await;
}

async fn respond(request: Request<Incoming>, handler: Arc<Handler>) -> io::Result<Answer> {
    let (head, body) = request.into_parts();
    let collecting = Limited::new(body, MAX_BODY_BYTES).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collecting).await {
        Ok(Ok(collected)) => {
            let request = Request::from_parts(head, collected.to_bytes());
            // An error here makes hyper drop the connection, which is what "down" looks like.
            handler(&request).ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))
        }
        Ok(Err(_)) => Ok(plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The request is too large.",
        )),
        Err(_) => Ok(plain(
            StatusCode::REQUEST_TIMEOUT,
            "The request took too long.",
        )),
    }
}

/// An answer with a body of the given type; never stored, never guessed at.
pub(super) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// A sentence as plain text.
pub(super) fn plain(status: StatusCode, sentence: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_others_can_reach_is_refused() {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let refused = Bound::to(everywhere).await;
        assert_eq!(
            refused.err().map(|error| error.kind()),
            Some(io::ErrorKind::InvalidInput)
        );
    }

    #[tokio::test]
    async fn a_stopped_server_no_longer_accepts() {
        let bound = Bound::to(SocketAddr::from(([127, 0, 0, 1], 0))).await;
        let server = bound.unwrap().serve(|_| None);
        assert!(TcpStream::connect(server.address()).await.is_ok());
        server.stop().await;
        assert!(TcpStream::connect(server.address()).await.is_err());
    }
}
