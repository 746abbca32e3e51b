//! The sockets of everything that people come through: handed over, or bound.
//!
//! Never lets a process start that nobody could reach, or one that speaks TLS without a certificate.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use super::{inherited::Inherited, prepare::Ready};
use crate::{
    config::plain_address::PlainAddress,
    listener::{PlainSocket, PlainSockets, Sockets},
    telemetry::{Metrics, SharedMetrics},
};

/// The sockets, one of each kind for each data thread.
pub(super) struct FrontSockets {
    pub(super) https: Option<(SocketAddr, Vec<TcpListener>)>,
    pub(super) plain: Option<PlainSockets>,
}

impl FrontSockets {
    /// Those that were handed over; where there is none, an address is bound.
    pub(super) fn open(inherited: &Inherited, ready: &Ready) -> anyhow::Result<Self> {
        let listen = &ready.config.listen;
        let https = sockets(inherited.https.as_ref(), listen.https, listen.workers)?;
        if https.is_some() && ready.certificates.is_empty() {
            anyhow::bail!(
                "a socket for HTTPS was handed over, and there are no certificates: write [listen] \
                 https, so that they are looked for"
            );
        }
        let plain = match (&inherited.plain, &listen.plain) {
            (Some(socket), _) => Some(PlainSockets::shared(socket, listen.workers)?),
            (None, Some(address)) => Some(PlainSockets::bind(address, listen.workers)?),
            (None, None) => None,
        };
        if https.is_none() && plain.is_none() {
            anyhow::bail!(
                "[listen] has neither https nor plain, and no socket for either was handed over by \
                 systemd"
            );
        }
        Ok(Self {
            https: https.map(|it| (it.address(), it.into_listeners())),
            plain,
        })
    }

    /// The address that serves HTTPS.
    pub(super) fn https(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(address, _)| *address)
    }

    /// Where fronts that end TLS are served.
    pub(super) fn plain(&self) -> Option<PlainAddress> {
        self.plain.as_ref().map(|it| it.address().clone())
    }

    /// Metrics that show these listeners before anybody came.
    pub(super) fn expected(&self, metrics: Metrics) -> SharedMetrics {
        if self.https.is_some() {
            metrics.expect_connections("https");
        }
        if self.plain.is_some() {
            metrics.expect_connections("plain");
        }
        Arc::new(metrics)
    }

    /// What each data thread gets.
    pub(super) fn of_threads(
        self,
    ) -> impl Iterator<Item = (Option<TcpListener>, Option<PlainSocket>)> {
        let https = self.https.map(|(_, listeners)| listeners);
        let mut https = https.into_iter().flatten();
        let plain = self.plain.map(PlainSockets::into_sockets);
        let mut plain = plain.into_iter().flatten();
        std::iter::from_fn(move || {
            let sockets = (https.next(), plain.next());
            (sockets.0.is_some() || sockets.1.is_some()).then_some(sockets)
        })
    }
}

/// The socket that was handed over, or one of `address`.
pub(super) fn sockets(
    inherited: Option<&TcpListener>,
    address: Option<SocketAddr>,
    count: usize,
) -> anyhow::Result<Option<Sockets>> {
    Ok(match (inherited, address) {
        (Some(socket), _) => Some(Sockets::shared(socket, count)?),
        (None, Some(address)) => Some(Sockets::bind(address, count)?),
        (None, None) => None,
    })
}
