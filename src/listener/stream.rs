//! Serves a connection that is no socket: for tools that hold both of its ends in their hands.
//!
//! Takes the same way as a socket behind its handshake. Never part of a running vestibule.

use std::net::SocketAddr;

use tokio::io::DuplexStream;

use super::{
    connection::{Caller, Terms},
    http1::serve_http1,
    http2::serve_http2,
    lingering::Layered,
    serves::Serves,
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::peer::{Peer, Transport};

/// Serves `io` as a connection from `address` that speaks what `transport` says, with the service
/// that `make` gives for its peer.
pub async fn serve_stream<S: Serves>(
    io: DuplexStream,
    address: SocketAddr,
    transport: Transport,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) {
    let service = make(Peer {
        address,
        unnamed: false,
        server_name: None,
        transport,
    });
    let caller = Caller::at(address);
    match transport {
        Transport::Http1 | Transport::Plain | Transport::BehindFront(_) => {
            serve_http1(io, service, caller, terms).await;
        }
        Transport::Http2 => {
            let io = WriteStall::new(io, WRITE_STALL);
            serve_http2(io, service, caller, terms).await;
        }
    }
}

impl Layered for DuplexStream {
    type Lowest = Self;

    fn lowest(&mut self) -> &mut Self {
        self
    }
}
