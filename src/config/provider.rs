//! `[entra]` and `[idp.<name>]`: whom to ask who somebody is. Talks to nobody itself.

use std::path::PathBuf;

use openidconnect::core::CoreJwsSigningAlgorithm;
use url::Url;

use crate::{
    identity::{ProviderName, Standing},
    secret::{Secret, digest_of},
};

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

impl Provider {
    /// Whose word it is, as whom we ask for it, and whose people count: what a session stands on.
    /// Secrets, scopes, algorithms and roots may change without a session's ending.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let client = self.client_id.as_bytes();
        let digest = match &self.kind {
            ProviderKind::Entra { authority, tenants } => {
                let mut tenants = match tenants {
                    Tenants::Single => Vec::new(),
                    Tenants::Listed(tenants) => tenants.clone(),
                };
                tenants.sort();
                let tenants = tenants.join(" ");
                digest_of(&[
                    b"entra",
                    client,
                    authority.as_str().as_bytes(),
                    tenants.as_bytes(),
                ])
            }
            ProviderKind::Oidc { issuer } => digest_of(&[b"oidc", client, issuer.as_bytes()]),
        };
        Standing::from_bytes(digest)
    }
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

#[cfg(test)]
mod tests {
    use openidconnect::core::CoreJwsSigningAlgorithm;

    use super::*;

    fn entra(tenants: Tenants) -> Provider {
        Provider {
            name: ProviderName("entra".to_owned()),
            kind: ProviderKind::Entra {
                authority: "https://login.example/one/v2.0".parse().unwrap(),
                tenants,
            },
            client_id: "client".to_owned(),
            client_secret: Secret::new("one".to_owned()),
            scopes: vec!["openid".to_owned()],
            algorithms: vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
            ca_file: None,
        }
    }

    #[test]
    fn a_provider_is_the_same_as_long_as_its_word_and_its_people_are() {
        let listed = |ids: &[&str]| {
            entra(Tenants::Listed(
                ids.iter().map(ToString::to_string).collect(),
            ))
        };
        let first = listed(&["a", "b"]).standing();
        let renewed = Provider {
            client_secret: Secret::new("two".to_owned()),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            ..listed(&["b", "a"])
        };
        assert_eq!(renewed.standing(), first);
        let other_client = Provider {
            client_id: "another".to_owned(),
            ..listed(&["a", "b"])
        };
        let other_issuer = Provider {
            kind: ProviderKind::Oidc {
                issuer: "https://login.example/one/v2.0".to_owned(),
            },
            ..listed(&["a", "b"])
        };
        for other in [
            other_client,
            other_issuer,
            listed(&["a"]),
            entra(Tenants::Single),
        ] {
            assert_ne!(other.standing(), first);
        }
    }
}
