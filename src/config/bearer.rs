//! `[bearer]` of a route file: which access tokens let a program in, with or without a person behind.
//!
//! Types, the form of an issuer, and resolution; tokens are judged by `oidc/access_token.rs`. Whose
//! keys count is settled here, once: nothing that stands in a token ever says where keys come from.
//! Sources: RFC 9068 (access tokens as JWT), `entra.md` 4.2 (tokens of version 1 and 2).

use url::Url;

use super::{
    document::Document,
    finding::Finding,
    provider::{Provider, ProviderKind, Tenants},
    provider_addresses::{ENTRA_HOST, ENTRA_HOSTS, ENTRA_V1_HOST, Issuer, is_guid},
    schema::RawBearer,
    spans::KeyPath,
    values::{Fault, Format, Of, shown},
};
use crate::identity::ProviderName;

/// Which access tokens let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bearer {
    /// Whose tokens; never empty.
    pub issuers: Vec<BearerIssuer>,
    /// What `aud` may say, exact; never empty.
    pub audiences: Vec<String>,
    /// A token without a person behind it needs one of these app roles, exact.
    pub roles: Vec<String>,
    /// A token with a person behind it needs one of these scopes, exact.
    pub scopes: Vec<String>,
    /// The clients whose tokens count, GUIDs in lower case; any if empty.
    pub clients: Vec<String>,
}

/// Whose tokens count, and whose keys they are signed with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BearerIssuer {
    /// The `iss` claim, byte for byte; if absent, what the metadata of the provider says.
    pub issuer: Option<String>,
    /// Where the keys come from.
    pub keys: KeySource,
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// Its own metadata; nobody signs in there.
    Issuer(ProviderKind),
    /// A configured provider.
    Provider(ProviderName),
}

impl KeySource {
    /// Under which name the source is known: a provider's own, or the address of the issuer, which
    /// no provider can be called.
    #[must_use]
    pub fn name(&self) -> ProviderName {
        match self {
            Self::Issuer(ProviderKind::Entra { authority, .. }) => {
                ProviderName(authority.as_str().to_owned())
            }
            Self::Issuer(ProviderKind::Oidc { issuer }) => ProviderName(issuer.clone()),
            Self::Provider(name) => name.clone(),
        }
    }
}

/// The tenant of an issuer of Entra ID's first version, `https://sts.windows.net/<tenant>/`.
#[must_use]
pub fn v1_tenant(issuer: &str) -> Option<&str> {
    let tenant = issuer
        .strip_prefix("https://")?
        .strip_prefix(ENTRA_V1_HOST)?
        .strip_prefix('/')?
        .strip_suffix('/')?;
    is_guid(tenant).then_some(tenant)
}

/// The issuer of access tokens, byte for byte as their `iss` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TokenIssuer(String);

impl Format for TokenIssuer {
    const NAME: &'static str = "token-issuer";
    const ALLOWED: &'static str = "write the `iss` of the tokens, exactly: \
                                   \"https://login.microsoftonline.com/<tenant id>/v2.0\", or \
                                   \"https://sts.windows.net/<tenant id>/\" for version 1";

    fn parse(text: &str) -> Result<Self, Fault> {
        let url = Url::parse(text).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        if !ENTRA_HOSTS.contains(&host) {
            return Issuer::parse(text).map(|issuer| Self(issuer.0));
        }
        // Entra ID names the tenant by its id in every token, however it is written elsewhere.
        if v1_tenant(text).is_some() || v2_tenant(text).is_some() {
            return Ok(Self(text.to_owned()));
        }
        let message = format!(
            "{} is not how Entra ID names itself in a token",
            shown(text)
        );
        Err(Fault::new(message, Self::ALLOWED))
    }
}

/// The tenant of an issuer of Entra ID's second version, on whatever host.
fn v2_tenant(issuer: &str) -> Option<&str> {
    let (origin, tenant) = issuer.strip_suffix("/v2.0")?.rsplit_once('/')?;
    let canonical = Url::parse(origin).ok()?.origin().ascii_serialization() == origin;
    (canonical && is_guid(tenant)).then_some(tenant)
}

