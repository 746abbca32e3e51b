//! Whom a fresh connection is from: what the PROXY header of a trusted front says, or its socket; and
//! how many of the same address there are.
//!
//! Never believes an address but from a front that is named, and never looks for a header in what
//! anybody else sends.

use std::sync::Arc;

use thiserror::Error;

use super::{
    connection::{Caller, Terms},
    per_address::{Counted, PerAddress},
    proxy_protocol::{Heralded, ReceiveError},
};
use crate::{
    clock::Clock,
    config::listener::{Limits, Listen, TrustedProxies},
    telemetry::{Seldom, chain},
};

/// What lies before the entrance of a listener, with TLS or without; all its threads share one.
pub struct Doorstep {
    trusted_proxies: TrustedProxies,
    proxy_protocol: bool,
    per_address: Option<Arc<PerAddress>>,
    /// Whether only fronts come.
    is_of_fronts: bool,
    clock: Clock,
    faulty_front: Seldom,
}

/// What has become known of a connection.
#[derive(Debug)]
pub(super) struct Met {
    /// Whether a trusted front came and did not know for whom.
    pub(super) unnamed: bool,
    /// Its place among the connections of its address, to be kept while it lasts.
    _counted: Option<Counted>,
}

/// Why a connection comes no further.
#[derive(Debug, Error)]
pub(super) enum MeetingError {
    #[error("its address has as many connections as it may")]
    Crowded,
    #[error("failed to learn from a front whom it speaks for")]
    ProxyHeader(#[source] ReceiveError),
}

impl Doorstep {
    /// Fronts are believed as `listen` says, and the connections of an address counted as `limits` do.
    #[must_use]
    pub fn new(listen: &Listen, limits: &Limits, clock: Clock) -> Self {
        Self {
            trusted_proxies: listen.trusted_proxies.clone(),
            proxy_protocol: listen.proxy_protocol,
            per_address: limits.connections_per_address.map(PerAddress::new),
            is_of_fronts: false,
            clock,
            faulty_front: Seldom::default(),
        }
    }

    /// What lies before the entrance of a listener to which only fronts come: their own connections are
    /// not counted, believed or not, but those of the clients that they name.
    pub(super) fn of_fronts(listen: &Listen, limits: &Limits, clock: Clock) -> Self {
        Self {
            is_of_fronts: true,
            ..Self::new(listen, limits, clock)
        }
    }

    /// The same by new rules, with the connections counted that came by these. How many one address
    /// may have stays.
    #[must_use]
    pub fn renewed(&self, listen: &Listen) -> Self {
        Self {
            trusted_proxies: listen.trusted_proxies.clone(),
            proxy_protocol: listen.proxy_protocol,
            per_address: self.per_address.clone(),
            is_of_fronts: self.is_of_fronts,
            clock: self.clock.clone(),
            faulty_front: Seldom::default(),
        }
    }

    /// Learns whom a connection is from, and notes it in `caller`. Waits as long as it takes.
    pub(super) async fn meet(
        &self,
        stream: &mut impl Heralded,
        caller: &mut Caller,
    ) -> Result<Met, MeetingError> {
        let mut unnamed = false;
        if self.proxy_protocol && self.trusted_proxies.contains(caller.address.ip()) {
            let source = stream.header().await.map_err(MeetingError::ProxyHeader)?;
            unnamed = source.is_none();
            if let Some(source) = source {
                caller.front = Some(caller.address);
                caller.address = source;
            }
        }
        // Behind a front that is not named by a client's address, all of its clients would be one.
        let is_front = self.is_of_fronts && caller.front.is_none();
        let counting = self.per_address.as_ref().filter(|_| !is_front);
        let counted = counting
            .filter(|_| !self.trusted_proxies.contains(caller.address.ip()))
            .map(|all| all.count(caller.address.ip()).ok_or(MeetingError::Crowded))
            .transpose()?;
        Ok(Met {
            unnamed,
            _counted: counted,
        })
    }

    /// Says in log and metrics why a connection came no further.
    pub(super) fn report(&self, error: &MeetingError, caller: Caller, terms: &Terms) {
        match error {
            MeetingError::Crowded => terms.metrics.connection_cut("connections_per_address"),
            MeetingError::ProxyHeader(fault) => {
                terms.metrics.connection_cut("proxy_header");
                if self.faulty_front.is_due(self.clock.now().wall) {
                    tracing::warn!(
                        front = %caller.address,
                        error = chain(fault),
                        "a connection of a trusted front was closed: with [listen] proxy_protocol \
                         each begins with a PROXY header; set it up there, or name here only fronts \
                         that send it"
                    );
                }
            }
        }
        let Caller { address, front, .. } = caller;
        let front = front.map(tracing::field::display);
        tracing::debug!(peer = %address, front, error = chain(error), "a connection was not let in");
    }
}
