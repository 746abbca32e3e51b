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

use http::{
    HeaderValue,
    header::InvalidHeaderValue,
    uri::{Authority, Scheme},
};
use thiserror::Error;

use super::{
    answer_addresses::AppAddresses,
    answer_headers::AnswerRemoval,
    app::{App, Reached},
    apps::{Apps, RouteTls},
    health::Checkup,
    path_mapping::PathMapping,
    removal::FoldedNames,
};
use crate::{
    config::route::{HostHeader, Route, UpstreamAddress, UpstreamProtocol},
    identity::RouteId,
};

/// A route that cannot be served; the configuration's checks come before.
#[derive(Debug, Error)]
pub enum TargetError {
    /// One of its names cannot stand in a header.
    #[error("the public address or `host` of route `{route}` cannot stand in a header")]
    Header {
        /// Which route.
        route: RouteId,
        /// What is wrong with the name.
        #[source]
        source: InvalidHeaderValue,
    },
    /// There is no way to its app.
    #[error("the app of route `{0}` has no address that can be used")]
    NoWay(RouteId),
}

/// One route, as the way to its app needs it.
#[derive(Clone, Debug)]
pub struct RouteTarget {
    /// Where the app is.
    pub(super) app: Arc<App>,
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
    /// What is spoken there, as a URI has it.
    pub(super) scheme: Scheme,
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
    /// Prepares a route, whose app is one of `apps`; `tls` is how it is spoken to there.
    ///
    /// # Errors
    /// Returns [`TargetError`] if its public address or its `host` holds a byte that no header can, or
    /// there is no way to its app.
    pub fn new(route: &Route, apps: &Apps, tls: &RouteTls) -> Result<Self, TargetError> {
        let refused = |source| TargetError::Header {
            route: route.id.clone(),
            source,
        };
        let value = |text: &str| HeaderValue::from_str(text).map_err(refused);
        let public_host = value(&route.from.authority.in_https_url())?;
        let host = match &route.upstream.host {
            HostHeader::Literal(host) => value(host)?,
            HostHeader::Preserve => public_host.clone(),
            HostHeader::Upstream => value(&route.to.first().in_host_header())?,
        };
        let paths = PathMapping::new(&route.upstream.strip_prefix, &route.upstream.add_prefix);
        let stripped = Some(paths.stripped()).filter(|it| !it.is_empty());
        let stripped = stripped.map(value).transpose()?;
        let seen = host.to_str().unwrap_or_default();
        let public = route.from.authority.in_https_url();
        let own: Vec<_> = route
            .to
            .iter()
            .map(UpstreamAddress::in_host_header)
            .collect();
        let own = own.iter().map(String::as_str).chain([seen]);
        let addresses = AppAddresses::new(own, &public, paths);
        let identity = route.identity.headers.iter();
        let identity = FoldedNames::new(identity.map(|it| it.name.as_str().as_bytes()));
        let app = apps.app(route, tls.get(&route.id)).map_err(refused)?;
        let app = app.ok_or_else(|| TargetError::NoWay(route.id.clone()))?;
        Ok(Self {
            app: Arc::new(app),
            head_timeout: route.upstream.timeout,
            protocol: route.upstream.protocol,
            route: route.id.clone(),
            authority: Authority::try_from(host.as_bytes()).ok(),
            scheme: match route.to.first() {
                UpstreamAddress::Https(_) => Scheme::HTTPS,
                UpstreamAddress::Http(_) | UpstreamAddress::Unix(_) => Scheme::HTTP,
            },
            host,
            public_host,
            has_warned: Arc::default(),
            addresses,
            stripped,
            answer_removal: Arc::new(AnswerRemoval::new(identity, !route.from.prefix.is_empty())),
        })
    }

    /// Whether this is the first time that something is worth a warning about this app.
    pub(super) fn warns_first(&self) -> bool {
        !self.has_warned.swap(true, Ordering::Relaxed)
    }

    /// The address at which a request was last, as it is written.
    #[must_use]
    pub fn address(&self, reached: &Reached) -> Option<&str> {
        self.app.address(reached)
    }

    /// The checks of the app's addresses that its route asks for.
    pub fn checkups(&self, route: &Route) -> impl Iterator<Item = Checkup> {
        let rules = route.upstream.health.clone();
        let reaches = rules.is_some().then_some(&self.app.reaches);
        let reaches = reaches.into_iter().flatten();
        reaches
            .zip(std::iter::repeat_with(move || rules.clone()))
            .filter_map(|(reach, rules)| {
                Some(Checkup {
                    way: reach.way.clone(),
                    host: reach.host.as_ref().unwrap_or(&self.host).clone(),
                    standing: Arc::clone(&reach.standing),
                    rules: rules?,
                })
            })
    }
}
