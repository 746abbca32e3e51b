//! One connection: its way in, and which protocol it speaks.
//!
//! Serves whatever service it is handed.

use std::{future::Future, net::SocketAddr, sync::Arc};

use futures_util::FutureExt;
use tokio::{net::TcpStream, time::Instant};

use super::{
    contained::contained,
    deadline::now,
    doorstep::Doorstep,
    entrance::{Entered, Entrance},
    http1::serve_http1,
    http2::serve_http2,
    room::Pressure,
    serves::Serves,
    shutdown::Shutdown,
    tls::ALPN_H2,
    write_stall::{WRITE_STALL, WriteStall},
};
use crate::{
    config::listener::Limits,
    peer::{Peer, Transport},
    telemetry::SharedMetrics,
};

/// What a fault of ours is said to have ended.
pub(super) const CONNECTION: &str = "a connection";

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

/// Who a connection is from, and since when it has been there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The client's address: the socket's, or what a trusted front said.
    pub(super) address: SocketAddr,
    /// The address of the front, if one spoke for the client.
    pub(super) front: Option<SocketAddr>,
    pub(super) arrived: Instant,
}

impl Caller {
    /// One that comes at this moment, from where its socket says.
    pub(super) fn at(address: SocketAddr) -> Self {
        // An IPv4 address is one, also from a socket that takes both.
        let ip = address.ip().to_canonical();
        Self {
            address: SocketAddr::new(ip, address.port()),
            front: None,
            arrived: now(),
        }
    }
}

/// Serves a fresh TCP connection over TLS with the service that `make` gives for its peer.
pub fn serve_tls<S: Serves>(
    stream: TcpStream,
    address: SocketAddr,
    entrance: &Entrance,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) -> impl Future<Output = ()> {
    let serving = over_tls(stream, address, entrance, make, terms);
    contained(CONNECTION, &terms.metrics, serving).map(|_| ())
}

async fn over_tls<S: Serves>(
    stream: TcpStream,
    address: SocketAddr,
    entrance: &Entrance,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) {
    let _open = terms.metrics.connection_opened("https");
    // On the heap, so that a connection has nothing of it once it is in.
    let entering = Box::pin(entrance.enter(stream, Caller::at(address), terms));
    let Some(entered) = entering.await else {
        return;
    };
    let Entered {
        stream,
        caller,
        met,
    } = entered;
    let (_, connection) = stream.get_ref();
    let http2 = connection.alpn_protocol() == Some(ALPN_H2);
    let peer = Peer {
        address: caller.address,
        unnamed: met.unnamed,
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
        // On the heap, so that a connection over HTTP/1.1 has no room for it.
        Box::pin(serve_http2(stream, service, caller, terms)).await;
    } else {
        serve_http1(stream, service, caller, terms).await;
    }
}

/// Serves a fresh TCP connection without TLS to the public: fronts are believed, and the connections
/// of an address counted, as with TLS.
pub fn serve_in_clear<S: Serves>(
    stream: TcpStream,
    address: SocketAddr,
    doorstep: &Doorstep,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) -> impl Future<Output = ()> {
    let serving = async move {
        let _open = terms.metrics.connection_opened("http");
        let entering = doorstep.enter(stream, Caller::at(address), terms);
        if let Some((stream, caller, met)) = entering.await {
            let service = make(in_clear(caller, met.unnamed));
            serve_http1(stream, service, caller, terms).await;
        }
    };
    contained(CONNECTION, &terms.metrics, serving).map(|_| ())
}

/// Serves a fresh TCP connection without TLS to the house itself: no front is known, and no address
/// has fewer connections than another.
pub fn serve_plain<S: Serves>(
    stream: TcpStream,
    address: SocketAddr,
    make: impl FnOnce(Peer) -> S,
    terms: &Terms,
) -> impl Future<Output = ()> {
    let caller = Caller::at(address);
    let service = make(in_clear(caller, false));
    let serving = async move {
        let _open = terms.metrics.connection_opened("ops");
        serve_http1(stream, service, caller, terms).await;
    };
    contained(CONNECTION, &terms.metrics, serving).map(|_| ())
}

fn in_clear(caller: Caller, unnamed: bool) -> Peer {
    Peer {
        address: caller.address,
        unnamed,
        server_name: None,
        transport: Transport::Plain,
    }
}

/// What a client does to its own connection is its own affair: told to those who ask for it.
pub(super) fn report(served: hyper::Result<()>, caller: Caller) {
    if let Err(error) = served {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let Caller { address, front, .. } = caller;
        let front = front.map(tracing::field::display);
        tracing::debug!(peer = %address, front, %error, cause, "a client's connection ended early");
    }
}
