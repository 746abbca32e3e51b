//! All apps there are, for all threads and over all configurations: what is known of an address stays
//! known as long as its route leads there.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderValue, header::InvalidHeaderValue};

use super::{
    app::{App, Reach},
    connect::Way,
    seats::{AppKey, Seats},
    standing::Standing,
    tls::AppTls,
};
use crate::{
    config::route::{HostHeader, Route, UpstreamAddress, UpstreamTls},
    identity::RouteId,
    telemetry::SharedMetrics,
};

/// How TLS is spoken to the apps behind routes, by the route's id; those without TLS are not there.
pub type RouteTls = HashMap<RouteId, Arc<AppTls>>;

/// All apps there are.
#[derive(Debug)]
pub struct Apps {
    seats: Arc<Seats>,
    metrics: SharedMetrics,
    standings: Mutex<HashMap<Place, Arc<Standing>>>,
}

/// An address as one route sees it.
type Place = (RouteId, UpstreamAddress);

impl Apps {
    /// None yet; they will share `seats`.
    #[must_use]
    pub fn new(seats: Arc<Seats>, metrics: SharedMetrics) -> Self {
        Self {
            seats,
            metrics,
            standings: Mutex::default(),
        }
    }

    /// The seats they share.
    #[must_use]
    pub fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.seats)
    }

    /// The app of a route, which TLS is spoken to in this way, if at all.
    ///
    /// `None` if its addresses need TLS and there is none, or are more than can be told apart: loading
    /// has refused that before.
    ///
    /// # Errors
    /// Returns an error if an address cannot stand in a header.
    pub(super) fn app(
        &self,
        route: &Route,
        tls: Option<&Arc<AppTls>>,
    ) -> Result<Option<App>, InvalidHeaderValue> {
        let key = key(route, tls);
        let is_host_of_each = route.upstream.host == HostHeader::Upstream;
        let mut reaches = Vec::with_capacity(key.addresses.len());
        for address in &key.addresses {
            let Some(way) = Way::to(address, tls) else {
                return Ok(None);
            };
            let host = is_host_of_each.then(|| HeaderValue::from_str(&address.in_host_header()));
            reaches.push(Reach {
                way,
                host: host.transpose()?,
                standing: self.standing(route, address),
            });
        }
        Ok(App::new(self.seats.of(&key), reaches))
    }

    fn standing(&self, route: &Route, address: &UpstreamAddress) -> Arc<Standing> {
        let mut standings = self.standings();
        let standing = standings
            .entry((route.id.clone(), address.clone()))
            .or_insert_with(|| {
                let shown = address.to_string();
                let status = self.metrics.expect_address(&route.id.0, &shown);
                Arc::new(Standing::new(route.id.clone(), shown, status))
            });
        if route.upstream.health.is_none() {
            standing.is_unchecked();
        }
        Arc::clone(standing)
    }

    /// These routes are in force: forgets what is known of all others, and shares the seats anew.
    pub fn keep(&self, routes: &[Route], tls: &RouteTls) {
        let places: HashSet<_> = routes
            .iter()
            .flat_map(|route| route.to.iter().map(|it| (route.id.clone(), it.clone())))
            .collect();
        self.standings().retain(|place, standing| {
            let stays = places.contains(place);
            if !stays {
                let (RouteId(route), _) = place;
                self.metrics.forget_address(route, standing.address());
            }
            stays
        });
        let keys = routes.iter().map(|route| key(route, tls.get(&route.id)));
        self.seats.keep(&keys.collect());
        self.seats.share_among(apps(routes));
    }

    fn standings(&self) -> MutexGuard<'_, HashMap<Place, Arc<Standing>>> {
        self.standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many apps these routes lead to, by where they are and how TLS is spoken to them.
#[must_use]
pub fn apps(routes: &[Route]) -> usize {
    let apps = routes
        .iter()
        .map(|route| (route.to.sorted(), &route.upstream.tls));
    apps.collect::<HashSet<(_, &UpstreamTls)>>().len()
}

fn key(route: &Route, tls: Option<&Arc<AppTls>>) -> AppKey {
    AppKey {
        addresses: route.to.sorted(),
        tls: tls.map(|tls| tls.digest()),
    }
}
