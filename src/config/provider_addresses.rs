//! Addresses of providers as they are written: tenants and endpoints of Entra ID, issuers.
//!
//! Whatever is nearly right is refused with the form to write; nothing is corrected in silence, and
//! nothing here asks a provider. Sources: OpenID Connect Discovery 1.0, 4
//! (<https://openid.net/specs/openid-connect-discovery-1_0.html>), `entra.md` 1.1.

use url::Url;

use super::{
    addresses::{Domain, is_loopback, shown_url},
    values::{Fault, Format, shown},
};

/// The host of Entra ID's public cloud.
pub(super) const ENTRA_HOST: &str = "login.microsoftonline.com";

/// Where the metadata of Entra ID's first version says it lives.
pub(super) const ENTRA_V1_HOST: &str = "sts.windows.net";

/// Hosts that are Entra ID, under whatever kind they are configured.
pub(super) const ENTRA_HOSTS: &[&str] = &[
    ENTRA_HOST,
    ENTRA_V1_HOST,
    "login.microsoft.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.windows.net",
];

/// The tenant of all personal Microsoft accounts.
pub(super) const CONSUMERS_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A GUID, in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Guid(pub(super) String);

impl Format for Guid {
    const NAME: &'static str = "guid";
    const ALLOWED: &'static str =
        "write an id as it stands there: \"00000000-0000-0000-0000-000000000000\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        if is_guid(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            let message = format!("{} is not a GUID", shown(text));
            Err(Fault::new(message, Self::ALLOWED))
        }
    }
}

/// Whether this is a GUID, in either case.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A tenant of Entra ID: a GUID or a domain in lower case, or one of the words for several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Tenant(pub(super) String);

impl Tenant {
    /// Whether people of more than one tenant meet here.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.0.as_str(), "common" | "consumers" | "organizations")
            || self.0 == CONSUMERS_TENANT
    }

    /// Where this tenant's people sign in, in the public cloud.
    pub(super) fn authority(&self) -> Option<Url> {
        Url::parse(&format!("https://{ENTRA_HOST}/{}/v2.0", self.0)).ok()
    }
}

impl Format for Tenant {
    const NAME: &'static str = "tenant";
    const ALLOWED: &'static str = "write the tenant's id, a GUID, or one of its domains: \
                                   \"contoso.onmicrosoft.com\"; an address goes into `endpoint`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let lower = text.to_ascii_lowercase();
        let word = matches!(lower.as_str(), "common" | "consumers" | "organizations");
        if word || is_guid(&lower) {
            return Ok(Self(lower));
        }
        Domain::parse(text)
            .map(|domain| Self(domain.0))
            .map_err(|_| {
                let message = format!("{} is not a tenant", shown_url(text));
                Fault::new(message, Self::ALLOWED)
            })
    }
}

/// The authority of an Entra tenant: `https://<host>/<tenant>/v2.0`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Endpoint {
    /// Without a trailing slash.
    pub(super) authority: Url,
    /// The tenant in it.
    pub(super) tenant: Tenant,
}

impl Format for Endpoint {
    const NAME: &'static str = "entra-endpoint";
    const ALLOWED: &'static str = "write \"https://login.microsoftonline.com/<tenant>/v2.0\", with \
                                   the id or a domain of the tenant";

    fn parse(text: &str) -> Result<Self, Fault> {
        let fault =
            |why: &str, remedy: &str| Fault::new(format!("{} {why}", shown_url(text)), remedy);
        let url = provider_url(text).map_err(|why| fault(&why, Self::ALLOWED))?;
        let path = url.path().to_owned();
        let first = path.split('/').nth(1).unwrap_or_default();
        let Ok(tenant) = Tenant::parse(first) else {
            return Err(fault("names no tenant", Self::ALLOWED));
        };
        let mut authority = url.clone();
        authority.set_query(None);
        authority.set_fragment(None);
        authority.set_path(&format!("/{}/v2.0", tenant.0));
        let is_first_version = url.host_str() == Some(ENTRA_V1_HOST);
        if is_first_version && authority.set_host(Some(ENTRA_HOST)).is_err() {
            return Err(fault("is an address of version 1", Self::ALLOWED));
        }
        let why = if is_first_version {
            "is the issuer of version 1, whose tokens differ"
        } else if path.ends_with("/.well-known/openid-configuration") {
            "is the address of the metadata, not of the authority"
        } else if path.contains("/oauth2/") {
            "is an endpoint of the authority, not the authority"
        } else if url.query().is_some() || url.fragment().is_some() {
            "has a query or a fragment"
        } else if path.trim_end_matches('/') == format!("/{first}") {
            "lacks /v2.0 at its end"
        } else if path == format!("/{first}/v2.0/") {
            "has a slash at its end"
        } else if path != format!("/{first}/v2.0") {
            "is not the authority of a tenant"
        } else {
            return Ok(Self { authority, tenant });
        };
        Err(fault(why, &format!("write \"{authority}\"")))
    }
}