/// Resolves the table; `None` if there is none, or none that could let anybody in.
pub(super) fn resolve(
    raw: Option<RawBearer>,
    document: &Document,
    own: Option<&Provider>,
    providers: &[Provider],
    findings: &mut Vec<Finding>,
) -> Option<Bearer> {
    let raw = raw?;
    let path = KeyPath::of(&["bearer"]);
    if raw.roles.is_empty() && raw.scopes.is_empty() && !document.is_faulty(&path) {
        let fault = Fault::new(
            "no role and no scope is asked for, so whoever can get a token for the audience could \
             come in; at Entra ID that is every app of the tenant",
            "write roles for apps, scopes for apps that act for a person, or both",
        );
        findings.push(document.error(&path, fault));
    }
    let issuers = match raw.issuers {
        Some(issuers) => issuers
            .into_iter()
            .map(|Of(TokenIssuer(issuer))| BearerIssuer {
                keys: key_source(&issuer, providers),
                issuer: Some(issuer),
            })
            .collect(),
        None => vec![BearerIssuer {
            issuer: None,
            keys: KeySource::Provider(own?.name.clone()),
        }],
    };
    let folded = |client: String| {
        if is_guid(&client) {
            client.to_ascii_lowercase()
        } else {
            client
        }
    };
    Some(Bearer {
        issuers,
        audiences: raw.audiences.into_iter().map(|Of(it)| it.0).collect(),
        roles: raw.roles.into_iter().map(|Of(role)| role.0).collect(),
        scopes: raw.scopes.into_iter().map(|Of(scope)| scope.0).collect(),
        clients: raw.clients.into_iter().map(|Of(it)| folded(it.0)).collect(),
    })
}

/// A configured provider whose tokens these are, else the issuer's own metadata.
fn key_source(issuer: &str, providers: &[Provider]) -> KeySource {
    let configured = providers.iter().find(|it| signs_for(&it.kind, issuer));
    if let Some(provider) = configured {
        return KeySource::Provider(provider.name.clone());
    }
    let entra_tenant = v1_tenant(issuer).or_else(|| {
        let url = Url::parse(issuer).ok()?;
        let is_entra = url.host_str().is_some_and(|it| ENTRA_HOSTS.contains(&it));
        v2_tenant(issuer).filter(|_| is_entra)
    });
    let authority = entra_tenant.and_then(|tenant| match v1_tenant(issuer) {
        Some(_) => Url::parse(&format!("https://{ENTRA_HOST}/{tenant}/v2.0")).ok(),
        None => Url::parse(issuer).ok(),
    });
    KeySource::Issuer(match authority {
        Some(authority) => ProviderKind::Entra {
            authority,
            tenants: Tenants::Single,
        },
        None => ProviderKind::Oidc {
            issuer: issuer.to_owned(),
        },
    })
}

/// Whether the keys of a configured provider are those of this issuer.
fn signs_for(kind: &ProviderKind, issuer: &str) -> bool {
    let (authority, tenants) = match kind {
        ProviderKind::Oidc { issuer: own } => return own == issuer,
        ProviderKind::Entra { authority, tenants } => (authority, tenants),
    };
    if *tenants == Tenants::Single && authority.as_str() == issuer {
        return true;
    }
    let origin = authority.origin().ascii_serialization();
    let same_origin = || {
        issuer
            .strip_prefix(&origin)
            .is_some_and(|it| it.starts_with('/'))
    };
    let tenant = v1_tenant(issuer).or_else(|| v2_tenant(issuer).filter(|_| same_origin()));
    let Some(tenant) = tenant.map(str::to_ascii_lowercase) else {
        return false;
    };
    match tenants {
        Tenants::Listed(listed) => listed.contains(&tenant),
        Tenants::Single => authority.path() == format!("/{tenant}/v2.0"),
    }
}

#[cfg(test)]
mod tests {
    use openidconnect::core::CoreJwsSigningAlgorithm;

    use super::*;
    use crate::secret::Secret;

    const TENANT: &str = "c0000000-0000-4000-8000-00000000000c";
    const OTHER: &str = "a0000000-0000-4000-8000-00000000000a";

