//! What a fresh TCP connection goes through before it may say anything: the PROXY header of a trusted
//! front, the count of its address, the handshake of TLS; all within one time limit.
//!
//! Never believes an address but from a front that is named, and never looks for a header in what
//! anybody else sends.

use std::{io, net::SocketAddr, sync::Arc};

use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    connection::Terms,
    per_address::{Counted, PerAddress},
    proxy_protocol::{self, ReceiveError},
    shutdown::Phase,
};
use crate::{
    clock::Clock,
    config::listener::{Limits, Listen, TrustedProxies},
    telemetry::{Seldom, chain},
};

/// The way in of a listener; all its threads share one.
pub struct Entrance {
    acceptor: TlsAcceptor,
    trusted_proxies: TrustedProxies,
    proxy_protocol: bool,
    per_address: Option<Arc<PerAddress>>,
    clock: Clock,
    faulty_front: Seldom,
}

/// A connection that has come in.
pub(super) struct Entered {
    /// The connection, after its handshake.
    pub(super) stream: Box<TlsStream<TcpStream>>,
    /// The client's address: the socket's, or what a trusted front said.
    pub(super) address: SocketAddr,
    /// Whether a trusted front came and did not know for whom.
    pub(super) unnamed: bool,
    /// Its place among the connections of its address, to be kept while it lasts.
    pub(super) counted: Option<Counted>,
}

#[derive(Debug, Error)]
enum EntryError {
    #[error("its address has as many connections as it may")]
    Crowded,
    #[error("failed to complete the TLS handshake")]
    Handshake(#[source] io::Error),
    #[error("failed to learn from a front whom it speaks for")]
    ProxyHeader(#[source] ReceiveError),
}

impl Entrance {
    /// The way in to a listener.
    #[must_use]
    pub fn new(acceptor: TlsAcceptor, listen: &Listen, limits: &Limits, clock: Clock) -> Self {
        Self {
            acceptor,
            trusted_proxies: listen.trusted_proxies.clone(),
            proxy_protocol: listen.proxy_protocol,
            per_address: limits.connections_per_address.map(PerAddress::new),
            clock,
            faulty_front: Seldom::default(),
        }
    }

    /// The way in by new rules, with the connections counted that came in by these. How many one
    /// address may have stays.
    #[must_use]
    pub fn renewed(&self, listen: &Listen) -> Self {
        Self {
            acceptor: self.acceptor.clone(),
            trusted_proxies: listen.trusted_proxies.clone(),
            proxy_protocol: listen.proxy_protocol,
            per_address: self.per_address.clone(),
            clock: self.clock.clone(),
            faulty_front: Seldom::default(),
        }
    }

    /// Lets a connection in, or says in log and metrics why not. Also `None` once a stop has begun.
    pub(super) async fn enter(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        terms: &Terms,
    ) -> Option<Entered> {
        let entering = timeout(terms.limits.tls_timeout, self.try_enter(stream, address));
        let entered = tokio::select! {
            entered = entering => entered,
            () = terms.shutdown.reached(Phase::Draining) => return None,
        };
        match entered {
            Ok(Ok(entered)) => Some(entered),
            Ok(Err(error)) => {
                self.report(&error, address, terms);
                None
            }
            Err(_) => {
                terms.metrics.connection_cut("tls_timeout");
                tracing::debug!(peer = %address, "a client took too long over the TLS handshake");
                None
            }
        }
    }

    async fn try_enter(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
    ) -> Result<Entered, EntryError> {
        let mut address = canonical(address);
        let mut unnamed = false;
        if self.proxy_protocol && self.trusted_proxies.contains(address.ip()) {
            let source = proxy_protocol::receive(&mut stream);
            let source = source.await.map_err(EntryError::ProxyHeader)?;
            unnamed = source.is_none();
            address = source.unwrap_or(address);
        }
        // Behind a front that is not named by a client's address, all of its clients would be one.
        let counting = self.per_address.as_ref();
        let counted = counting
            .filter(|_| !self.trusted_proxies.contains(address.ip()))
            .map(|all| all.count(address.ip()).ok_or(EntryError::Crowded))
            .transpose()?;
        let stream = self.acceptor.accept(stream).await;
        let stream = stream.map(Box::new).map_err(EntryError::Handshake)?;
        Ok(Entered {
            stream,
            address,
            unnamed,
            counted,
        })
    }

    fn report(&self, error: &EntryError, address: SocketAddr, terms: &Terms) {
        match error {
            EntryError::Crowded => terms.metrics.connection_cut("connections_per_address"),
            EntryError::Handshake(_) => {}
            EntryError::ProxyHeader(fault) => {
                terms.metrics.connection_cut("proxy_header");
                if self.faulty_front.is_due(self.clock.now().wall) {
                    tracing::warn!(
                        front = %address,
                        error = chain(fault),
                        "a connection of a trusted front was closed: with [listen] proxy_protocol \
                         each begins with a PROXY header; set it up there, or name here only fronts \
                         that send it"
                    );
                }
            }
        }
        tracing::debug!(peer = %address, error = chain(error), "a connection was not let in");
    }
}

/// An IPv4 address as such, also from a socket that takes both.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}
