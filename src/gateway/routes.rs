//! The route table: from host and path to the one route that decides.
//!
//! Hosts are compared without regard to ASCII case, paths byte for byte; a prefix ends at a segment
//! border and the longest wins. Nothing here reads a header or knows a person.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::Method;

use super::{house::HouseRules, prefixes::Prefixes};
use crate::{
    config::{
        Config,
        plain_path::{is_plain, loosest_reading, may_restructure},
        provider::ProviderKind,
        route::{Allow, Authority, PathPattern, Route},
    },
    identity::{ProviderName, RouteId},
    oidc::{AccessTokens, RelyingParty},
    telemetry::{Decision, Ended, Metrics, RequestCounter},
    upstream::{
        Apps, Checkup, RemovalList, RouteTarget, RouteTls, UpstreamError, error::BodyError,
    },
};

/// The relying parties, by the name of their provider; and issuers of access tokens alone, by their
/// address, which is the name of no provider.
pub type Providers = HashMap<ProviderName, Arc<RelyingParty>>;

/// All routes of one configuration, and what holds for all of them; replaced whole.
pub struct RouteTable {
    /// Tells tables apart, so that what was judged by one is not believed under another.
    pub(super) generation: u64,
    /// What holds whatever the route.
    pub(super) house: HouseRules,
    /// By host name; the few ports of one name in a list.
    sites: HashMap<String, Vec<Site>>,
    /// What is removed from every request.
    pub(super) removal: RemovalList,
}

/// One host with a port: what its routes have in common.
pub(super) struct Site {
    pub(super) authority: Authority,
    pub(super) relying_party: Arc<RelyingParty>,
    widest: Arc<RouteEntry>,
    routes: Vec<Arc<RouteEntry>>,
    by_prefix: Prefixes<RouteEntry>,
    /// The same by their prefixes as the least particular app would read them.
    by_reading: Prefixes<RouteEntry>,
}

/// A route and what every request of it would otherwise compute again.
pub(super) struct RouteEntry {
    pub(super) route: Route,
    /// Host and port as people type them.
    pub(super) host: String,
    /// The origin of its own pages, as browsers write it.
    pub(super) origin: String,
    /// Its prefix as the least particular app would read it.
    reading: String,
    /// How people call the provider.
    pub(super) provider_title: String,
    pub(super) named_groups: Vec<String>,
    pub(super) target: RouteTarget,
    /// The access tokens it takes.
    pub(super) bearer: Option<AccessTokens>,
    counters: Vec<(Decision, RequestCounter)>,
}

impl RouteTable {
    /// Builds the table of a configuration that was checked; its routes lead to `apps`, and TLS is
    /// spoken there as `tls` says.
    ///
    /// # Errors
    /// Returns the id of a route whose provider is not among `providers`, or whose addresses cannot
    /// be written into a header: both are things that loading has refused before.
    pub fn new(
        config: &Config,
        providers: &Providers,
        (apps, tls): (&Apps, &RouteTls),
        metrics: &Metrics,
    ) -> Result<Self, RouteId> {
        static GENERATION: AtomicU64 = AtomicU64::new(1);
        let mut sites: HashMap<String, Vec<Site>> = HashMap::new();
        let mut by_authority: BTreeMap<&Authority, Vec<Arc<RouteEntry>>> = BTreeMap::new();
        for route in &config.routes {
            let target = RouteTarget::new(route, apps, tls).map_err(|_| route.id.clone())?;
            let entry = RouteEntry::new(config, route, providers, target, metrics)?;
            let entry = Arc::new(entry);
            let routes = by_authority.entry(&route.from.authority).or_default();
            routes.push(entry);
        }
        for (authority, routes) in by_authority {
            let of_host = sites.entry(authority.host.clone()).or_default();
            of_host.extend(Site::new(providers, routes)?);
        }
        Ok(Self {
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            house: HouseRules::of(config),
            sites,
            removal: RemovalList::new(&config.routes),
        })
    }

    /// The id of the route that decides about a path at an authority, if one does.
    #[must_use]
    pub fn route_at(&self, authority: &Authority, path: &str) -> Option<&RouteId> {
        let site = self.site(&authority.host, authority.port)?;
        Some(&site.route(path)?.route.id)
    }

    /// The checks of apps that its routes ask for.
    #[must_use]
    pub fn checkups(&self) -> Vec<Checkup> {
        let sites = self.sites.values().flatten();
        let entries = sites.flat_map(|site| &site.routes);
        entries
            .flat_map(|entry| entry.target.checkups(&entry.route))
            .collect()
    }

    /// The site of a host in lower case, with the port that the request names.
    pub(super) fn site(&self, host: &str, port: u16) -> Option<&Site> {
        self.sites
            .get(host)?
            .iter()
            .find(|site| site.authority.port == port)
    }

    /// The host with the lowest port it is served at, for the listener that redirects to HTTPS.
    pub(super) fn first_authority_of(&self, host: &str) -> Option<&Authority> {
        self.sites
            .get(host)?
            .iter()
            .map(|site| &site.authority)
            .min_by_key(|it| it.port)
    }
}

