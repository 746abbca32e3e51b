//! Where a route's requests go and under which names: everything that is the same for all of them.
//!
//! Built once when the routes are; a request clones counted references.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, header::InvalidHeaderValue, uri::Authority};
use thiserror::Error;

use super::{
    answer_addresses::AppAddresses, answer_headers::AnswerRemoval, path_mapping::PathMapping,
    removal::FoldedNames,
};
use crate::{
    config::route::{HostHeader, Route, UpstreamAddress, UpstreamProtocol},
    identity::RouteId,
};

/// A route whose names cannot stand in a header; the configuration's checks come before.
#[derive(Debug, Error)]
#[error("the public address or `host` of route `{route}` cannot stand in a header")]
pub struct TargetError {
    route: RouteId,
    #[source]
    source: InvalidHeaderValue,
}

/// One route, as the way to its app needs it.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    /// Where the app is.
    pub to: UpstreamAddress,
    /// From the request's end to the head of the answer.
    pub head_timeout: Duration,
    /// Which version of HTTP it is spoken to in.
    pub(super) protocol: UpstreamProtocol,
    /// For the log.
    pub(super) route: RouteId,
    /// `Host` as the app sees it.
    pub(super) host: HeaderValue,
    /// The same, as a URI has it.
    pub(super) authority: Option<Authority>,
    /// The public host, with its port unless that is 443.
    pub(super) public_host: HeaderValue,
    pub(super) answer_removal: Arc<AnswerRemoval>,
    /// Whether its operator was told what its app offers in vain; all threads share it.
    has_warned: Arc<AtomicBool>,
    /// What the app and people call it.
    pub(super) addresses: AppAddresses,
    /// What is taken from the beginning of paths, for the app.
    pub(super) stripped: Option<HeaderValue>,
}

impl RouteTarget {
    /// Prepares a route.
    ///
    /// # Errors
    /// Returns [`TargetError`] if its public address or its `host` holds a byte that no header can.
    pub fn new(route: &Route) -> Result<Self, TargetError> {
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|source| TargetError {
                route: route.id.clone(),
                source,
            })
        };
        let public_host = value(&route.from.authority.in_https_url())?;
        let own = authority_of(&route.to);
        let host = match &route.upstream.host {
            HostHeader::Literal(host) => value(host)?,
            HostHeader::Preserve => public_host.clone(),
            HostHeader::Upstream => value(&own)?,
        };
        let paths = PathMapping::new(&route.upstream.strip_prefix, &route.upstream.add_prefix);
        let stripped = Some(paths.stripped()).filter(|it| !it.is_empty());
        let stripped = stripped.map(value).transpose()?;
        let seen = host.to_str().unwrap_or_default();
        let public = route.from.authority.in_https_url();
        let addresses = AppAddresses::new([&*own, seen], &public, paths);
        let identity = route.identity.headers.iter();
        let identity = FoldedNames::new(identity.map(|it| it.name.as_str().as_bytes()));
        Ok(Self {
            to: route.to.clone(),
            head_timeout: route.upstream.timeout,
            protocol: route.upstream.protocol,
            route: route.id.clone(),
            authority: Authority::try_from(host.as_bytes()).ok(),
            host,
            public_host,
            has_warned: Arc::default(),
            addresses,
            stripped,
            answer_removal: Arc::new(AnswerRemoval::new(identity, !route.from.prefix.is_empty())),
        })
    }
}

impl RouteTarget {
    /// Whether this is the first time that something is worth a warning about this app.
    pub(super) fn warns_first(&self) -> bool {
        !self.has_warned.swap(true, Ordering::Relaxed)
    }
}

fn authority_of(to: &UpstreamAddress) -> String {
    let host = if to.host.contains(':') && !to.host.starts_with('[') {
        format!("[{}]", to.host)
    } else {
        to.host.clone()
    };
    if to.port == 80 {
        host
    } else {
        format!("{host}:{}", to.port)
    }
}
