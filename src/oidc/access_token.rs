//! Judges the access token of a program: the only maker of an identity out of one.
//!
//! Form and header first, then every claim, then the key, then the signature; no claim counts before
//! it is verified, no error quotes the token, and nothing in a token says where keys come from. An ID
//! token, a logout token or a token bound to a key of its sender is none of these.
//! Sources: RFC 9068 4, RFC 8725 3, RFC 7519 4.1, `entra.md` 4.2 and Microsoft's access-token claims
//! reference.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{DecodingKey, crypto, jwk::Jwk};
use openidconnect::core::CoreJwsSigningAlgorithm;
use serde_json::{Map, Value};

use super::{
    access_token_error::AccessTokenError,
    entra,
    error::ProviderUnavailable,
    id_token::{IdTokenError, Judge, PROTOCOL_CLAIMS, SKEW, check_spellings, numeric_date, text},
    jwks::SigningKey,
    jws::Unverified,
    provider::IssuerRule,
    relying_party::{Known, RelyingParty},
};
use crate::{
    clock::{Deadline, Moment},
    config::{
        bearer::{Bearer, v1_tenant},
        provider::{Provider, ProviderKind},
    },
    identity::{ClaimRules, Identity, ProviderName, Standing, is_guid},
};

/// The longest from `iat` to `exp`; nobody is let in for longer than a session lasts.
const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// Claims beside those of every token that decide what an access token means.
const OWN_CLAIMS: &[&str] = &[
    "appid",
    "client_id",
    "cnf",
    "idtyp",
    "roles",
    "scope",
    "scp",
];

/// Claims that only tokens of another kind carry: ID tokens (OIDC Core 2, 3.3.2.11), logout tokens
/// (OIDC Back-Channel Logout 2.4). Where an app shares its client id with the sign-in, an ID token has
/// the same audience (S-060).
const OF_OTHER_KINDS: &[&str] = &["at_hash", "c_hash", "events", "nonce", "s_hash"];

/// What is left of the claims of an app: who it is and what it may do. Names and addresses that its
/// owner gave it are those of nobody.
const CLAIMS_OF_AN_APP: &[&str] = &[
    "_claim_names",
    "groups",
    "hasgroups",
    "iss",
    "oid",
    "roles",
    "sub",
    "tid",
];

/// Who sent a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// An app that acts for itself, by its client id.
    App(String),
    /// An app that acts for a person.
    Person,
}

/// A token that passed every check.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Who sent it.
    pub holder: Holder,
    /// The person, or the app without whatever its owner called it.
    pub identity: Identity,
    /// The scopes it lists.
    pub scopes: Vec<String>,
    /// When it is over, a minute of skew included; a day from now at the latest.
    pub until: Deadline,
    evidence: Evidence,
}

/// What other rules would judge a token by that has been verified.
#[derive(Clone, Debug)]
struct Evidence {
    claims: Map<String, Value>,
    algorithm: CoreJwsSigningAlgorithm,
    /// How the source that took it says its issuer.
    issuer: Option<String>,
    /// What that source stood on.
    standing: Standing,
}

/// The access tokens that one route takes.
#[derive(Debug)]
pub struct AccessTokens {
    rules: Bearer,
    sources: Vec<Source>,
}

/// One issuer.
#[derive(Debug)]
struct Source {
    /// The `iss` claim; if absent, what the metadata says.
    issuer: Option<String>,
    party: Arc<RelyingParty>,
}

impl AccessTokens {
    /// Takes on the rules of a route; `None` if `party_of` does not know where some keys come from.
    pub fn new(
        rules: &Bearer,
        party_of: impl Fn(&ProviderName) -> Option<Arc<RelyingParty>>,
    ) -> Option<Self> {
        let sources = rules.issuers.iter().map(|it| {
            Some(Source {
                issuer: it.issuer.clone(),
                party: party_of(&it.keys.name())?,
            })
        });
        Some(Self {
            sources: sources.collect::<Option<_>>()?,
            rules: rules.clone(),
        })
    }

    /// Who a token is from. An unknown key id is asked for within the issuer's budget; everything
    /// else is settled without the network. May be dropped at any time.
    ///
    /// # Errors
    /// Returns [`AccessTokenError`] if any check fails, or the issuer is not known yet.
    pub async fn verify(&self, token: &str) -> Result<VerifiedToken, AccessTokenError> {
        let unverified = Unverified::parse_access_token(token)?;
        let source = self.source_of(&unverified.claims)?;
        let fetches = source.party.fetches();
        let known = source.party.known()?;
        match self.judge(source, &known, token, &unverified) {
            Err(AccessTokenError::Common(IdTokenError::UnknownKey)) => {
                let fresh = source.party.fetch_keys_apart(fetches).await;
                let fresh = fresh.ok_or(IdTokenError::UnknownKey)?;
                self.judge(source, &fresh, token, &unverified)
            }
            judged => judged,
        }
    }

