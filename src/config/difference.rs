//! What two configurations differ in, by the keys that an operator writes.
//!
//! Names keys and never a value: some of them are secrets. Where something was written makes no
//! difference, nor do comments. Each structure is taken apart in full, so that a new field cannot be
//! forgotten here.

use super::{
    Config,
    listener::{Limits, Listen},
    provider::Provider,
    route::{Help, IdentityRules, Route, UpstreamRules, UpstreamTls},
    session::SessionLimits,
};
use crate::identity::{ProviderName, RouteId};

/// What a new configuration changes. Certificates are compared by what is in their files, elsewhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Difference {
    /// Routes, by id.
    pub routes: Vec<(RouteId, Change)>,
    /// Providers, by name.
    pub providers: Vec<(ProviderName, Change)>,
    /// Keys of the main file that hold for everything.
    pub settings: Vec<&'static str>,
    /// Keys of the main file that a running process cannot change.
    pub at_next_start: Vec<&'static str>,
}

/// What became of one of several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is new.
    Added,
    /// These keys of it are different.
    Keys(Vec<&'static str>),
    /// It is gone.
    Removed,
}

impl Difference {
    /// What has to change to get from one to the other.
    #[must_use]
    pub fn between(before: &Config, after: &Config) -> Self {
        let (settings, at_next_start) = settings(before, after);
        Self {
            routes: changes(&before.routes, &after.routes, |it| &it.id, route),
            providers: changes(&before.providers, &after.providers, |it| &it.name, provider),
            settings,
            at_next_start,
        }
    }

    /// Whether nothing is different that can be changed in a running process.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.routes.is_empty() && self.providers.is_empty() && self.settings.is_empty()
    }
}

fn changes<T, K: Clone + Ord>(
    before: &[T],
    after: &[T],
    name: impl Fn(&T) -> &K,
    keys: impl Fn(&T, &T) -> Vec<&'static str>,
) -> Vec<(K, Change)> {
    let find = |all: &'_ [T], wanted: &K| all.iter().position(|it| name(it) == wanted);
    let mut found = Vec::new();
    for new in after {
        let change = match find(before, name(new)).and_then(|at| before.get(at)) {
            Some(old) => Change::Keys(keys(old, new)),
            None => Change::Added,
        };
        if change != Change::Keys(Vec::new()) {
            found.push((name(new).clone(), change));
        }
    }
    let gone = before.iter().filter(|old| find(after, name(old)).is_none());
    found.extend(gone.map(|old| (name(old).clone(), Change::Removed)));
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// The keys whose values are not the same.
fn different<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    let different = keys.into_iter().filter(|(_, is_same)| !is_same);
    different.map(|(key, _)| key).collect()
}

fn route(old: &Route, new: &Route) -> Vec<&'static str> {
    let Route {
        id: _,
        title,
        from,
        to,
        provider,
        allow,
        deny,
        guests,
        public,
        bearer,
        origins,
        browser,
        identity:
            IdentityRules {
                user_claims,
                groups,
                headers,
            },
        upstream:
            UpstreamRules {
                protocol,
                host,
                timeout,
                strip_prefix,
                add_prefix,
                tls:
                    UpstreamTls {
                        ca_file,
                        client,
                        server_name,
                    },
                health,
            },
        help: Help { contact, text },
        place: _,
    } = new;
    different([
        ("title", *title == old.title),
        ("from", *from == old.from),
        ("to", *to == old.to),
        ("idp", *provider == old.provider),
        ("allow", *allow == old.allow),
        ("deny", *deny == old.deny),
        ("guests", *guests == old.guests),
        ("public", *public == old.public),
        ("bearer", *bearer == old.bearer),
        ("origins", *origins == old.origins),
        ("unauthenticated.browser", *browser == old.browser),
        (
            "identity.user_claims",
            *user_claims == old.identity.user_claims,
        ),
        ("identity.groups", *groups == old.identity.groups),
        ("identity.headers", *headers == old.identity.headers),
        ("upstream.protocol", *protocol == old.upstream.protocol),
        ("upstream.host", *host == old.upstream.host),
        ("upstream.timeout", *timeout == old.upstream.timeout),
        (
            "upstream.strip_prefix",
            *strip_prefix == old.upstream.strip_prefix,
        ),
        (
            "upstream.add_prefix",
            *add_prefix == old.upstream.add_prefix,
        ),
        ("upstream.ca_file", *ca_file == old.upstream.tls.ca_file),
        (
            "upstream.client_cert_file",
            *client == old.upstream.tls.client,
        ),
        (
            "upstream.server_name",
            *server_name == old.upstream.tls.server_name,
        ),
        ("upstream.health", *health == old.upstream.health),
        ("help.contact", *contact == old.help.contact),
        ("help.text", *text == old.help.text),
    ])
}

