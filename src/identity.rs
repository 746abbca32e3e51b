//! Who came in: what a verified ID token says about a person, in the terms the rules need.
//!
//! An [`Identity`] is made from verified claims only, by `oidc/id_token.rs`; nothing here may look
//! at a request, and nothing an address says ever becomes the key of a person (`entra.md` 4, OIDC
//! Core 5.7: only `iss` and `sub` together are stable and unique).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::clock::Timestamp;

/// The name of a provider in the configuration: `entra` for `[entra]`, `x` for `[idp.x]`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ProviderName(pub String);

/// The id of a route: the stem of its file unless the file says otherwise.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RouteId(pub String);

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The provider's own session, as the `sid` claim names it (OIDC Front-Channel Logout 3).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ProviderSessionId(pub String);

/// What names a person for good: never an address, always something the provider cannot reassign.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PersonKey {
    /// Entra ID: tenant and object id, both lower-case GUIDs.
    Entra {
        /// The tenant the person signed in to (`tid`).
        tenant: String,
        /// The object id within that tenant (`oid`).
        object: String,
    },
    /// Any other provider: issuer and subject, compared byte for byte.
    Oidc {
        /// The `iss` claim.
        issuer: String,
        /// The `sub` claim.
        subject: String,
    },
}

/// For the access log: `tid/oid` or `iss#sub`.
impl fmt::Display for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entra { tenant, object } => write!(f, "{tenant}/{object}"),
            Self::Oidc { issuer, subject } => write!(f, "{issuer}#{subject}"),
        }
    }
}

/// What a session at a provider stands on, as a digest: a provider of the same name that stands on
/// something else is another one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Standing([u8; 32]);

impl Standing {
    /// The digest of everything it stands on.
    #[must_use]
    pub fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Which rules read the claims.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ClaimRules {
    /// As Entra ID writes them: `tid`, `oid`, guests, `xms_edov`, group overage.
    Entra,
    /// OIDC Core 5.1 alone.
    Oidc,
}

/// What the token says about group membership.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Groups {
    /// There were too many to list: the token points elsewhere. Never to be read as "none".
    Overage,
    /// These, exactly.
    Listed(Vec<String>),
}

/// Claims that name nobody, or that contradict one another.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum IdentityError {
    /// A claim that must be a non-empty text is absent.
    #[error("the ID token has no usable `{0}` claim")]
    Missing(&'static str),
    /// A claim is there but has another type or shape than its definition.
    #[error("the `{0}` claim of the ID token has an unexpected shape")]
    Shape(&'static str),
}

/// A person, as a verified ID token described them at sign-in.
#[derive(Clone)]
pub struct Identity {
    provider: ProviderName,
    person: PersonKey,
    guest: bool,
    rules: ClaimRules,
    name: Option<String>,
    email: Option<String>,
    email_verified: bool,
    preferred_username: Option<String>,
    groups: Groups,
    roles: Vec<String>,
    sid: Option<ProviderSessionId>,
    auth_time: Option<Timestamp>,
    login_hint: Option<String>,
    /// The whole payload as compact JSON: read again only when a route asks for a further claim.
    claims: Box<str>,
}

/// Names the person and nothing else: claims are personal data.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("person", &self.person)
            .finish_non_exhaustive()
    }
}

/// Most groups or roles that are looked at; a token that lists more is refused rather than cut.
const MAX_LISTED: usize = 2_000;