    /// Whether a token that other rules have taken would be taken by these: from the same issuer, as
    /// far as that can have changed, for one of the audiences, and of a client that counts. Touches no
    /// network, and looks neither at its keys nor at its end again.
    #[must_use]
    pub fn would_take(&self, verified: &VerifiedToken) -> bool {
        let Evidence {
            claims,
            algorithm,
            issuer,
            standing,
        } = &verified.evidence;
        let Ok(named) = text(claims, "iss") else {
            return false;
        };
        // A provider that is new under its name may not be known yet, and may be the same.
        let is_named = |it: &&Source| it.issuer == *issuer || it.is_named(named).unwrap_or(false);
        self.sources.iter().find(is_named).is_some_and(|source| {
            let provider = &source.party.provider;
            source.party.standing() == *standing
                && provider.algorithms.contains(algorithm)
                && check_audience(claims, &self.rules.audiences).is_ok()
                && self.holder(claim_rules(provider), claims).is_ok()
        })
    }

    /// The issuer that a token names, before anything else of it counts.
    fn source_of(&self, claims: &Map<String, Value>) -> Result<&Source, AccessTokenError> {
        let issuer = text(claims, "iss")?;
        for source in &self.sources {
            if source.is_named(issuer)? {
                return Ok(source);
            }
        }
        Err(IdTokenError::Issuer.into())
    }

    fn judge(
        &self,
        source: &Source,
        known: &Known,
        token: &str,
        unverified: &Unverified,
    ) -> Result<VerifiedToken, AccessTokenError> {
        let provider = &source.party.provider;
        let judge = Judge {
            provider,
            issuer: &known.site.metadata.issuer,
            cloud: known.site.metadata.cloud.as_deref(),
            keys: &known.keys,
            now: source.party.clock.now(),
        };
        let claims = &unverified.claims;
        // What the claims alone refuse needs no key, and so costs no fetch of one.
        if !provider.algorithms.contains(&unverified.algorithm) {
            return Err(IdTokenError::Algorithm.into());
        }
        check_spellings(claims, PROTOCOL_CLAIMS)?;
        check_spellings(claims, OWN_CLAIMS)?;
        let key_issuer = key_issuer(&judge, claims)?;
        check_kind(claims)?;
        check_audience(claims, &self.rules.audiences)?;
        let until = check_times(claims, judge.now)?;
        text(claims, "sub")?;
        let rules = claim_rules(provider);
        let (holder, scopes) = self.holder(rules, claims)?;
        let key = judge.key_of(unverified)?;
        judge.check_key(key, claims, &key_issuer)?;
        verify_signature(token, unverified.algorithm_name, key)?;
        let name = provider.name.clone();
        let identity = match holder {
            Holder::App(_) => Identity::from_verified_claims(name, rules, &of_an_app(claims)),
            Holder::Person => Identity::from_verified_claims(name, rules, claims),
        };
        Ok(VerifiedToken {
            identity: identity?,
            holder,
            scopes,
            until,
            evidence: Evidence {
                claims: claims.clone(),
                algorithm: unverified.algorithm.clone(),
                issuer: source.issuer.clone(),
                standing: source.party.standing(),
            },
        })
    }

    /// Who stands behind a token, and its scopes.
    fn holder(
        &self,
        rules: ClaimRules,
        claims: &Map<String, Value>,
    ) -> Result<(Holder, Vec<String>), AccessTokenError> {
        let (client, scope, is_app) = match rules {
            ClaimRules::Entra => {
                let client = one_of(claims, "azp", "appid")?.map(str::to_ascii_lowercase);
                let scope = optional_text(claims, "scp")?;
                (client, scope, is_entra_app(claims, scope)?)
            }
            ClaimRules::Oidc => {
                let client = one_of(claims, "client_id", "azp")?;
                let scope = optional_text(claims, "scope")?;
                // RFC 9068 2.2: without a person `sub` is the client.
                let is_app = client.is_some() && client == Some(text(claims, "sub")?);
                (client.map(str::to_owned), scope, is_app)
            }
        };
        let listed = |client: &String| self.rules.clients.contains(client);
        if !self.rules.clients.is_empty() && !client.as_ref().is_some_and(listed) {
            return Err(AccessTokenError::Client);
        }
        let scopes: Vec<String> = (scope.unwrap_or_default().split(' '))
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect();
        let holder = match client {
            Some(client) if is_app => Holder::App(client),
            _ if !is_app && scope.is_some() => Holder::Person,
            _ => return Err(AccessTokenError::Unclear),
        };
        Ok((holder, scopes))
    }
}

impl Source {
    fn is_named(&self, issuer: &str) -> Result<bool, ProviderUnavailable> {
        if let Some(own) = &self.issuer {
            return Ok(own == issuer);
        }
        let known = self.party.known()?;
        Ok(known.site.metadata.issuer.admits_answer(issuer))
    }
}

fn claim_rules(provider: &Provider) -> ClaimRules {
    match provider.kind {
        ProviderKind::Entra { .. } => ClaimRules::Entra,
        ProviderKind::Oidc { .. } => ClaimRules::Oidc,
    }
}

