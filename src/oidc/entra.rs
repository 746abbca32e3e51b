//! What is particular to Microsoft Entra ID: issuers with a tenant in them, and whose they are.
//!
//! Compares texts only, byte for byte; fetches nothing and knows no key. A `common`-like authority
//! without a list of tenants is refused: it would let in everybody with any Microsoft account.
//! Source: `entra.md` 1.1 and 4.1; Microsoft's access-token and OpenID Connect references.

use url::Url;

use crate::{config::provider::Tenants, identity::is_guid};

/// What stands for the tenant in a template issuer.
pub(super) const TENANT_PLACEHOLDER: &str = "{tenantid}";

/// The tenant of personal Microsoft accounts; counts only where it is written out.
const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// Hosts that are one and the same sign-in service.
const ALIASES: &[&[&str]] = &[
    &[
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoft.com",
        "sts.windows.net",
    ],
    &["login.microsoftonline.us", "login.usgovcloudapi.net"],
    &["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"],
];

/// An issuer taken apart: `<origin>/<tenant>/v2.0`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Issuer<'a> {
    origin: &'a str,
    /// A GUID or the placeholder.
    tenant: &'a str,
}

impl<'a> Issuer<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (origin, tenant) = text.strip_suffix("/v2.0")?.rsplit_once('/')?;
        let url = Url::parse(origin).ok()?;
        // Written in exactly the one form that a browser would write it in.
        let canonical = url.origin().ascii_serialization() == origin;
        (canonical && (is_guid(tenant) || tenant == TENANT_PLACEHOLDER))
            .then_some(Self { origin, tenant })
    }
}

/// Whether the issuer that the metadata names is that of the configured authority and tenants.
pub(super) fn admits_metadata_issuer(authority: &Url, tenants: &Tenants, issuer: &str) -> bool {
    let Some(issuer) = Issuer::parse(issuer) else {
        return false;
    };
    let configured = authority.path().trim_matches('/').split('/').next();
    let configured = configured.unwrap_or_default().to_ascii_lowercase();
    let tenant = issuer.tenant.to_ascii_lowercase();
    let tenant_fits = match tenants {
        Tenants::Listed(listed) => issuer.tenant == TENANT_PLACEHOLDER || listed.contains(&tenant),
        Tenants::Single => issuer.tenant != TENANT_PLACEHOLDER && tenant != PERSONAL_ACCOUNTS,
    };
    // A domain name cannot be compared; the id it stands for is the one the metadata names.
    let path_fits = !is_guid(&configured) || configured == tenant;
    let spelled_out = *tenants == Tenants::Single && configured == tenant;
    is_same_service(authority, issuer.origin) && path_fits && (tenant_fits || spelled_out)
}

fn is_same_service(authority: &Url, origin: &str) -> bool {
    let own = authority.origin().ascii_serialization();
    if own == origin {
        return true;
    }
    let host = |origin: &str| origin.strip_prefix("https://").map(str::to_owned);
    let (Some(own), Some(other)) = (host(&own), host(origin)) else {
        return false;
    };
    ALIASES
        .iter()
        .any(|names| names.contains(&own.as_str()) && names.contains(&other.as_str()))
}

/// The issuer that a token of `tenant` has: the metadata's own, with the tenant in its place.
///
/// `None` if the tenant is no GUID, or not the one that a concrete issuer names.
pub(super) fn resolve_issuer(metadata_issuer: &str, tenant: &str) -> Option<String> {
    let issuer = Issuer::parse(metadata_issuer)?;
    let fits = is_guid(tenant) && (issuer.tenant == TENANT_PLACEHOLDER || issuer.tenant == tenant);
    fits.then(|| format!("{}/{tenant}/v2.0", issuer.origin))
}

/// The tenant that a token's or answer's issuer names under the metadata's rule.
pub(super) fn tenant_of<'a>(metadata_issuer: &str, issuer: &'a str) -> Option<&'a str> {
    let tenant = Issuer::parse(issuer)?.tenant;
    (resolve_issuer(metadata_issuer, tenant).as_deref() == Some(issuer)).then_some(tenant)
}

/// Whether people of a tenant count.
pub(super) fn is_admitted(tenants: &Tenants, tenant: &str) -> bool {
    match tenants {
        // The one tenant is the one that the concrete issuer names.
        Tenants::Single => true,
        Tenants::Listed(listed) => listed.contains(&tenant.to_ascii_lowercase()),
    }
}