impl Identity {
    /// Reads the claims of a token whose signature, issuer, audience, times and nonce were verified.
    ///
    /// # Errors
    /// Returns [`IdentityError`] if no stable key of the person is there (`iss` and `sub`; for Entra
    /// ID also `tid` and `oid` as GUIDs), or if `groups` or `roles` are not what their definition
    /// says. Absent optional claims are no error.
    pub fn from_verified_claims(
        provider: ProviderName,
        rules: ClaimRules,
        claims: &Map<String, Value>,
    ) -> Result<Self, IdentityError> {
        let issuer = text(claims, "iss").ok_or(IdentityError::Missing("iss"))?;
        let subject = text(claims, "sub").ok_or(IdentityError::Missing("sub"))?;
        let person = match rules {
            ClaimRules::Entra => PersonKey::Entra {
                tenant: guid(claims, "tid")?,
                object: guid(claims, "oid")?,
            },
            ClaimRules::Oidc => PersonKey::Oidc {
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            },
        };
        let overage = claims
            .get("hasgroups")
            .is_some_and(|value| value != &Value::Bool(false))
            || claims
                .get("_claim_names")
                .and_then(Value::as_object)
                .is_some_and(|names| names.contains_key("groups"));
        let groups = if overage {
            Groups::Overage
        } else {
            Groups::Listed(listed(claims, "groups")?)
        };
        Ok(Self {
            guest: rules == ClaimRules::Entra && is_guest(claims, issuer),
            email_verified: is_email_verified(rules, claims),
            name: text(claims, "name").map(str::to_owned),
            email: text(claims, "email")
                .filter(|it| is_address(it))
                .map(str::to_owned),
            preferred_username: text(claims, "preferred_username").map(str::to_owned),
            roles: listed(claims, "roles")?,
            sid: text(claims, "sid").map(|sid| ProviderSessionId(sid.to_owned())),
            auth_time: claims
                .get("auth_time")
                .and_then(Value::as_i64)
                .map(Timestamp::from_unix_seconds),
            login_hint: text(claims, "login_hint").map(str::to_owned),
            claims: serde_json::to_string(claims)
                .map_err(|_| IdentityError::Shape("payload"))?
                .into_boxed_str(),
            provider,
            person,
            rules,
            groups,
        })
    }

    /// The provider that vouches for the person.
    #[must_use]
    pub fn provider(&self) -> &ProviderName {
        &self.provider
    }

    /// What names the person for good.
    #[must_use]
    pub fn person(&self) -> &PersonKey {
        &self.person
    }

    /// Whether the person is a guest of the tenant (Entra ID only; `acct` 1 or a foreign `idp`).
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.guest
    }

    /// The display name; mutable, not unique.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The e-mail address, if it has exactly one `@` and nothing odd; not necessarily verified.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The name the person signs in with; mutable.
    #[must_use]
    pub fn preferred_username(&self) -> Option<&str> {
        self.preferred_username.as_deref()
    }

    /// What the token says about groups.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The app roles the token lists.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The provider's own session, where the token names it.
    #[must_use]
    pub fn sid(&self) -> Option<&ProviderSessionId> {
        self.sid.as_ref()
    }

    /// When the person last proved who they are, where the token says so.
    #[must_use]
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// The opaque hint that spares the account picker at sign-out (Entra ID's `login_hint`).
    #[must_use]
    pub fn login_hint(&self) -> Option<&str> {
        self.login_hint.as_deref()
    }

    /// A claim that may name a person: a non-empty text, or a whole number in decimal.
    ///
    /// Lists, objects and booleans name nobody. `name` is case-sensitive, as claims are.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<String> {
        let claims: Map<String, Value> = serde_json::from_str(&self.claims).ok()?;
        match claims.get(name)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
            _ => None,
        }
    }

    /// The whole verified payload as JSON, to make the same identity from again.
    #[must_use]
    pub fn claims(&self) -> &str {
        &self.claims
    }

    /// The rules its claims were read by.
    #[must_use]
    pub fn rules(&self) -> ClaimRules {
        self.rules
    }

    /// The names of all claims that came, for the message that tells an operator what to choose.
    #[must_use]
    pub fn claim_names(&self) -> Vec<String> {
        serde_json::from_str::<Map<String, Value>>(&self.claims)
            .map(|claims| claims.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The domains that somebody trustworthy vouches for, in lower case.
    ///
    /// A verified e-mail address counts, and the user principal name of a tenant's member. A guest
    /// has none: another organisation wrote their address.
    pub fn verified_domains(&self) -> impl Iterator<Item = String> {
        let email = self.email().filter(|_| self.email_verified && !self.guest);
        let principal = (self.rules == ClaimRules::Entra && !self.guest)
            .then(|| {
                self.claim("upn")
                    .or_else(|| self.preferred_username.clone())
            })
            .flatten();
        let email = email.map(str::to_owned);
        email
            .into_iter()
            .chain(principal)
            .filter(|address| is_address(address))
            .filter_map(|address| Some(address.split_once('@')?.1.to_ascii_lowercase()))
    }
}

/// Whether a text is an address that can be compared: one `@` with something on both sides, no
/// blanks, quotes, lists, brackets or control characters (S-061).
#[must_use]
pub fn is_address(text: &str) -> bool {
    let odd = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '"' | ',' | ';' | '<' | '>' | '\\')
    };
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !text.contains(odd)
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
}