impl Site {
    /// `None` without routes.
    fn new(providers: &Providers, routes: Vec<Arc<RouteEntry>>) -> Result<Option<Self>, RouteId> {
        let widest = routes.iter().min_by_key(|it| it.route.from.prefix.len());
        let Some(widest) = widest.map(Arc::clone) else {
            return Ok(None);
        };
        let route = &widest.route;
        let relying_party = providers.get(&route.provider).map(Arc::clone);
        let relying_party = relying_party.ok_or_else(|| route.id.clone())?;
        let of_prefix = routes.iter().map(|it| (it.route.from.prefix.as_str(), it));
        let of_reading = routes.iter().map(|it| (it.reading.as_str(), it));
        Ok(Some(Self {
            authority: route.from.authority.clone(),
            relying_party,
            by_prefix: Prefixes::new(of_prefix),
            by_reading: Prefixes::new(of_reading),
            widest,
            routes,
        }))
    }

    /// The route whose prefix is the longest that `path` lies under.
    pub(super) fn route(&self, path: &str) -> Option<&Arc<RouteEntry>> {
        self.by_prefix.over(path).next()
    }

    /// The route with the shortest prefix: it speaks for the host as a whole.
    pub(super) fn widest_route(&self) -> &Arc<RouteEntry> {
        &self.widest
    }

    /// The route with this id.
    pub(super) fn route_by_id(&self, id: &RouteId) -> Option<&Arc<RouteEntry>> {
        self.routes.iter().find(|entry| &entry.route.id == id)
    }

    /// Routes that must let a person in as well, because some app reads the path as one of theirs
    /// (S-043): all of the host if the path could lie elsewhere, else those whose prefix it is under
    /// in its loosest reading. Whether two routes lead to the same app is not asked: one app may have
    /// many addresses.
    pub(super) fn also_judged<'a>(
        &'a self,
        entry: &'a RouteEntry,
        path: &str,
    ) -> impl Iterator<Item = &'a Arc<RouteEntry>> + use<'a> {
        let other = |it: &&Arc<RouteEntry>| it.route.id != entry.route.id;
        let longer =
            |it: &&Arc<RouteEntry>| it.route.from.prefix.len() > entry.route.from.prefix.len();
        // Nothing is collected for nearly every request, and so nothing allocated.
        let judged: Vec<_> = if self.routes.len() == 1 {
            Vec::new()
        } else if may_restructure(path) {
            self.routes.iter().filter(other).collect()
        } else {
            let reading = loosest_reading(path);
            let over = self.by_reading.over(&reading);
            over.filter(longer).filter(other).collect()
        };
        judged.into_iter()
    }

    /// Whether a rule of the operator opens this to everybody, and no other route of the same app
    /// may be meant.
    pub(super) fn is_public(&self, entry: &RouteEntry, method: &Method, path: &str) -> bool {
        entry.opens(method, path) && self.also_judged(entry, path).next().is_none()
    }
}

impl RouteEntry {
    fn new(
        config: &Config,
        route: &Route,
        providers: &Providers,
        target: RouteTarget,
        metrics: &Metrics,
    ) -> Result<Self, RouteId> {
        let kind = config.provider(&route.provider).map(|it| &it.kind);
        let provider_title = match kind {
            Some(ProviderKind::Entra { .. }) => "Microsoft".to_owned(),
            _ => route.provider.0.clone(),
        };
        let mut named_groups = route.deny.groups.clone();
        if let Allow::Any(rules) = &route.allow {
            named_groups.extend(rules.groups.iter().cloned());
        }
        let counters = Decision::ALL
            .into_iter()
            .map(|decision| (decision, metrics.request_counter(&route.id.0, decision)))
            .collect();
        expect_faults(metrics, &route.id.0);
        let host = route.from.authority.in_https_url();
        let bearer = match &route.bearer {
            Some(rules) => {
                let tokens = AccessTokens::new(rules, |name| providers.get(name).cloned());
                Some(tokens.ok_or_else(|| route.id.clone())?)
            }
            None => None,
        };
        Ok(Self {
            route: route.clone(),
            origin: format!("https://{host}"),
            host,
            reading: loosest_reading(&route.from.prefix).into_owned(),
            provider_title,
            named_groups,
            target,
            bearer,
            counters,
        })
    }

    /// Whether a public rule of the route matches.
    fn opens(&self, method: &Method, path: &str) -> bool {
        self.route.public.iter().any(|rule| {
            let opens_path = match &rule.path {
                PathPattern::Below(start) => path.starts_with(start.as_str()),
                PathPattern::Exact(whole) => path == whole,
            };
            let opens_method = rule.methods.as_ref().is_none_or(|methods| {
                methods.contains(method)
                    || (method == Method::HEAD && methods.contains(&Method::GET))
            });
            opens_path && opens_method
        }) && is_plain(path)
    }

    /// Counts a request with its decision.
    pub(super) fn count(&self, decision: Decision) {
        if let Some((_, counter)) = self.counters.iter().find(|(it, _)| *it == decision) {
            counter.count();
        }
    }
}

/// Shows what can go wrong with answers of a route at zero before it does.
fn expect_faults(metrics: &Metrics, route: &str) {
    for word in UpstreamError::UPSTREAM_REASONS {
        metrics.expect_upstream_failure(route, word);
    }
    for word in BodyError::of_app() {
        metrics.expect_upstream_failure(route, word);
    }
    metrics.expect_answer_cut(route, Ended::CLIENT_LEFT.word());
    for word in BodyError::OF_ANSWERS {
        metrics.expect_answer_cut(route, word);
    }
}
