//! The provider's metadata: where it lies, and what must be true of it before anything in it counts.
//!
//! Read by ourselves because Entra ID's template issuers are no issuers to the library. Fetches
//! nothing; a document that fails one check is refused as a whole.
//! Source: OpenID Connect Discovery 1.0 3 and 4, RFC 8414, RFC 9207 3, `entra.md` 1.

use std::time::Duration;

use openidconnect::AuthType;
use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

use super::{
    address::is_loopback_host,
    entra,
    http_client::{AnswerError, HttpError},
    jwks::KeySetError,
};
use crate::config::provider::{ProviderKind, Tenants};

/// Most bytes of a metadata document or a key set.
pub(super) const MAX_DOCUMENT_BYTES: usize = 1024 * 1024;

/// Metadata and keys that are fetched this often although nothing asks for them.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_hours(1);

/// Parameters that are ours alone, in either of the URLs that we send browsers to.
const OWN_PARAMETERS: &[&str] = &[
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "id_token_hint",
    "login_hint",
    "logout_hint",
    "nonce",
    "post_logout_redirect_uri",
    "prompt",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Metadata or keys that could not be fetched, or must not be used.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The metadata is not JSON, or another status came.
    #[error("failed to read the metadata of the provider")]
    Answer(#[source] AnswerError),
    /// The provider offers no way of client authentication that we have.
    #[error("the metadata offers neither client_secret_basic nor client_secret_post")]
    ClientAuthentication,
    /// An endpoint is missing, or its URL is none that may be used.
    #[error("the metadata names no usable {0}")]
    Endpoint(String),
    /// The metadata was not fetched.
    #[error("failed to fetch the metadata of the provider")]
    Fetch(#[source] HttpError),
    /// The issuer is another than the configured one, or than before.
    #[error("the metadata is that of another issuer: expected {expected:?}, found {found:?}")]
    Issuer {
        /// What was configured, or seen before.
        expected: String,
        /// What the metadata says, cut short.
        found: String,
    },
    /// The key set is not JSON, or another status came.
    #[error("failed to read the signing keys of the provider")]
    KeyAnswer(#[source] AnswerError),
    /// The key set was not fetched.
    #[error("failed to fetch the signing keys of the provider")]
    KeyFetch(#[source] HttpError),
    /// The key set has nothing usable.
    #[error("failed to use the signing keys of the provider")]
    KeySet(#[source] KeySetError),
    /// A member has another type than its definition says.
    #[error("the metadata member {0:?} has an unexpected type")]
    Member(&'static str),
}

/// Whose tokens and answers count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum IssuerRule {
    /// Entra ID: the metadata's issuer, perhaps a template, and the tenants that count.
    Entra { issuer: String, tenants: Tenants },
    /// This issuer, byte for byte.
    Exact(String),
}

impl IssuerRule {
    /// The issuer as the metadata spells it.
    pub(super) fn metadata_issuer(&self) -> &str {
        match self {
            Self::Entra { issuer, .. } | Self::Exact(issuer) => issuer,
        }
    }

    /// Whether the `iss` parameter of an authorization answer is this provider's (RFC 9207 2.4).
    pub(super) fn admits_answer(&self, issuer: &str) -> bool {
        match self {
            Self::Entra {
                issuer: own,
                tenants,
            } => entra::tenant_of(own, issuer)
                .is_some_and(|tenant| entra::is_admitted(tenants, tenant)),
            Self::Exact(own) => own == issuer,
        }
    }
}

/// What is used of a metadata document that passed every check.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) issuer: IssuerRule,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) end_session_endpoint: Option<Url>,
    /// Whether every authorization answer carries `iss`.
    pub(super) answers_name_issuer: bool,
    pub(super) client_authentication: AuthType,
    /// Entra ID's name for the cloud whose keys these are.
    pub(super) cloud: Option<String>,
}

/// The configured issuer, as the URL that decides what its endpoints may be.
pub(super) fn issuer_url(kind: &ProviderKind) -> Option<Url> {
    let url = match kind {
        ProviderKind::Entra { authority, .. } => authority.clone(),
        ProviderKind::Oidc { issuer } => Url::parse(issuer).ok()?,
    };
    let plain = url.query().is_none() && is_usable(&url, &url);
    plain.then_some(url)
}

/// Where the metadata lies.
pub(super) fn metadata_url(kind: &ProviderKind) -> Option<Url> {
    let issuer = match kind {
        ProviderKind::Entra { authority, .. } => authority.as_str(),
        ProviderKind::Oidc { issuer } => issuer,
    };
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{issuer}/.well-known/openid-configuration")).ok()
}

impl Metadata {
    /// Checks a document against what is configured.
    pub(super) fn check(
        kind: &ProviderKind,
        document: &Map<String, Value>,
    ) -> Result<Self, DiscoveryError> {
        let issuer = check_issuer(kind, text(document, "issuer")?)?;
        let base = issuer_url(kind).ok_or_else(|| DiscoveryError::Endpoint("issuer".to_owned()))?;
        for (name, value) in document {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                check_endpoint(&base, name, value)?;
            }
        }
        let authorization_endpoint = required(&base, document, "authorization_endpoint")?;
        let end_session_endpoint = optional(&base, document, "end_session_endpoint")?;
        for (name, url) in [
            ("authorization_endpoint", Some(&authorization_endpoint)),
            ("end_session_endpoint", end_session_endpoint.as_ref()),
        ] {
            if url.is_some_and(claims_own_parameter) {
                return Err(DiscoveryError::Endpoint(name.to_owned()));
            }
        }
        Ok(Self {
            token_endpoint: required(&base, document, "token_endpoint")?,
            jwks_uri: required(&base, document, "jwks_uri")?,
            answers_name_issuer: boolean(
                document,
                "authorization_response_iss_parameter_supported",
            )?,
            client_authentication: client_authentication(kind, document)?,
            cloud: optional_text(document, "cloud_instance_name")?,
            issuer,
            authorization_endpoint,
            end_session_endpoint,
        })
    }

    /// The same for an issuer whose keys are all that is wanted: that of a build service, say, which
    /// signs nobody in. Nothing is ever sent to the endpoints that the address of the keys stands in
    /// for.
    pub(super) fn check_for_keys(
        kind: &ProviderKind,
        mut document: Map<String, Value>,
    ) -> Result<Self, DiscoveryError> {
        if let Some(keys) = document.get("jwks_uri").cloned() {
            for name in ["authorization_endpoint", "token_endpoint"] {
                document.insert(name.to_owned(), keys.clone());
            }
        }
        document.remove("token_endpoint_auth_methods_supported");
        Self::check(kind, &document)
    }
}

fn check_issuer(kind: &ProviderKind, found: &str) -> Result<IssuerRule, DiscoveryError> {
    let (expected, rule) = match kind {
        ProviderKind::Entra { authority, tenants } => (
            authority.as_str(),
            entra::admits_metadata_issuer(authority, tenants, found).then(|| IssuerRule::Entra {
                issuer: found.to_owned(),
                tenants: tenants.clone(),
            }),
        ),
        ProviderKind::Oidc { issuer } => (
            issuer.as_str(),
            (issuer == found).then(|| IssuerRule::Exact(issuer.clone())),
        ),
    };
    rule.ok_or_else(|| foreign_issuer(expected, found))
}

/// Names both issuers; the found one is somebody else's text, so it is quoted and cut.
pub(super) fn foreign_issuer(expected: &str, found: &str) -> DiscoveryError {
    DiscoveryError::Issuer {
        expected: expected.to_owned(),
        found: found.chars().take(200).collect(),
    }
}

fn check_endpoint(base: &Url, name: &str, value: &Value) -> Result<Option<Url>, DiscoveryError> {
    let unusable = || DiscoveryError::Endpoint(name.chars().take(64).collect());
    match value {
        Value::Null => Ok(None),
        Value::String(text) => match Url::parse(text) {
            Ok(url) if is_usable(base, &url) => Ok(Some(url)),
            _ => Err(unusable()),
        },
        _ => Err(unusable()),
    }
}

/// `https` everywhere; plain `http` only where both the issuer and the endpoint are on this host.
fn is_usable(base: &Url, url: &Url) -> bool {
    let local = |url: &Url| url.scheme() == "http" && is_loopback_host(url);
    let scheme = url.scheme() == "https" || (local(base) && local(url));
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    scheme && plain && url.host().is_some() && url.port() != Some(0)
}

fn claims_own_parameter(url: &Url) -> bool {
    url.query_pairs()
        .any(|(name, _)| OWN_PARAMETERS.contains(&name.as_ref()))
}

fn required(
    base: &Url,
    document: &Map<String, Value>,
    name: &'static str,
) -> Result<Url, DiscoveryError> {
    optional(base, document, name)?.ok_or_else(|| DiscoveryError::Endpoint(name.to_owned()))
}

fn optional(
    base: &Url,
    document: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Url>, DiscoveryError> {
    document
        .get(name)
        .map_or(Ok(None), |value| check_endpoint(base, name, value))
}

fn text<'a>(
    document: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, DiscoveryError> {
    document
        .get(name)
        .and_then(Value::as_str)
        .ok_or(DiscoveryError::Member(name))
}

fn optional_text(
    document: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<String>, DiscoveryError> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(document, name).map(|text| Some(text.to_owned())),
    }
}

fn boolean(document: &Map<String, Value>, name: &'static str) -> Result<bool, DiscoveryError> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(DiscoveryError::Member(name)),
    }
}

fn client_authentication(
    kind: &ProviderKind,
    document: &Map<String, Value>,
) -> Result<AuthType, DiscoveryError> {
    const NAME: &str = "token_endpoint_auth_methods_supported";
    // Entra ID lists both; its documentation and every client of Microsoft's use the body.
    if matches!(kind, ProviderKind::Entra { .. }) {
        return Ok(AuthType::RequestBody);
    }
    let methods = match document.get(NAME) {
        None | Some(Value::Null) => return Ok(AuthType::BasicAuth),
        Some(Value::Array(methods)) => methods,
        Some(_) => return Err(DiscoveryError::Member(NAME)),
    };
    let offers = |method: &str| methods.iter().any(|offered| offered == method);
    if offers("client_secret_basic") {
        Ok(AuthType::BasicAuth)
    } else if offers("client_secret_post") {
        Ok(AuthType::RequestBody)
    } else {
        Err(DiscoveryError::ClientAuthentication)
    }
}