    fn provider(name: &str, kind: ProviderKind) -> Provider {
        Provider {
            name: ProviderName(name.to_owned()),
            kind,
            client_id: "app".to_owned(),
            client_secret: Secret::new("s".to_owned()),
            scopes: Vec::new(),
            algorithms: vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
            ca_file: None,
        }
    }

    fn entra(authority: &str, tenants: Tenants) -> ProviderKind {
        let authority = Url::parse(authority).unwrap();
        ProviderKind::Entra { authority, tenants }
    }

    fn v1(tenant: &str) -> String {
        format!("https://sts.windows.net/{tenant}/")
    }

    fn v2(tenant: &str) -> String {
        format!("https://login.microsoftonline.com/{tenant}/v2.0")
    }

    #[test]
    fn an_issuer_is_written_as_tokens_say_it() {
        for right in [
            &v1(TENANT),
            &v2(TENANT),
            "https://login.microsoftonline.us/c0000000-0000-4000-8000-00000000000c/v2.0",
            "https://id.example/realms/staff",
            "http://localhost:8400/c0000000-0000-4000-8000-00000000000c/v2.0",
        ] {
            assert_eq!(TokenIssuer::parse(right).unwrap().0, *right);
        }
        for wrong in [
            "",
            "id.example",
            "http://id.example",
            "https://id.example/?x",
            "https://u:p@id.example",
            "https://sts.windows.net/contoso.com/",
            "https://sts.windows.net/c0000000-0000-4000-8000-00000000000c",
            "https://sts.windows.net/c0000000-0000-4000-8000-00000000000c/v2.0/",
            "https://login.microsoftonline.com/common/v2.0",
            "https://login.microsoftonline.com/contoso.com/v2.0",
            "https://login.microsoftonline.com/{tenantid}/v2.0",
            "https://login.microsoftonline.com/x/c0000000-0000-4000-8000-00000000000c/v2.0",
            "https://LOGIN.microsoftonline.com/c0000000-0000-4000-8000-00000000000c/v2.0",
        ] {
            assert!(TokenIssuer::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_are_those_of_a_configured_provider_where_it_is_the_same() {
        let listed = Tenants::Listed(vec![OTHER.to_owned()]);
        let providers = [
            provider("entra", entra(&v2(TENANT), Tenants::Single)),
            provider(
                "many",
                entra(
                    "https://login.microsoftonline.com/organizations/v2.0",
                    listed,
                ),
            ),
            provider(
                "local",
                ProviderKind::Oidc {
                    issuer: "https://id.example".to_owned(),
                },
            ),
        ];
        for (issuer, name) in [
            (v2(TENANT), "entra"),
            (v1(TENANT), "entra"),
            (v2(OTHER), "many"),
            (v1(OTHER), "many"),
            ("https://id.example".to_owned(), "local"),
        ] {
            let source = key_source(&issuer, &providers);
            assert_eq!(source, KeySource::Provider(ProviderName(name.to_owned())));
        }
    }

    #[test]
    fn every_other_issuer_has_keys_of_its_own() {
        // S-195: no tenant vouches for another one, and nobody for a look-alike host.
        let providers = [provider("entra", entra(&v2(TENANT), Tenants::Single))];
        for (issuer, name) in [
            (v2(OTHER), v2(OTHER)),
            (v1(OTHER), v2(OTHER)),
            (
                format!("https://evil.example/{TENANT}/v2.0"),
                format!("https://evil.example/{TENANT}/v2.0"),
            ),
            (
                "https://id.example/".to_owned(),
                "https://id.example/".to_owned(),
            ),
        ] {
            let source = key_source(&issuer, &providers);
            assert!(matches!(source, KeySource::Issuer(_)), "{issuer}");
            assert_eq!(source.name().0, name);
        }
        let by_domain = entra(
            "https://login.microsoftonline.com/contoso.com/v2.0",
            Tenants::Single,
        );
        let source = key_source(&v2(TENANT), &[provider("entra", by_domain)]);
        assert!(matches!(source, KeySource::Issuer(_)));
    }
}
