//! One file per route: which address is whose, who may come in, and what the app is told.
//!
//! Types only; matching is `gateway/routes.rs`, judging is `gateway/authorize.rs`, rendering is
//! `upstream/identity_header.rs`.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

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
    pub to: UpstreamAddresses,
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

/// One place where an app can be reached.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum UpstreamAddress {
    /// In plain HTTP; port 80 unless written.
    Http(Authority),
    /// Over TLS; port 443 unless written.
    Https(Authority),
    /// In plain HTTP over a socket of this machine; absolute.
    Unix(PathBuf),
}

impl UpstreamAddress {
    /// The scheme, as it is written.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Https(_) => "https",
            Self::Unix(_) => "unix",
        }
    }

    /// Host and port, if it has them.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        match self {
            Self::Http(authority) | Self::Https(authority) => Some(authority),
            Self::Unix(_) => None,
        }
    }

    /// What `Host` says to an app that wants to see its own address.
    #[must_use]
    pub fn in_host_header(&self) -> String {
        let (authority, usual_port) = match self {
            Self::Http(authority) => (authority, 80),
            Self::Https(authority) => (authority, 443),
            Self::Unix(_) => return "localhost".to_owned(),
        };
        if authority.port == usual_port {
            authority.host.clone()
        } else {
            format!("{}:{}", authority.host, authority.port)
        }
    }
}

/// As it stands in `to`, always with its port.
impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme();
        match self {
            Self::Http(Authority { host, port }) | Self::Https(Authority { host, port }) => {
                write!(f, "{scheme}://{host}:{port}")
            }
            Self::Unix(path) => write!(f, "{scheme}:{}", path.display()),
        }
    }
}

/// Where an app is: at one address, or at several that are one as good as the other, all of one
/// scheme and none of them twice.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct UpstreamAddresses {
    first: UpstreamAddress,
    others: Vec<UpstreamAddress>,
}

/// Most addresses of one app.
pub const MAX_UPSTREAM_ADDRESSES: usize = 64;

impl UpstreamAddresses {
    /// These, in this order; `None` if there is none.
    #[must_use]
    pub fn new(addresses: Vec<UpstreamAddress>) -> Option<Self> {
        let mut addresses = addresses.into_iter();
        let first = addresses.next()?;
        let others = addresses.collect();
        Some(Self { first, others })
    }

    /// The first one.
    #[must_use]
    pub fn first(&self) -> &UpstreamAddress {
        &self.first
    }

    /// All of them, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = &UpstreamAddress> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// All of them in one order, however they were written: the same for the same app.
    #[must_use]
    pub fn sorted(&self) -> Vec<UpstreamAddress> {
        let mut sorted: Vec<_> = self.iter().cloned().collect();
        sorted.sort();
        sorted
    }
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
    /// Whom to trust and who to be where TLS is spoken.
    pub tls: UpstreamTls,
    /// How its addresses are checked beside what requests show; not at all if absent.
    pub health: Option<HealthCheck>,
}

/// Which version of HTTP an app is spoken to in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamProtocol {
    /// HTTP/1.1 (the default).
    #[default]
    Http1,
    /// HTTP/2, from the first byte on; what gRPC needs.
    Http2,
}

/// Whom to trust and who to be where TLS is spoken to an app. The files are read elsewhere.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct UpstreamTls {
    /// The only roots to trust; those of the system if absent.
    pub ca_file: Option<PathBuf>,
    /// Who vestibule is to the app.
    pub client: Option<ClientCertificate>,
    /// The name to ask for and to verify, if it is not the host of `to`.
    pub server_name: Option<String>,
}

/// The files of a certificate that is shown to an app.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ClientCertificate {
    /// The chain, vestibule's own certificate first.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// `[upstream.health]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    /// What is asked for: path, perhaps with a query.
    pub path: String,
    /// From the end of one check to the next.
    pub every: Duration,
    /// How long one may take, from connecting to the head of the answer.
    pub timeout: Duration,
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

/// How long it is from one check of an address to the next unless configured.
pub const DEFAULT_HEALTH_INTERVAL: Duration = Duration::from_secs(10);

/// How long a check of an address may take unless configured.
pub const DEFAULT_HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

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
