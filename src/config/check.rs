//! Cross-checks: what is in order by itself and wrong together.
//!
//! Between routes (same `id`, same `from`, one host with two providers), between a route and its
//! provider (`signed-in` where everybody signs in), within a route (header names that fold together,
//! an app in plain HTTP off loopback, an app that is vestibule itself), and between routes and
//! certificates. Reads no file.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    addresses::is_loopback,
    finding::Finding,
    listener::Listen,
    plain_address::PlainAddress,
    provider::{Provider, ProviderKind, Tenants},
    provider_addresses::CONSUMERS_TENANT,
    route::{Authority, Route, UpstreamAddress},
    routes_file::Candidate,
    spans::KeyPath,
    values::{Fault, folded},
};

/// A provider at which everybody on earth can open an account.
const OPEN_ISSUER: &str = "https://accounts.google.com";

/// The hosts of routes that no certificate is for: one finding for each route.
///
/// `covers` is asked with the host of `from` in lower case, an IPv6 address in brackets.
#[must_use]
pub fn uncovered_hosts(routes: &[Route], covers: impl Fn(&str) -> bool) -> Vec<Finding> {
    let uncovered = routes
        .iter()
        .filter(|route| !covers(&route.from.authority.host));
    uncovered
        .map(|route| {
            let host = &route.from.authority.host;
            Finding::error(
                route.place.clone(),
                format!("no certificate covers the host {host}"),
                format!("add a certificate for {host} to certs/ or [tls] certificates"),
            )
        })
        .collect()
}

/// What is wrong between routes.
pub(super) fn between_routes(candidates: &[Candidate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut ids = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    let mut providers: BTreeMap<&Authority, &Candidate> = BTreeMap::new();
    for candidate in candidates {
        let error = |key: &str, fault| candidate.document.error(&KeyPath::of(&[key]), fault);
        if let Some(other) = ids.insert(folded(&candidate.id.0), candidate) {
            let other = other.document.place(&KeyPath::of(&["id"]));
            findings.push(error(
                "id",
                Fault::new(
                    format!("another route has the id `{}` ({other})", candidate.id),
                    "give each route its own id; case, `-`, `.` and `_` make no difference",
                ),
            ));
        }
        let Some(from) = &candidate.from else {
            continue;
        };
        if let Some(other) = addresses.insert(from, candidate) {
            let other = other.document.place(&KeyPath::of(&["from"]));
            findings.push(error(
                "from",
                Fault::new(
                    format!("another route has the same address ({other})"),
                    "give each route its own host or path",
                ),
            ));
        }
        let Some(provider) = &candidate.provider else {
            continue;
        };
        let first = providers.entry(&from.authority).or_insert(candidate);
        if first.provider.as_ref() != Some(provider) {
            let (host, id) = (&from.authority.host, &first.id);
            findings.push(error(
                "idp",
                Fault::new(
                    format!("route `{id}` of the same host {host} has another provider"),
                    "a session belongs to one host and one provider: write the same idp for both",
                ),
            ));
        }
    }
    findings
}

/// What is wrong between a route, its provider and the listeners.
pub(super) fn within_route(
    candidate: &Candidate,
    provider: Option<&Provider>,
    listen: &Listen,
) -> Vec<Finding> {
    let document = &candidate.document;
    let mut findings = Vec::new();
    if candidate.is_for_all_signed_in && provider.is_some_and(is_open_to_everyone) {
        let fault = Fault::new(
            "everybody on earth can sign in at this provider, so \"signed-in\" lets everybody in",
            "write [allow] with roles, groups, users or domains",
        );
        findings.push(document.error(&KeyPath::of(&["allow"]), fault));
    }
    let mut names = BTreeMap::new();
    for name in &candidate.headers {
        if let Some(other) = names.insert(folded(name.as_str()), name) {
            let fault = Fault::new(
                format!("an app may take the headers {other} and {name} for one"),
                "give one of them another name; case, `-` and `_` make no difference",
            );
            let path = KeyPath::of(&["identity", "headers"]);
            findings.push(document.error(&path, fault));
        }
    }
    let Some(to) = &candidate.to else {
        return findings;
    };
    let is_plain_across_a_network = |address: &UpstreamAddress| match address {
        UpstreamAddress::Http(authority) => !is_loopback(&authority.host),
        UpstreamAddress::Https(_) | UpstreamAddress::Unix(_) => false,
    };
    if to.iter().any(is_plain_across_a_network) && !candidate.is_only_through_vestibule {
        let fault = Fault::new(
            "the app is spoken to in plain HTTP across a network, where others could read along or \
             reach it without vestibule",
            "speak https:// to it; or if nothing but vestibule can reach it, write \
             upstream.reachable = \"only-through-vestibule\"",
        );
        findings.push(document.error(&KeyPath::of(&["to"]), fault));
    }
    if to.iter().any(|address| is_own(address, listen)) {
        let fault = Fault::new(
            "the app's address is one vestibule itself listens on",
            "write the address of the app",
        );
        findings.push(document.warning(&KeyPath::of(&["to"]), fault));
    }
    findings
}

fn is_open_to_everyone(provider: &Provider) -> bool {
    match &provider.kind {
        ProviderKind::Entra { tenants, .. } => match tenants {
            Tenants::Listed(listed) => listed.iter().any(|tenant| tenant == CONSUMERS_TENANT),
            Tenants::Single => false,
        },
        ProviderKind::Oidc { issuer } => issuer.trim_end_matches('/') == OPEN_ISSUER,
    }
}

fn is_own(to: &UpstreamAddress, listen: &Listen) -> bool {
    let Some(Authority { host, port }) = to.authority() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    let plain = listen.plain.as_ref().and_then(PlainAddress::tcp);
    let own = [listen.https, listen.http, plain];
    own.iter().flatten().any(|own| {
        let same_host = address == Some(own.ip())
            || (is_loopback(host) && (own.ip().is_unspecified() || own.ip().is_loopback()));
        own.port() == *port && same_host
    })
}