fn provider(old: &Provider, new: &Provider) -> Vec<&'static str> {
    let Provider {
        name: _,
        kind,
        client_id,
        client_secret,
        scopes,
        algorithms,
        ca_file,
    } = new;
    let secret_is_same = client_secret.matches(old.client_secret.expose());
    different([
        ("issuer or tenants", *kind == old.kind),
        ("client_id", *client_id == old.client_id),
        ("client_secret", secret_is_same),
        ("scopes", *scopes == old.scopes),
        ("algorithms", *algorithms == old.algorithms),
        ("ca_file", *ca_file == old.ca_file),
    ])
}

/// What changes at once, and what does not.
fn settings(before: &Config, after: &Config) -> (Vec<&'static str>, Vec<&'static str>) {
    let Config {
        listen,
        limits,
        tls: _,
        state_dir,
        session: SessionLimits { max, capacity },
        log,
        ops,
        providers: _,
        routes: _,
    } = after;
    let (mut at_once, mut at_start) = of_listen(&before.listen, listen);
    let (limits_at_once, limits_at_start) = of_limits(&before.limits, limits);
    at_once.extend(limits_at_once);
    at_once.extend(different([("session.max", *max == before.session.max)]));
    at_start.extend(limits_at_start);
    at_start.extend(different([
        ("state.dir", *state_dir == before.state_dir),
        ("session.capacity", *capacity == before.session.capacity),
        ("log.access", *log == before.log),
        ("ops.listen", *ops == before.ops),
    ]));
    (at_once, at_start)
}

fn of_listen(old: &Listen, new: &Listen) -> (Vec<&'static str>, Vec<&'static str>) {
    let Listen {
        https,
        http,
        plain,
        workers,
        grace,
        hsts,
        trusted_proxies,
        proxy_protocol,
    } = new;
    let at_once = different([
        ("listen.hsts", *hsts == old.hsts),
        (
            "listen.trusted_proxies",
            *trusted_proxies == old.trusted_proxies,
        ),
        (
            "listen.proxy_protocol",
            *proxy_protocol == old.proxy_protocol,
        ),
    ]);
    let at_start = different([
        ("listen.https", *https == old.https),
        ("listen.http", *http == old.http),
        ("listen.plain", *plain == old.plain),
        ("listen.workers", *workers == old.workers),
        ("listen.grace", *grace == old.grace),
    ]);
    (at_once, at_start)
}

fn of_limits(old: &Limits, new: &Limits) -> (Vec<&'static str>, Vec<&'static str>) {
    let Limits {
        head_bytes,
        headers,
        target_bytes,
        head_timeout,
        tls_timeout,
        idle,
        body_idle,
        streams,
        connections,
        connections_per_address,
        body_bytes,
        public_body_bytes,
    } = new;
    let at_once = different([
        ("limits.head_bytes", *head_bytes == old.head_bytes),
        ("limits.headers", *headers == old.headers),
        ("limits.target_bytes", *target_bytes == old.target_bytes),
        ("limits.head_timeout", *head_timeout == old.head_timeout),
        ("limits.tls_timeout", *tls_timeout == old.tls_timeout),
        ("limits.idle", *idle == old.idle),
        ("limits.body_idle", *body_idle == old.body_idle),
        ("limits.streams", *streams == old.streams),
        ("limits.body_bytes", *body_bytes == old.body_bytes),
        (
            "limits.public_body_bytes",
            *public_body_bytes == old.public_body_bytes,
        ),
    ]);
    let at_start = different([
        ("limits.connections", *connections == old.connections),
        (
            "limits.connections_per_address",
            *connections_per_address == old.connections_per_address,
        ),
    ]);
    (at_once, at_start)
}
