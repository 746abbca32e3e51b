//! One connection: which protocol it speaks, its time limits, and its end.
//!
//! Serves whatever service it is handed. Never lets a stop cut a request short before its grace is
//! over, and never keeps a connection that has nothing under way once a stop has begun.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use super::{
    activity::{Activity, Counted},
    shutdown::{Phase, Shutdown},
    tls::{self, ALPN_H2},
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::peer::{Peer, Transport};

/// How long a client may take over a request's head; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most fields of a head.
const MAX_HEADERS: usize = 100;
/// Largest decoded list of fields over HTTP/2, in bytes as RFC 9113 6.5.2 counts them.
const MAX_HEADER_LIST_BYTES: u32 = 32 * 1024;
/// Most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// How long an HTTP/2 connection may have nothing under way; a client is asked as often whether it is
/// still there, and may take [`PING_TIMEOUT`] over the answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a fresh TCP connection over TLS with the service that `make` gives for its peer.
pub async fn serve_tls<S, B>(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: &TlsAcceptor,
    make: impl FnOnce(Peer) -> S,
    shutdown: &Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let handshake = tokio::select! {
        handshake = tls::handshake(acceptor, stream) => handshake,
        () = shutdown.reached(Phase::Draining) => return,
    };
    let stream = match handshake {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(peer = %address, %error, "failed to complete the TLS handshake");
            return;
        }
    };
    let (_, connection) = stream.get_ref();
    let http2 = connection.alpn_protocol() == Some(ALPN_H2);
    let peer = Peer {
        address,
        server_name: connection.server_name().map(Arc::from),
        transport: if http2 {
            Transport::Http2
        } else {
            Transport::Http1
        },
    };
    let service = make(peer);
    let stream = WriteStall::new(stream, WRITE_STALL);
    if http2 {
        serve_http2(TokioIo::new(stream), service, address, shutdown).await;
    } else {
        serve_http1(TokioIo::new(stream), service, address, shutdown).await;
    }
}

/// Serves a fresh TCP connection without TLS.
pub async fn serve_plain<S, B>(
    stream: TcpStream,
    address: SocketAddr,
    make: impl FnOnce(Peer) -> S,
    shutdown: &Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let service = make(Peer {
        address,
        server_name: None,
        transport: Transport::Plain,
    });
    let stream = WriteStall::new(stream, WRITE_STALL);
    serve_http1(TokioIo::new(stream), service, address, shutdown).await;
}

async fn serve_http1<I, S, B>(io: TokioIo<I>, service: S, address: SocketAddr, shutdown: &Shutdown)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .half_close(false);
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.reached(Phase::Draining) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = shutdown.reached(Phase::Ended) => return,
            }
        }
    };
    report(served, address);
}

async fn serve_http2<I, S, B>(io: TokioIo<I>, service: S, address: SocketAddr, shutdown: &Shutdown)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(IDLE_TIMEOUT)
        .keep_alive_timeout(PING_TIMEOUT);
    let activity = Activity::default();
    let service = Counted {
        service,
        activity: activity.clone(),
    };
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = first_request_is_late(&activity) => return,
        () = idles(&activity) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = tokio::time::sleep(PING_TIMEOUT) => return,
                () = shutdown.reached(Phase::Ended) => return,
            }
        }
        () = shutdown.reached(Phase::Draining) => {
            if activity.seen().is_untouched() {
                return;
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection.as_mut() => served,
                () = shutdown.reached(Phase::Ended) => return,
            }
        }
    };
    report(served, address);
}

/// Ends when a connection has been there for the time of a head and not one request has come; hyper
/// itself waits for the preface for ever.
async fn first_request_is_late(activity: &Activity) {
    tokio::time::sleep(HEAD_TIMEOUT).await;
    if !activity.seen().is_untouched() {
        std::future::pending::<()>().await;
    }
}

/// Ends when a connection has had nothing under way for the idle time, twice that at the most.
async fn idles(activity: &Activity) {
    let mut earlier = activity.seen();
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        let now = activity.seen();
        if now.is_idle_since(earlier) {
            return;
        }
        earlier = now;
    }
}

/// What a client does to its own connection is its own affair: told to those who ask for it.
fn report(served: hyper::Result<()>, address: SocketAddr) {
    if let Err(error) = served {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(peer = %address, %error, cause, "a client's connection ended early");
    }
}
