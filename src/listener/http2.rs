//! An HTTP/2 connection: its time limits, its floods, and its end (RFC 9113).
//!
//! Knows nothing of what a request means.

use std::{convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http2, service::Service};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    activity::{Activity, Counted},
    connection::{Terms, report},
    shutdown::Phase,
};

/// How long a client may take over the answer to a question whether it is still there.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves a connection that speaks HTTP/2.
pub(super) async fn serve_http2<I, S, B>(io: I, service: S, address: SocketAddr, terms: &Terms)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let Terms {
        limits, shutdown, ..
    } = terms;
    let header_list = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(header_list)
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(PING_TIMEOUT);
    let activity = Activity::default();
    let service = Counted {
        service,
        activity: activity.clone(),
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = first_request_is_late(&activity, limits.head_timeout) => return,
        () = idles(&activity, limits.idle) => {
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
async fn first_request_is_late(activity: &Activity, limit: Duration) {
    tokio::time::sleep(limit).await;
    if !activity.seen().is_untouched() {
        std::future::pending::<()>().await;
    }
}

/// Ends when a connection has had nothing under way for the idle time, twice that at the most.
async fn idles(activity: &Activity, limit: Duration) {
    let mut earlier = activity.seen();
    loop {
        tokio::time::sleep(limit).await;
        let now = activity.seen();
        if now.is_idle_since(earlier) {
            return;
        }
        earlier = now;
    }
}
