//! One connection: its handshake, and which protocol it speaks.
//!
//! Serves whatever service it is handed. Never lets a stop cut a request short before its grace is
//! over, and never keeps a connection that has nothing under way once a stop has begun.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::net::TcpStream;

use super::{
    entrance::{Entered, Entrance},
    http1::serve_http1,
    http2::serve_http2,
    room::Pressure,
    shutdown::Shutdown,
    tls::ALPN_H2,
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::{
    config::listener::Limits,
    head_guard::RefuseHead,
    peer::{Peer, Transport},
    telemetry::SharedMetrics,
};

/// What all connections of a listener have in common.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How much is taken from a client, and how long is waited for one.
    pub limits: Arc<Limits>,
    /// Where connections that a limit ends are counted.
    pub metrics: SharedMetrics,
    /// The stop.
    pub shutdown: Shutdown,
    /// The want of room: a connection that has nothing under way closes when it is asked.
    pub pressure: Pressure,
}

impl Terms {
    /// The same with other limits.
    #[must_use]
    pub fn with(&self, limits: &Arc<Limits>) -> Self {
        Self {
            limits: Arc::clone(limits),
            metrics: Arc::clone(&self.metrics),
            shutdown: self.shutdown.clone(),
            pressure: self.pressure.clone(),
        }
    }
}

/// Serves a fresh TCP connection over TLS with the service that `make` gives for its peer.
pub async fn serve_tls<S, B>(
    stream: TcpStream,
    address: SocketAddr,
    entrance: &Entrance,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + RefuseHead
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let _open = terms.metrics.connection_opened("https");
    let Some(entered) = entrance.enter(stream, address, terms).await else {
        return;
    };
    let Entered {
        stream,
        address,
        unnamed,
        counted: _counted,
    } = entered;
    let (_, connection) = stream.get_ref();
    let http2 = connection.alpn_protocol() == Some(ALPN_H2);
    let peer = Peer {
        address,
        unnamed,
        server_name: connection.server_name().map(Arc::from),
        transport: if http2 {
            Transport::Http2
        } else {
            Transport::Http1
        },
    };
    let service = make(peer);
    if http2 {
        let stream = WriteStall::new(stream, WRITE_STALL);
        serve_http2(stream, service, address, terms).await;
    } else {
        serve_http1(stream, service, address, terms).await;
    }
}

/// Serves a fresh TCP connection without TLS.
pub async fn serve_plain<S, B>(
    stream: TcpStream,
    address: SocketAddr,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + RefuseHead
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static,
{
    let _open = terms.metrics.connection_opened("plain");
    let service = make(Peer {
        address,
        unnamed: false,
        server_name: None,
        transport: Transport::Plain,
    });
    serve_http1(stream, service, address, terms).await;
}

/// What a client does to its own connection is its own affair: told to those who ask for it.
pub(super) fn report(served: hyper::Result<()>, address: SocketAddr) {
    if let Err(error) = served {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::debug!(peer = %address, %error, cause, "a client's connection ended early");
    }
}