/// The issuer of an OpenID provider, byte for byte as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Issuer(pub(super) String);

impl Format for Issuer {
    const NAME: &'static str = "issuer";
    const ALLOWED: &'static str = "write the `issuer` of the provider's metadata, exactly: \
                                   \"https://id.example.com/realms/staff\"";

    fn parse(text: &str) -> Result<Self, Fault> {
        const METADATA: &str = "/.well-known/openid-configuration";
        let fault =
            |why: &str, remedy: &str| Fault::new(format!("{} {why}", shown_url(text)), remedy);
        let url = provider_url(text).map_err(|why| fault(&why, Self::ALLOWED))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(fault("has a query or a fragment", Self::ALLOWED));
        }
        if let Some(issuer) = text.strip_suffix(METADATA) {
            let remedy = format!("write the `issuer` it holds, mostly \"{issuer}\"");
            return Err(fault("is the address of the metadata", &remedy));
        }
        if url
            .host_str()
            .is_some_and(|host| ENTRA_HOSTS.contains(&host))
        {
            return Err(fault(
                "is Entra ID, which has rules of its own about tenants and guests",
                "use [entra], or kind = \"entra\" with tenant or endpoint",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A URL to fetch metadata from: https, or http on loopback.
fn provider_url(text: &str) -> Result<Url, String> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds a blank or a character that a URL cannot hold".to_owned());
    }
    if text.contains('\\') {
        return Err("holds a backslash".to_owned());
    }
    let url = Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    let Some(host) = url.host_str() else {
        return Err("names no host".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(host) => Ok(url),
        "http" => Err("is not encrypted: http is for loopback alone".to_owned()),
        _ => Err("does not begin with https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_nearly_right_is_answered_with_the_right_one() {
        let right = "https://login.microsoftonline.com/contoso.com/v2.0";
        assert_eq!(Endpoint::parse(right).unwrap().authority.as_str(), right);
        for near in [
            "https://login.microsoftonline.com/contoso.com/v2.0/",
            "https://login.microsoftonline.com/contoso.com",
            "https://login.microsoftonline.com/contoso.com/",
            "https://login.microsoftonline.com/contoso.com/v2.0/.well-known/openid-configuration",
            "https://login.microsoftonline.com/contoso.com/.well-known/openid-configuration",
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/authorize",
            "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token?x=y",
            "https://sts.windows.net/contoso.com/",
            "https://sts.windows.net/contoso.com/v2.0",
            "https://login.microsoftonline.com/contoso.com/v1.0",
            "https://login.microsoftonline.com/contoso.com/v2.0#x",
        ] {
            let fault = Endpoint::parse(near).unwrap_err();
            assert_eq!(fault.remedy, format!("write \"{right}\""), "{near}");
        }
        for wrong in [
            "contoso.com",
            "https://login.microsoftonline.com",
            "https://portal.azure.com/#home",
            "http://login.microsoftonline.com/contoso.com/v2.0",
            " https://h/contoso.com/v2.0",
            "https://h/{tenantid}/v2.0",
            "https://h/<tenant>/v2.0",
            "https://u:p@h/contoso.com/v2.0",
            "ftp://h/contoso.com/v2.0",
            "https://h/a/contoso.com/v2.0",
        ] {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
        for loopback in [
            "http://127.0.0.1:8080/contoso.com/v2.0",
            "http://localhost/contoso.com/v2.0",
            "http://[::1]:9/contoso.com/v2.0",
            "http://entra.localhost/contoso.com/v2.0",
        ] {
            assert!(Endpoint::parse(loopback).is_ok(), "{loopback}");
        }
    }

    #[test]
    fn an_issuer_is_kept_byte_for_byte() {
        for right in [
            "https://id.example.com",
            "https://id.example.com/",
            "http://localhost:1/x",
        ] {
            assert_eq!(Issuer::parse(right).unwrap().0, right);
        }
        for wrong in [
            "http://id.example.com",
            "https://id.example.com ",
            "https://id.example.com/?x",
            "https://id.example.com/.well-known/openid-configuration",
            "id.example.com",
            "https://login.microsoftonline.com/contoso.com/v2.0",
            "https://u@id.example.com",
        ] {
            assert!(Issuer::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_tenant_is_an_id_or_a_domain() {
        let id = "9188040D-6C67-4C5B-B112-36A304B66DAD";
        assert_eq!(Tenant::parse(id).unwrap().0, CONSUMERS_TENANT);
        assert!(Tenant::parse("Common").unwrap().is_shared());
        assert!(
            !Tenant::parse("contoso.onmicrosoft.com")
                .unwrap()
                .is_shared()
        );
        for wrong in [
            "",
            "contoso",
            "https://h/contoso.com",
            "a/b.c",
            "{tenant}.x",
            "10.0.0.1",
        ] {
            assert!(Tenant::parse(wrong).is_err(), "{wrong}");
        }
    }
}
