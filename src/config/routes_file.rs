//! Resolves a route file against what the main file says.
//!
//! What cannot be resolved is a finding and no route; nothing is guessed.

use std::path::{Path, PathBuf};

use http::HeaderName;

use super::{
    bearer,
    document::Document,
    finding::Finding,
    near::nearest,
    path_prefix,
    provider::{Provider, ProviderKind},
    provider_addresses::is_guid,
    providers::Providers,
    route::{
        Allow, Encoding, From as PublicAddress, GroupAliases, GroupsSent, Help, IdentityHeader,
        IdentityRules, PublicRule, Route, Rules, UpstreamAddresses,
    },
    schema::{RawAllow, RawGroupsSent, RawHeader, RawIdentity, RawPublic, RawRoute, RawRules},
    spans::KeyPath,
    template::IdentityHeaderName,
    upstreams::{self, Upstreams},
    values::{Fault, Format as _, Of, Word, shown},
};
use crate::identity::{ProviderName, RouteId};

/// What the main file gives to every route.
pub(super) struct Surroundings<'a> {
    pub(super) main: &'a Document,
    pub(super) providers: &'a Providers,
    pub(super) aliases: &'a GroupAliases,
    /// Where relative paths begin.
    pub(super) base: &'a Path,
}

/// A route file after resolution, so far as it got.
pub(super) struct Candidate {
    pub(super) document: Document,
    pub(super) id: RouteId,
    pub(super) from: Option<PublicAddress>,
    pub(super) to: Option<UpstreamAddresses>,
    /// Those that take part beside its own.
    pub(super) files: Vec<PathBuf>,
    pub(super) provider: Option<ProviderName>,
    /// Whether everybody the provider vouches for may come in.
    pub(super) is_for_all_signed_in: bool,
    pub(super) headers: Vec<HeaderName>,
    /// There if nothing is wrong with the file.
    pub(super) route: Option<Route>,
    /// The app is promised to be reachable only through here.
    pub(super) is_only_through_vestibule: bool,
}

/// Resolves one route.
pub(super) fn resolve(
    document: Document,
    id: RouteId,
    raw: RawRoute,
    around: &Surroundings<'_>,
    findings: &mut Vec<Finding>,
) -> Candidate {
    let one = One {
        document: &document,
        around,
    };
    let from = raw.from.as_ref().map(|from| from.0.clone());
    let upstreams = Upstreams {
        document: &document,
        base: around.base,
    };
    let to = upstreams.to(raw.to.as_ref(), findings);
    let files = upstreams::files(&raw.upstream, around.base).collect();
    let is_for_all_signed_in = matches!(raw.allow, Some(RawAllow::Word(_)));
    let names = raw.identity.headers.keys();
    let headers = names.filter_map(|name| Some(IdentityHeaderName::parse(name).ok()?.0));
    let headers = headers.collect();
    let provider = one.provider(raw.idp.as_ref().map(|name| name.0.0.as_str()), findings);
    let is_only_through_vestibule = raw.upstream.reachable.is_some();
    let route = one.route(&id, provider.as_ref(), to.as_ref(), raw, findings);
    Candidate {
        document,
        id,
        from,
        to,
        files,
        provider,
        is_for_all_signed_in,
        headers,
        route,
        is_only_through_vestibule,
    }
}

struct One<'a> {
    document: &'a Document,
    around: &'a Surroundings<'a>,
}