/// The number in `AADSTSnnnnn` at the beginning of an `error_description`: for logs and help texts,
/// never for decisions.
#[must_use]
pub fn aadsts_number(description: &str) -> Option<u32> {
    let rest = description.strip_prefix("AADSTS")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "c0000000-0000-4000-8000-00000000000c";
    const OTHER: &str = "a0000000-0000-4000-8000-00000000000a";

    fn admits(authority: &str, tenants: &Tenants, issuer: &str) -> bool {
        let issuer = issuer.replace("TENANT", TENANT).replace("OTHER", OTHER);
        let authority = authority.replace("TENANT", TENANT);
        admits_metadata_issuer(&Url::parse(&authority).unwrap(), tenants, &issuer)
    }

    #[test]
    fn a_single_tenant_is_the_configured_one() {
        // S-195, S-196
        for (authority, issuer, admitted) in [
            (
                "TENANT",
                "https://login.microsoftonline.com/TENANT/v2.0",
                true,
            ),
            (
                "contoso.com",
                "https://login.microsoftonline.com/TENANT/v2.0",
                true,
            ),
            ("TENANT", "https://login.windows.net/TENANT/v2.0", true),
            (
                "TENANT",
                "https://login.microsoftonline.com/OTHER/v2.0",
                false,
            ),
            (
                "TENANT",
                "https://login.microsoftonline.us/TENANT/v2.0",
                false,
            ),
            (
                "TENANT",
                "http://login.microsoftonline.com/TENANT/v2.0",
                false,
            ),
            (
                "TENANT",
                "https://login.microsoftonline.com:444/TENANT/v2.0",
                false,
            ),
            (
                "TENANT",
                "https://login.microsoftonline.com:443/TENANT/v2.0",
                false,
            ),
            (
                "TENANT",
                "https://LOGIN.microsoftonline.com/TENANT/v2.0",
                false,
            ),
            (
                "TENANT",
                "https://login.microsoftonline.com/TENANT/v2.0/",
                false,
            ),
            (
                "TENANT",
                "https://login.microsoftonline.com/x/TENANT/v2.0",
                false,
            ),
            ("TENANT", "https://login.microsoftonline.com/TENANT", false),
            ("TENANT", "https://evil.example/TENANT/v2.0", false),
            (
                "TENANT",
                "https://evil.example?login.microsoftonline.com/TENANT/v2.0",
                false,
            ),
            (
                "common",
                "https://login.microsoftonline.com/{tenantid}/v2.0",
                false,
            ),
            (
                "organizations",
                "https://login.microsoftonline.com/{tenantid}/v2.0",
                false,
            ),
            (
                "consumers",
                "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
                false,
            ),
            (
                "9188040d-6c67-4c5b-b112-36a304b66dad",
                "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
                true,
            ),
        ] {
            let authority = format!("https://login.microsoftonline.com/{authority}/v2.0");
            let found = admits(&authority, &Tenants::Single, issuer);
            assert_eq!(found, admitted, "{authority} {issuer}");
        }
        let emulator = "http://127.0.0.1:8400/TENANT/v2.0";
        assert!(admits(emulator, &Tenants::Single, emulator));
        assert!(!admits(
            emulator,
            &Tenants::Single,
            "http://127.0.0.1:8401/TENANT/v2.0"
        ));
    }

    #[test]
    fn a_template_needs_a_list() {
        // S-196
        let listed = Tenants::Listed(vec![TENANT.to_owned()]);
        let common = "https://login.microsoftonline.com/common/v2.0";
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        assert!(admits(common, &listed, template));
        assert!(!admits(common, &Tenants::Single, template));
        assert!(admits(
            common,
            &listed,
            "https://login.microsoftonline.com/TENANT/v2.0"
        ));
        assert!(!admits(
            common,
            &listed,
            "https://login.microsoftonline.com/OTHER/v2.0"
        ));
    }

    #[test]
    fn an_issuer_and_its_tenant_agree_in_both_directions() {
        // S-195
        let template = "https://h.example/{tenantid}/v2.0";
        let own = format!("https://h.example/{TENANT}/v2.0");
        assert_eq!(resolve_issuer(template, TENANT), Some(own.clone()));
        assert_eq!(resolve_issuer(&own, TENANT), Some(own.clone()));
        assert_eq!(resolve_issuer(&own, OTHER), None);
        assert_eq!(resolve_issuer(&own, &TENANT.to_uppercase()), None);
        for odd in ["", "{tenantid}", "common", "../x"] {
            assert_eq!(resolve_issuer(template, odd), None, "{odd}");
        }
        assert_eq!(tenant_of(template, &own), Some(TENANT));
        assert_eq!(tenant_of(template, template), None);
        let foreign = own.replace("h.example", "evil.example");
        assert_eq!(tenant_of(template, &foreign), None);
    }

    #[test]
    fn only_the_number_of_a_description_is_read() {
        let text = "AADSTS7000215: Invalid client secret provided.";
        assert_eq!(aadsts_number(text), Some(7_000_215));
        for odd in ["", "AADSTS", "AADSTS99999999999999", "x AADSTS50011"] {
            assert_eq!(aadsts_number(odd), None, "{odd}");
        }
    }
}
