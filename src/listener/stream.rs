//! Serves a connection that is no socket: for tools that hold both of its ends in their hands.
//!
//! Takes the same way as a socket behind its handshake. Never part of a running vestibule.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::io::DuplexStream;

use super::{
    connection::Terms,
    http1::serve_http1,
    http2::serve_http2,
    lingering::Layered,
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::{
    head_guard::RefuseHead,
    peer::{Peer, Transport},
};

/// Serves `io` as a connection from `address` that speaks what `transport` says, with the service
/// that `make` gives for its peer.
pub async fn serve_stream<S, B>(
    io: DuplexStream,
    address: SocketAddr,
    transport: Transport,
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
    let service = make(Peer {
        address,
        unnamed: false,
        server_name: None,
        transport,
    });
    match transport {
        Transport::Http1 | Transport::Plain => serve_http1(io, service, address, terms).await,
        Transport::Http2 => {
            let io = WriteStall::new(io, WRITE_STALL);
            serve_http2(io, service, address, terms).await;
        }
    }
}

impl Layered for DuplexStream {
    type Lowest = Self;

    fn lowest(&mut self) -> &mut Self {
        self
    }
}