/// Whether Entra ID says that no person stands behind a token: by `idtyp`, where the app asked for
/// it, else by an absent `scp` and a `sub` that is the app's own object.
fn is_entra_app(
    claims: &Map<String, Value>,
    scope: Option<&str>,
) -> Result<bool, AccessTokenError> {
    let own_subject = || Ok::<_, IdTokenError>(text(claims, "sub")? == text(claims, "oid")?);
    match (optional_text(claims, "idtyp")?, scope) {
        (Some("app"), None) => Ok(true),
        (Some("user") | None, Some(_)) => Ok(false),
        (None, None) if own_subject()? => Ok(true),
        _ => Err(AccessTokenError::Unclear),
    }
}

/// The issuer whose keys count, which of version 1 is the same tenant's of version 2 (S-197).
fn key_issuer(judge: &Judge<'_>, claims: &Map<String, Value>) -> Result<String, AccessTokenError> {
    let issuer = text(claims, "iss")?;
    let (
        IssuerRule::Entra {
            issuer: own,
            tenants,
        },
        Some(named),
    ) = (judge.issuer, v1_tenant(issuer))
    else {
        return Ok(judge.issuer_of(claims)?);
    };
    let tenant = text(claims, "tid")?;
    if text(claims, "ver")? != "1.0" {
        return Err(IdTokenError::Claim("ver").into());
    }
    if tenant != named || !is_guid(tenant) {
        return Err(IdTokenError::Issuer.into());
    }
    if !entra::is_admitted(tenants, tenant) {
        return Err(IdTokenError::Tenant.into());
    }
    Ok(entra::resolve_issuer(own, tenant).ok_or(IdTokenError::Tenant)?)
}

fn check_kind(claims: &Map<String, Value>) -> Result<(), AccessTokenError> {
    if OF_OTHER_KINDS.iter().any(|name| claims.contains_key(*name)) {
        Err(AccessTokenError::Kind)
    } else if claims.contains_key("cnf") {
        Err(AccessTokenError::SenderConstrained)
    } else {
        Ok(())
    }
}

/// Every audience has to be one of ours: another one is handed the same token, and could use it here.
fn check_audience(
    claims: &Map<String, Value>,
    audiences: &[String],
) -> Result<(), AccessTokenError> {
    let is_ours = |it: &Value| {
        it.as_str()
            .is_some_and(|it| audiences.iter().any(|own| own == it))
    };
    let fits = match claims.get("aud") {
        Some(Value::Array(listed)) => !listed.is_empty() && listed.iter().all(is_ours),
        Some(only) => is_ours(only),
        None => false,
    };
    if fits {
        Ok(())
    } else {
        Err(AccessTokenError::Audience)
    }
}

/// When the token is over.
fn check_times(claims: &Map<String, Value>, now: Moment) -> Result<Deadline, AccessTokenError> {
    let expires_at = numeric_date(claims, "exp")?.ok_or(IdTokenError::Claim("exp"))?;
    let issued_at = numeric_date(claims, "iat")?.ok_or(IdTokenError::Claim("iat"))?;
    let not_before = numeric_date(claims, "nbf")?;
    let end = expires_at.plus(SKEW);
    if now.wall >= end {
        Err(IdTokenError::Expired.into())
    } else if not_before.is_some_and(|it| it > now.wall.plus(SKEW)) {
        Err(IdTokenError::NotYetValid.into())
    } else if issued_at > now.wall.plus(SKEW) {
        Err(IdTokenError::IssuedInFuture.into())
    } else if end.since(issued_at) > MAX_LIFETIME.saturating_add(SKEW) {
        Err(AccessTokenError::Lifetime)
    } else {
        Ok(now.deadline_after(end.since(now.wall).min(MAX_LIFETIME)))
    }
}

fn verify_signature(
    token: &str,
    algorithm: &str,
    key: &SigningKey,
) -> Result<(), AccessTokenError> {
    let verified = || {
        let (message, signature) = token.rsplit_once('.')?;
        let key: Jwk = serde_json::from_value(serde_json::to_value(&key.key).ok()?).ok()?;
        let key = DecodingKey::from_jwk(&key).ok()?;
        let algorithm = algorithm.parse().ok()?;
        crypto::verify(signature, message.as_bytes(), &key, algorithm).ok()
    };
    if verified() == Some(true) {
        Ok(())
    } else {
        Err(IdTokenError::Signature.into())
    }
}

fn of_an_app(claims: &Map<String, Value>) -> Map<String, Value> {
    let kept = (claims.iter()).filter(|(name, _)| CLAIMS_OF_AN_APP.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A claim that may be absent, but is text if it is there.
fn optional_text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a str>, IdTokenError> {
    if claims.contains_key(name) {
        text(claims, name).map(Some)
    } else {
        Ok(None)
    }
}

/// Either of two claims for the same thing; where both are there, they agree.
fn one_of<'a>(
    claims: &'a Map<String, Value>,
    first: &'static str,
    second: &'static str,
) -> Result<Option<&'a str>, IdTokenError> {
    match (
        optional_text(claims, first)?,
        optional_text(claims, second)?,
    ) {
        (Some(one), Some(other)) if one != other => Err(IdTokenError::Claim(second)),
        (one, other) => Ok(one.or(other)),
    }
}
