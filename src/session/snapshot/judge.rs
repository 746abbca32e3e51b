//! Which sessions of an earlier process still count: by the hosts and providers there are now.
//!
//! Never knows a session's end; that is a matter of clocks alone.

use std::collections::{BTreeMap, HashSet};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    config::{
        Config,
        provider::{Provider, ProviderKind, Tenants},
        route::Authority,
    },
    identity::ProviderName,
    secret::digest_of,
};

/// What each provider was when its people signed in.
pub(super) type Providers = BTreeMap<String, String>;

/// The hosts and providers that are configured now.
#[derive(Debug)]
pub struct Judge {
    sites: HashSet<(Authority, ProviderName)>,
    providers: Providers,
}

impl Judge {
    /// Judges by this configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let site = |route: &crate::config::route::Route| {
            (route.from.authority.clone(), route.provider.clone())
        };
        let named = |provider: &Provider| (provider.name.0.clone(), fingerprint(provider));
        Self {
            sites: config.routes.iter().map(site).collect(),
            providers: config.providers.iter().map(named).collect(),
        }
    }

    pub(super) fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Whether the word of a provider still counts on a host, and the provider is still whom its
    /// people signed in at. Which routes the host has is looked at with every request.
    pub(super) fn admits(
        &self,
        authority: &Authority,
        provider: &ProviderName,
        then: &Providers,
    ) -> bool {
        let now = self.providers.get(&provider.0);
        now.is_some()
            && now == then.get(&provider.0)
            && self.sites.contains(&(authority.clone(), provider.clone()))
    }
}

/// Whose word it is, as whom we asked for it, and whose people count. Secrets, scopes and roots may
/// change without a session's ending.
fn fingerprint(provider: &Provider) -> String {
    let client = provider.client_id.as_bytes();
    let digest = match &provider.kind {
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
    BASE64_URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use openidconnect::core::CoreJwsSigningAlgorithm;

    use super::*;
    use crate::secret::Secret;

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
        let first = fingerprint(&listed(&["a", "b"]));
        let renewed = Provider {
            client_secret: Secret::new("two".to_owned()),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            ..listed(&["b", "a"])
        };
        assert_eq!(fingerprint(&renewed), first);
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
            assert_ne!(fingerprint(&other), first);
        }
    }
}
