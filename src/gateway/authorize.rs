//! May this person use this route? The route's rules against what the token said.
//!
//! `deny` wins over everything; nothing that is absent, odd or unknown ever lets anybody in.

use crate::{
    config::route::{Allow, Guests, Route, Rules},
    identity::{Groups, Identity, PersonKey, is_guid},
};

/// The judgement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Let in.
    Allow,
    /// Not let in, and why.
    Forbid(Forbidden),
}

/// Why somebody who is signed in is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Forbidden {
    /// A `deny` rule names the person.
    Denied,
    /// A rule needs the groups, and the token had too many to list them.
    GroupsUnknown,
    /// A guest of the tenant, on a route that does not admit guests.
    Guest,
    /// No `allow` rule names the person.
    NotAllowed,
}

/// Judges a person by a route's rules. `user` is the name the app would be told.
#[must_use]
pub fn judge(route: &Route, identity: &Identity, user: Option<&str>) -> Verdict {
    if let Some(forbidden) = denied(route, identity, user) {
        return Verdict::Forbid(forbidden);
    }
    let hidden = identity.groups() == &Groups::Overage;
    if identity.is_guest() && route.guests == Guests::Refuse {
        return Verdict::Forbid(Forbidden::Guest);
    }
    match &route.allow {
        Allow::SignedIn => Verdict::Allow,
        Allow::Any(rules) if names(rules, identity, user, Strictness::Allow) => Verdict::Allow,
        Allow::Any(rules) if hidden && !rules.groups.is_empty() => {
            Verdict::Forbid(Forbidden::GroupsUnknown)
        }
        Allow::Any(_) => Verdict::Forbid(Forbidden::NotAllowed),
    }
}

/// Judges an app that acts for itself by a route's rules: `allow` and `guests` speak of people, and
/// what lets an app in is its token.
#[must_use]
pub fn judge_app(route: &Route, identity: &Identity, name: &str) -> Verdict {
    denied(route, identity, Some(name)).map_or(Verdict::Allow, Verdict::Forbid)
}

fn denied(route: &Route, identity: &Identity, user: Option<&str>) -> Option<Forbidden> {
    // Whether somebody in too many groups to list is in a denied one cannot be known.
    let hidden = identity.groups() == &Groups::Overage;
    if hidden && !route.deny.groups.is_empty() {
        return Some(Forbidden::GroupsUnknown);
    }
    names(&route.deny, identity, user, Strictness::Deny).then_some(Forbidden::Denied)
}

/// Which way doubt falls.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Strictness {
    Allow,
    Deny,
}

fn names(rules: &Rules, identity: &Identity, user: Option<&str>, strictness: Strictness) -> bool {
    let role = || {
        rules
            .roles
            .iter()
            .any(|role| identity.roles().contains(role))
    };
    let group = || match identity.groups() {
        Groups::Listed(groups) => groups.iter().any(|group| {
            // Object ids are folded on both sides; other group names are compared as they are.
            let folded = is_guid(group).then(|| group.to_ascii_lowercase());
            rules.groups.contains(folded.as_ref().unwrap_or(group))
        }),
        Groups::Overage => false,
    };
    role() || group() || user_is_named(rules, identity, user, strictness) || {
        domain_is_named(rules, identity, strictness)
    }
}

/// `allow` knows the name that the app is told, and the object id. `deny` knows a person under every
/// name of the token: which of them the app is told must not open a way around it.
fn user_is_named(
    rules: &Rules,
    identity: &Identity,
    user: Option<&str>,
    strictness: Strictness,
) -> bool {
    if rules.users.is_empty() {
        return false;
    }
    let object = match identity.person() {
        PersonKey::Entra { object, .. } => Some(object.as_str()),
        PersonKey::Oidc { .. } => None,
    };
    // Letters of other alphabets are not folded: some fold to ASCII ones (`K`, U+212A).
    let named = |name: &str| rules.users.iter().any(|it| it.eq_ignore_ascii_case(name));
    if user.is_some_and(named) || object.is_some_and(named) {
        return true;
    }
    let folded = |name: String| {
        rules
            .users
            .iter()
            .any(|it| it.to_lowercase() == name.to_lowercase())
    };
    strictness == Strictness::Deny
        && user
            .map(str::to_owned)
            .into_iter()
            .chain(identity.email().map(str::to_owned))
            .chain(identity.preferred_username().map(str::to_owned))
            .chain(identity.claim("upn"))
            .any(folded)
}

/// `allow` believes verified addresses only; `deny` takes any address at its word.
fn domain_is_named(rules: &Rules, identity: &Identity, strictness: Strictness) -> bool {
    if rules.domains.is_empty() {
        return false;
    }
    if identity
        .verified_domains()
        .any(|domain| rules.domains.contains(&domain))
    {
        return true;
    }
    strictness == Strictness::Deny
        && [identity.email(), identity.preferred_username()]
            .into_iter()
            .flatten()
            .any(|address| {
                address
                    .rsplit_once('@')
                    .is_some_and(|(_, domain)| rules.domains.contains(&domain.to_ascii_lowercase()))
            })
}
