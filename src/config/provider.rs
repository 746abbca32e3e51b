//! `[entra]` and `[idp.<name>]`: whom to ask who somebody is. Talks to nobody itself.

use std::path::PathBuf;

use openidconnect::core::CoreJwsSigningAlgorithm;
use url::Url;

use crate::{identity::ProviderName, secret::Secret};

/// One identity provider, resolved.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in the configuration.
    pub name: ProviderName,
    /// What it is, and so where its metadata lies and which tenants count.
    pub kind: ProviderKind,
    /// The client id it knows us by.
    pub client_id: String,
    /// The client secret.
    pub client_secret: Secret,
    /// Scopes to ask for; always contains `openid`.
    pub scopes: Vec<String>,
    /// Signature algorithms an ID token may use; never `none`, never HMAC. RS256 by default.
    pub algorithms: Vec<CoreJwsSigningAlgorithm>,
    /// A PEM file of further roots to trust for this provider alone; absolute.
    pub ca_file: Option<PathBuf>,
}

/// What a provider is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProviderKind {
    /// Microsoft Entra ID (`entra.md` 1).
    Entra {
        /// `https://<host>/<tenant>/v2.0`, without a trailing slash.
        authority: Url,
        /// Who may sign in.
        tenants: Tenants,
    },
    /// Any OpenID provider; the issuer exactly as configured, compared byte for byte.
    Oidc {
        /// The issuer identifier.
        issuer: String,
    },
}

/// Whose people count as signed in at Entra ID.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tenants {
    /// The one tenant of the authority: the issuer of its metadata is exact.
    Single,
    /// These tenant ids (lower-case GUIDs) behind a template issuer.
    Listed(Vec<String>),
}