impl One<'_> {
    fn route(
        &self,
        id: &RouteId,
        provider: Option<&ProviderName>,
        to: Option<&UpstreamAddresses>,
        raw: RawRoute,
        findings: &mut Vec<Finding>,
    ) -> Option<Route> {
        let resolved = provider.and_then(|name| {
            let mut resolved = self.around.providers.resolved.iter();
            resolved.find(|provider| provider.name == *name)
        });
        let allow = self.allow(raw.allow, resolved, findings);
        let deny = self.rules("deny", raw.deny, resolved, findings);
        let prefix = raw.from.as_ref().map(|from| from.0.prefix.as_str());
        let public = self.public(raw.public, prefix, findings);
        let all = &self.around.providers.resolved;
        let bearer = bearer::resolve(raw.bearer, self.document, resolved, all, findings);
        let identity = identity(raw.identity);
        let upstreams = Upstreams {
            document: self.document,
            base: self.around.base,
        };
        let upstream = upstreams.rules(raw.upstream, to, findings);
        path_prefix::check(&upstream.strip_prefix, prefix, self.document, findings);
        let Of(from) = raw.from?;
        Some(Route {
            id: id.clone(),
            title: raw.title.map_or_else(|| id.0.clone(), |title| title.0.0),
            from,
            to: to?.clone(),
            provider: provider?.clone(),
            allow: allow?,
            deny,
            guests: raw.guests.unwrap_or_default(),
            public,
            bearer,
            origins: raw.origins.into_iter().map(|Of(origin)| origin).collect(),
            browser: raw.unauthenticated.browser.unwrap_or_default(),
            identity,
            upstream,
            help: Help {
                contact: raw.help.contact.map(|contact| contact.0.0),
                text: raw.help.text.map(|text| text.0.0),
            },
            place: self.document.place(&KeyPath::of(&["from"])),
        })
    }

    fn provider(&self, written: Option<&str>, findings: &mut Vec<Finding>) -> Option<ProviderName> {
        let path = KeyPath::of(&["idp"]);
        let names = &self.around.providers.names;
        let known = || names.iter().map(|name| name.0.as_str());
        match (written, names.as_slice()) {
            // Said once, of the main file.
            (_, []) => None,
            (Some(written), _) => {
                let found = names.iter().find(|name| name.0 == written).cloned();
                if found.is_none() {
                    let remedy = match nearest(written, known()) {
                        Some(nearest) => format!("did you mean \"{nearest}\"?"),
                        None => {
                            format!("configured are: {}", known().collect::<Vec<_>>().join(", "))
                        }
                    };
                    let message = format!("there is no provider \"{written}\"");
                    findings.push(self.document.error(&path, Fault::new(message, remedy)));
                }
                found
            }
            (None, [only]) => Some(only.clone()).filter(|_| !self.document.is_faulty(&path)),
            (None, _) => {
                if !self.document.is_faulty(&path) {
                    let remedy =
                        format!("write one of: {}", known().collect::<Vec<_>>().join(", "));
                    let message = "several providers are configured, and the route names none";
                    findings.push(self.document.error(&path, Fault::new(message, remedy)));
                }
                None
            }
        }
    }

    fn allow(
        &self,
        raw: Option<RawAllow>,
        provider: Option<&Provider>,
        findings: &mut Vec<Finding>,
    ) -> Option<Allow> {
        match raw? {
            RawAllow::Word(_) => Some(Allow::SignedIn),
            RawAllow::Rules(rules) => {
                let path = KeyPath::of(&["allow"]);
                let written = [&rules.roles, &rules.groups, &rules.users].map(Vec::len);
                if written == [0; 3] && rules.domains.is_empty() {
                    if !self.document.is_faulty(&path) {
                        let message = "the table names nobody, so nobody could come in";
                        let remedy =
                            "write allow = \"signed-in\", or roles, groups, users or domains";
                        findings.push(self.document.error(&path, Fault::new(message, remedy)));
                    }
                    return None;
                }
                let rules = self.rules("allow", rules, provider, findings);
                Some(Allow::Any(rules))
            }
        }
    }

    fn rules(
        &self,
        key: &str,
        raw: RawRules,
        provider: Option<&Provider>,
        findings: &mut Vec<Finding>,
    ) -> Rules {
        let path = KeyPath::of(&[key, "groups"]);
        let groups = raw.groups.into_iter().enumerate();
        let groups = groups.filter_map(|(index, Of(group))| {
            self.group(&group.0, provider)
                .map_err(|fault| findings.push(self.document.error(&path.index(index), fault)))
                .ok()
        });
        Rules {
            groups: groups.collect(),
            roles: raw.roles.into_iter().map(|Of(role)| role.0).collect(),
            users: raw
                .users
                .into_iter()
                .map(|Of(user)| user.0.to_ascii_lowercase())
                .collect(),
            domains: raw.domains.into_iter().map(|Of(domain)| domain.0).collect(),
        }
    }

    /// The group as the provider's tokens name it.
    fn group(&self, written: &str, provider: Option<&Provider>) -> Result<String, Fault> {
        let aliases = self.around.aliases;
        let meant = aliases.get(written).map_or(written, String::as_str);
        let is_entra =
            provider.is_some_and(|provider| matches!(provider.kind, ProviderKind::Entra { .. }));
        if !is_entra {
            return Ok(meant.to_owned());
        }
        if is_guid(meant) {
            return Ok(meant.to_ascii_lowercase());
        }
        // What it is an alias for is a finding about the main file.
        let place = KeyPath::of(&["aliases", "groups"]).key(written);
        if aliases.contains_key(written) || self.around.main.is_faulty(&place) {
            let place = self.around.main.place(&place);
            return Err(Fault::new(
                format!("the alias \"{written}\" ({place}) does not stand for an object id"),
                "write the object id of the group there, a GUID",
            ));
        }
        let near = nearest(written, aliases.keys().map(String::as_str));
        let remedy = match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                "write the group's object id, or give it this name in [aliases.groups]".to_owned()
            }
        };
        let message = format!("{} is neither an object id nor an alias", shown(written));
        Err(Fault::new(message, remedy))
    }

    fn public(
        &self,
        raw: Vec<RawPublic>,
        prefix: Option<&str>,
        findings: &mut Vec<Finding>,
    ) -> Vec<PublicRule> {
        let mut rules = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let Some(Of(path)) = raw.path else { continue };
            let at = KeyPath::of(&["public"]).index(index).key("path");
            if let Some(prefix) = prefix {
                let fault = if !path.lies_under(prefix) {
                    Some(Fault::new(
                        format!(
                            "{} lies outside of the route, which begins at {prefix}",
                            path.written()
                        ),
                        "write the whole path, with the one of `from`",
                    ))
                } else if path.opens_all_of(prefix) {
                    Some(Fault::new(
                        format!("{} would open the whole route", path.written()),
                        "name what shall be open: \"/health\", \"/static/*\"",
                    ))
                } else {
                    None
                };
                findings.extend(fault.map(|fault| self.document.error(&at, fault)));
            }
            let methods = raw.methods;
            rules.push(PublicRule {
                path,
                methods: methods.map(|list| list.into_iter().map(|Of(method)| method).collect()),
            });
        }
        rules
    }
}

fn identity(raw: RawIdentity) -> IdentityRules {
    let words = |words: Vec<Of<Word>>| words.into_iter().map(|Of(word)| word.0).collect();
    IdentityRules {
        user_claims: raw.user_claims.map_or_else(Vec::new, words),
        groups: match raw.groups {
            Some(RawGroupsSent::All) => GroupsSent::All,
            Some(RawGroupsSent::Named) | None => GroupsSent::Named,
        },
        headers: raw
            .headers
            .into_iter()
            .filter_map(|(name, raw)| header(IdentityHeaderName::parse(&name).ok()?.0, raw))
            .collect(),
    }
}

fn header(name: HeaderName, raw: RawHeader) -> Option<IdentityHeader> {
    let (template, join, encoding) = match raw {
        RawHeader::Value(template) => (template, None, Encoding::default()),
        RawHeader::Table(table) => (table.value?, table.join, table.encoding.unwrap_or_default()),
    };
    Some(IdentityHeader {
        name,
        template: template.0.0,
        join: join.map_or_else(|| ",".to_owned(), |join| join.0.0),
        encoding,
    })
}