/// Entra ID's `tid` and `oid` are GUIDs; folded once so that every comparison is of bytes.
fn guid(claims: &Map<String, Value>, name: &'static str) -> Result<String, IdentityError> {
    let text = text(claims, name).ok_or(IdentityError::Missing(name))?;
    if is_guid(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(IdentityError::Shape(name))
    }
}

/// Whether a text has the form of a GUID: 8-4-4-4-12 hexadecimal digits.
#[must_use]
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn listed(claims: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, IdentityError> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) if values.len() <= MAX_LISTED => values
            .iter()
            .map(|value| {
                value
                    .as_str()
                    .map(str::to_owned)
                    .ok_or(IdentityError::Shape(name))
            })
            .collect(),
        Some(_) => Err(IdentityError::Shape(name)),
    }
}

fn is_guest(claims: &Map<String, Value>, issuer: &str) -> bool {
    match claims.get("acct") {
        Some(Value::Number(number)) => number.as_i64() != Some(0),
        Some(Value::String(text)) => text != "0",
        // An absent or odd `acct` says nothing; then whoever was authenticated elsewhere is a guest.
        _ => claims
            .get("idp")
            .is_some_and(|idp| !is_own_idp(idp, claims, issuer)),
    }
}

/// `idp` names the tenant itself in either generation of issuer URL.
fn is_own_idp(idp: &Value, claims: &Map<String, Value>, issuer: &str) -> bool {
    let (Some(idp), Some(tenant)) = (idp.as_str(), text(claims, "tid")) else {
        return false;
    };
    idp == issuer || idp.eq_ignore_ascii_case(&format!("https://sts.windows.net/{tenant}/"))
}

