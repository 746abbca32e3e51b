//! One file per route: which address is whose, who may come in, and what the app is told.
//!
//! Types only; matching is `gateway/routes.rs`, judging is `gateway/authorize.rs`, rendering is
//! `upstream/identity_header.rs`.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{bearer::Bearer, finding::Place};
use crate::identity::{ProviderName, RouteId};

/// One route, resolved.
#[derive(Clone, Debug)]
pub struct Route {
    /// The file's stem, unless `id` says otherwise.
    pub id: RouteId,
    /// What people read on our pages; the id unless `title` says otherwise.
    pub title: String,
    /// The public address.
    pub from: From,
    /// Where the app is.
    pub to: UpstreamAddress,
    /// Whose word counts here.
    pub provider: ProviderName,
    /// Any of these lets in.
    pub allow: Allow,
    /// Any of these keeps out, whatever `allow` says.
    pub deny: Rules,
    /// Whether guests of the tenant may come in.
    pub guests: Guests,
    /// What is open without sign-in and gets no identity.
    pub public: Vec<PublicRule>,
    /// Which access tokens let programs in.
    pub bearer: Option<Bearer>,
    /// Whose pages may open a WebSocket here, beside its own.
    pub origins: Vec<AllowedOrigin>,
    /// What a page view without a session gets.
    pub browser: BrowserAnswer,
    /// What the app is told about the person.
    pub identity: IdentityRules,
    /// How the app is spoken to.
    pub upstream: UpstreamRules,
    /// Whom to ask, for our pages.
    pub help: Help,
    /// Where `from` was written, for findings about the route.
    pub place: Place,
}

/// Host (with port) of an address, in the one form that is compared: lower case, port always there.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Authority {
    /// Lower-case host name, IPv4 address, or IPv6 address in brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

impl Authority {
    /// As it stands in a URL of scheme `https`: without the port if that is 443.
    #[must_use]
    pub fn in_https_url(&self) -> String {
        if self.port == 443 {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The public address of a route; the scheme is always `https`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct From {
    /// Host and port people type.
    pub authority: Authority,
    /// Empty for the whole host, else `/app` without a trailing slash.
    pub prefix: String,
}

/// Where an app is; this version speaks plain HTTP to it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UpstreamAddress {
    /// Name in lower case, or address.
    pub host: String,
    /// 1 to 65535; 80 unless written.
    pub port: u16,
}

/// `allow`: who may come in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Allow {
    /// Members of the configured tenants, or whoever a private provider vouches for.
    SignedIn,
    /// Whoever one of these names.
    Any(Rules),
}

/// Rules that name people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// App roles, exact.
    pub roles: Vec<String>,
    /// Groups, exact; Entra object ids in lower case, aliases already resolved.
    pub groups: Vec<String>,
    /// User names as the app is told them, or object ids; in ASCII lower case.
    pub users: Vec<String>,
    /// Domains of verified addresses, in lower case.
    pub domains: Vec<String>,
}

/// Whether guests of the tenant may come in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Guests {
    /// As anybody else, by the rules.
    Allow,
    /// Not at all (the default).
    #[default]
    Refuse,
}

/// A part of the app that is open to everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicRule {
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; every method if absent; GET includes HEAD.
    pub methods: Option<Vec<Method>>,
}

/// A whole path, or everything below one; case-sensitive, without query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathPattern {
    /// Everything that begins with this; ends in `/`, which is part of it.
    Below(String),
    /// This path alone.
    Exact(String),
}

/// Whose pages may open a WebSocket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AllowedOrigin {
    /// Those of this origin, as browsers write it.
    Exact(String),
    /// Clients that are no browsers, and send no `Origin`.
    None,
}

impl AllowedOrigin {
    /// The origin, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Exact(origin) => Some(origin),
            Self::None => None,
        }
    }
}

/// What a page view without a session gets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum BrowserAnswer {
    /// The sign-in page in place, with status 401; keeps the fragment.
    Page,
    /// 302 to the provider (the default).
    #[default]
    Redirect,
    /// 401, as any other client.
    #[serde(rename = "401")]
    Unauthorized,
}

/// What the app is told about the person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityRules {
    /// The first of these claims that is there is the user name.
    pub user_claims: Vec<String>,
    /// Which groups `{groups}` holds.
    pub groups: GroupsSent,
    /// The headers, in the order they are sent.
    pub headers: Vec<IdentityHeader>,
}

/// Which groups `{groups}` holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum GroupsSent {
    /// Every group of the token.
    All,
    /// The groups this route's rules name (the default). Maps the value in the token to what the
    /// operator wrote (an alias, or the same).
    #[default]
    Named,
}

/// One header the app gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value with `{placeholders}`.
    pub template: Template,
    /// What stands between the values of a list.
    pub join: String,
    /// How anything but plain ASCII is written.
    pub encoding: Encoding,
}

/// A header value with placeholders, parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(pub Vec<Segment>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Segment {
    /// Text as it stands; visible ASCII and blanks.
    Literal(String),
    /// A value of the person.
    Value(Placeholder),
}

/// What can be told about a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Placeholder {
    /// The address, if it is one.
    Email,
    /// The groups of [`GroupsSent`].
    Groups,
    /// The display name.
    Name,
    /// The `preferred_username` claim.
    PreferredUsername,
    /// The app roles.
    Roles,
    /// The user name that `user_claims` choose.
    User,
}

/// How a value is written into a header.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// UTF-8 with everything outside 0x20-0x7E, `%`, edge blanks, and in lists the separator,
    /// percent-encoded (the default).
    #[default]
    Percent,
}

/// How the app is spoken to.
#[derive(Clone, Debug)]
pub struct UpstreamRules {
    /// Which version of HTTP is spoken.
    pub protocol: UpstreamProtocol,
    /// What `Host` it sees.
    pub host: HostHeader,
    /// From the request's end to the head of the answer.
    pub timeout: Duration,
    /// What is taken from the beginning of paths: empty, or the prefix of `from` or one above it.
    pub strip_prefix: String,
    /// What is put at the beginning of paths then: empty, or `/back` without a trailing slash.
    pub add_prefix: String,
}

/// Which version of HTTP an app is spoken to in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (the default).
    #[default]
    Http1,
    /// HTTP/2, from the first byte on; what gRPC needs.
    Http2,
}

/// What `Host` the app sees.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum HostHeader {
    /// This, always.
    Literal(String),
    /// What the client sent, in canonical form (the default).
    #[default]
    Preserve,
    /// The host of `to`.
    Upstream,
}

/// How long an app may take to the head of its answer unless configured.
pub const DEFAULT_UPSTREAM_TIMEOUT: Duration = Duration::from_mins(1);

/// Whom to ask.
#[derive(Clone, Debug, Default)]
pub struct Help {
    /// An address or a place; printed as text.
    pub contact: Option<String>,
    /// A sentence or two; printed as text.
    pub text: Option<String>,
}

/// Names of groups that the operator gave to object ids: `[aliases.groups]`.
pub type GroupAliases = BTreeMap<String, String>;
