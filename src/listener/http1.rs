//! An HTTP/1.1 connection: its requests one after the other, its time limits, and its end.
//!
//! Knows nothing of what a request means. Never leaves a request's unread body where the next head is
//! looked for (RFC 9112 9.3).

use std::{convert::Infallible, net::SocketAddr, pin::pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    connection::{Terms, report},
    shutdown::Phase,
};

/// Serves a connection that speaks HTTP/1.1 or 1.0.
pub(super) async fn serve_http1<I, S, B>(io: I, service: S, address: SocketAddr, terms: &Terms)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let Terms {
        limits, shutdown, ..
    } = terms;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes)
        .max_headers(limits.headers)
        .half_close(false);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
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