fn is_email_verified(rules: ClaimRules, claims: &Map<String, Value>) -> bool {
    match rules {
        ClaimRules::Entra => match claims.get("xms_edov") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            Some(Value::String(text)) => text == "1" || text == "true",
            _ => false,
        },
        ClaimRules::Oidc => claims.get("email_verified") == Some(&Value::Bool(true)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TENANT: &str = "11111111-2222-4333-8444-555555555555";

    fn read(rules: ClaimRules, extra: &Value) -> Result<Identity, IdentityError> {
        let mut claims = json!({
            "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
            "sub": "pairwise", "tid": TENANT, "oid": "A0000000-0000-4000-8000-000000000001",
        });
        for (name, value) in extra.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
            .as_object_mut()
            .unwrap()
            .retain(|_, value| value != &json!("REMOVE"));
        let name = ProviderName("entra".to_owned());
        Identity::from_verified_claims(name, rules, claims.as_object().unwrap())
    }

    fn domains(rules: ClaimRules, extra: &Value) -> Vec<String> {
        read(rules, extra).unwrap().verified_domains().collect()
    }

    #[test]
    fn entra_person_is_tenant_and_object_in_lower_case() {
        let person = read(ClaimRules::Entra, &json!({}))
            .unwrap()
            .person()
            .clone();
        assert_eq!(
            person.to_string(),
            format!("{TENANT}/a0000000-0000-4000-8000-000000000001")
        );
    }

    #[test]
    fn a_token_without_a_stable_key_names_nobody() {
        for (name, value) in [
            ("oid", json!("REMOVE")),
            ("oid", json!(7)),
            ("tid", json!("common")),
        ] {
            assert!(
                read(ClaimRules::Entra, &json!({name: value})).is_err(),
                "{name} {value}"
            );
        }
        assert!(read(ClaimRules::Oidc, &json!({"sub": " "})).is_err());
    }

    #[test]
    fn groups_of_another_shape_are_refused_and_overage_is_not_none() {
        for odd in [
            json!("admins"),
            json!({"a": 1}),
            json!([1]),
            json!([["admins"]]),
        ] {
            assert!(
                read(ClaimRules::Entra, &json!({"groups": odd})).is_err(),
                "{odd}"
            );
        }
        let pointed = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {}});
        for overage in [pointed, json!({"hasgroups": true})] {
            assert_eq!(
                read(ClaimRules::Entra, &overage).unwrap().groups(),
                &Groups::Overage
            );
        }
        assert_eq!(
            read(ClaimRules::Entra, &json!({})).unwrap().groups(),
            &Groups::Listed(vec![])
        );
    }

    #[test]
    fn guests_are_known_by_acct_or_by_a_foreign_idp() {
        for (extra, guest) in [
            (json!({}), false),
            (json!({"acct": 1}), true),
            (json!({"acct": 0, "idp": "live.com"}), false),
            (json!({"idp": "live.com"}), true),
            (
                json!({"idp": format!("https://sts.windows.net/{TENANT}/")}),
                false,
            ),
            (json!({"acct": "1"}), true),
        ] {
            assert_eq!(
                read(ClaimRules::Entra, &extra).unwrap().is_guest(),
                guest,
                "{extra}"
            );
        }
    }

    #[test]
    fn only_verified_addresses_and_members_principals_have_a_domain() {
        let email = |verified| json!({"email": "ann@Corp.example", "email_verified": verified});
        assert_eq!(
            domains(ClaimRules::Oidc, &email(json!(true))),
            ["corp.example"]
        );
        assert!(domains(ClaimRules::Oidc, &email(json!("true"))).is_empty());
        assert!(domains(ClaimRules::Oidc, &email(json!(1))).is_empty());
        assert!(domains(ClaimRules::Entra, &email(json!(true))).is_empty());
        let member = json!({"preferred_username": "ann@corp.example"});
        assert_eq!(domains(ClaimRules::Entra, &member), ["corp.example"]);
        let guest = json!({"preferred_username": "ann@corp.example", "acct": 1});
        assert!(domains(ClaimRules::Entra, &guest).is_empty());
    }

    #[test]
    fn odd_addresses_are_no_addresses() {
        // S-061
        for odd in [
            "a@evil.test@corp.test",
            "\"a@corp.test\"@evil.test",
            "a@corp.test\n",
            "a@corp.test.",
            "a@",
            "@corp.test",
            "corp.test",
            "a b@corp.test",
            "a@corp.test,b@corp.test",
            "a@.test",
        ] {
            assert!(!is_address(odd), "{odd:?}");
        }
        assert!(is_address("o'neil@corp.test"));
    }

    #[test]
    fn only_text_and_whole_numbers_name_a_person() {
        let extra = json!({"n": 42, "t": "x", "e": "", "a": ["x"], "o": {}, "b": true, "f": 1.5});
        let identity = read(ClaimRules::Entra, &extra).unwrap();
        assert_eq!(identity.claim("n").as_deref(), Some("42"));
        assert_eq!(identity.claim("t").as_deref(), Some("x"));
        for nobody in ["e", "a", "o", "b", "f", "absent"] {
            assert_eq!(identity.claim(nobody), None, "{nobody}");
        }
    }
}
