//! The route table: from host and path to the one route that decides.
//!
//! Hosts are compared without regard to ASCII case, paths byte for byte; a prefix ends at a segment
//! border and the longest wins. Nothing here reads a header or knows a person.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::Method;

use super::house::HouseRules;
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
    /// The longest prefix first.
    routes: Vec<Arc<RouteEntry>>,
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
        for route in &config.routes {
            let target = RouteTarget::new(route, apps, tls).map_err(|_| route.id.clone())?;
            let entry = RouteEntry::new(config, route, providers, target, metrics)?;
            let entry = Arc::new(entry);
            let of_host = sites.entry(route.from.authority.host.clone()).or_default();
            match of_host
                .iter_mut()
                .find(|site| site.authority == route.from.authority)
            {
                Some(site) => site.add(entry),
                None => of_host.push(Site::new(providers, entry)?),
            }
        }
        for site in sites.values_mut().flatten() {
            site.routes
                .sort_by_key(|entry| std::cmp::Reverse(entry.route.from.prefix.len()));
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
    fn new(providers: &Providers, first: Arc<RouteEntry>) -> Result<Self, RouteId> {
        let route = &first.route;
        let refuse = || route.id.clone();
        let relying_party = providers
            .get(&route.provider)
            .map(Arc::clone)
            .ok_or_else(refuse)?;
        let authority = route.from.authority.clone();
        Ok(Self {
            authority,
            relying_party,
            widest: Arc::clone(&first),
            routes: vec![first],
        })
    }

    fn add(&mut self, entry: Arc<RouteEntry>) {
        if entry.route.from.prefix.len() < self.widest.route.from.prefix.len() {
            self.widest = Arc::clone(&entry);
        }
        self.routes.push(entry);
    }

    /// The route whose prefix is the longest that `path` lies under.
    pub(super) fn route(&self, path: &str) -> Option<&Arc<RouteEntry>> {
        self.routes
            .iter()
            .find(|entry| lies_under(path, &entry.route.from.prefix))
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
        let alone = self.routes.len() == 1;
        let anywhere = !alone && may_restructure(path);
        let reading = if alone {
            String::new()
        } else {
            loosest_reading(path)
        };
        self.routes.iter().filter(move |other| {
            let longer = other.route.from.prefix.len() > entry.route.from.prefix.len();
            other.route.id != entry.route.id
                && (anywhere || (longer && lies_under(&reading, &other.reading)))
        })
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
            reading: loosest_reading(&route.from.prefix),
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

fn lies_under(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_segment_border() {
        // S-042
        for (path, prefix, under) in [
            ("/app", "/app", true),
            ("/app/", "/app", true),
            ("/app/x", "/app", true),
            ("/application", "/app", false),
            ("/app..", "/app", false),
            ("/App", "/app", false),
            ("/x", "", true),
            ("*", "", true),
        ] {
            assert_eq!(lies_under(path, prefix), under, "{path} {prefix}");
        }
    }
}
