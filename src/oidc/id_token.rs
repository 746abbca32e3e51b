//! Judges an ID token: the only maker of verified claims at sign-in.
//!
//! Form and header first, then every claim, then the library's verifier with the one key, issuer
//! and audience that may be meant. No claim is handed out before the signature was verified; in
//! doubt the token is refused, and no error quotes it.
//! Source: OIDC Core 3.1.3.7, RFC 8725, `entra.md` 4.1.

use std::{
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl,
    JsonWebKeySet, Nonce, core::CoreIdToken, core::CoreJsonWebKey,
};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    entra::{self, TENANT_PLACEHOLDER},
    error::Blame,
    jwks::{KeyRing, SelectError, SigningKey},
    jws::Unverified,
    provider::IssuerRule,
};
use crate::{
    clock::{Moment, Timestamp},
    config::provider::{Provider, Tenants},
    identity::is_guid,
    secret::{Secret, equal_in_constant_time},
};

/// How far the provider's clock may be off.
pub(super) const SKEW: Duration = Duration::from_mins(1);

/// How long before now a token may have been issued.
const MAX_AGE: Duration = Duration::from_mins(5);

/// The year 10000: a later time is a mistake or a trick.
const MAX_NUMERIC_DATE: f64 = 253_402_300_800.0;

/// Claims that decide who somebody is and whether the token counts; no other spelling of one of
/// them may stand beside it.
pub(super) const PROTOCOL_CLAIMS: &[&str] = &[
    "at_hash", "aud", "azp", "exp", "iat", "iss", "nbf", "nonce", "oid", "sid", "sub", "tid", "ver",
];

/// An ID token that must not be believed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum IdTokenError {
    /// The access token is not the one that the ID token came with.
    #[error("the access token does not fit the at_hash claim")]
    AccessTokenHash,
    /// `alg` is absent or none of the configured ones.
    #[error("the algorithm of the token is none of those configured")]
    Algorithm,
    /// Several keys could be meant.
    #[error("several keys could have signed the token")]
    AmbiguousKey,
    /// Not for us, or not for us alone.
    #[error("the token is not for this client alone")]
    Audience,
    /// A claim is absent or has another type than its definition says.
    #[error("the `{0}` claim is absent or has an unexpected shape")]
    Claim(&'static str),
    /// Two spellings of one claim.
    #[error("the `{0}` claim stands there in two spellings")]
    DuplicateClaim(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// The key signs for another issuer or cloud.
    #[error("the signing key is not one of the token's issuer")]
    ForeignKey,
    /// A header member that refuses the token.
    #[error("the header member `{0}` is not acceptable")]
    Header(&'static str),
    /// `iat` lies in the future.
    #[error("the token is issued in the future")]
    IssuedInFuture,
    /// `iat` is too long ago.
    #[error("the token was issued too long ago")]
    IssuedTooLongAgo,
    /// `iss` is not the provider's.
    #[error("the token is of another issuer")]
    Issuer,
    /// A part of the token cannot be read.
    #[error("the {0} of the token cannot be read")]
    Malformed(&'static str),
    /// The nonce is absent or that of another sign-in.
    #[error("the token is not an answer to this sign-in")]
    Nonce,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The signature does not fit.
    #[error("the signature of the token does not fit")]
    Signature,
    /// The tenant is none of the configured ones.
    #[error("the tenant of the token is none of those configured")]
    Tenant,
    /// No key has the token's key id.
    #[error("the key that signed the token is not known")]
    UnknownKey,
    /// The key cannot be used with the token's algorithm.
    #[error("the key that signed the token is not one for its algorithm")]
    UnfitKey,
}

impl IdTokenError {
    /// A stable word for logs and pages.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::AccessTokenHash => "at_hash_mismatch",
            Self::Algorithm => "algorithm_not_allowed",
            Self::AmbiguousKey => "ambiguous_key",
            Self::Audience => "wrong_audience",
            Self::Claim(_) => "malformed_claim",
            Self::DuplicateClaim(_) => "duplicate_claim",
            Self::Expired => "expired_token",
            Self::ForeignKey => "foreign_key",
            Self::Header(_) => "unacceptable_header",
            Self::IssuedInFuture => "issued_in_future",
            Self::IssuedTooLongAgo => "issued_too_long_ago",
            Self::Issuer => "wrong_issuer",
            Self::Malformed(_) => "malformed_token",
            Self::Nonce => "nonce_mismatch",
            Self::NotYetValid => "not_yet_valid",
            Self::Signature => "invalid_signature",
            Self::Tenant => "tenant_not_allowed",
            Self::UnknownKey => "unknown_key",
            Self::UnfitKey => "unfit_key",
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::Expired
            | Self::IssuedInFuture
            | Self::IssuedTooLongAgo
            | Self::Nonce
            | Self::NotYetValid
            | Self::Tenant => Blame::Undecided,
            Self::Algorithm => Blame::Operator,
            _ => Blame::Provider,
        }
    }
}

/// What a token is judged by.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) provider: &'a Provider,
    pub(super) issuer: &'a IssuerRule,
    pub(super) cloud: Option<&'a str>,
    pub(super) keys: &'a KeyRing,
    pub(super) now: Moment,
}

impl Judge<'_> {
    /// The claims of `token`, if every check passes.
    pub(super) fn verified_claims(
        &self,
        token: &str,
        access_token: &AccessToken,
        nonce: &Secret,
    ) -> Result<Map<String, Value>, IdTokenError> {
        let unverified = Unverified::parse(token, &self.provider.algorithms)?;
        let claims = &unverified.claims;
        // What the claims alone refuse needs no key, and so costs no fetch of one.
        check_spellings(claims, PROTOCOL_CLAIMS)?;
        let issuer = self.issuer_of(claims)?;
        check_audience(claims, &self.provider.client_id)?;
        check_times(claims, self.now.wall)?;
        text(claims, "sub")?;
        check_nonce(claims, nonce)?;
        let key = self.key_of(&unverified)?;
        self.check_key(key, claims, &issuer)?;
        self.verify_signature(token, &unverified, key.key.clone(), issuer, nonce)?;
        check_access_token(claims, access_token, &unverified, &key.key)?;
        Ok(unverified.claims)
    }

    /// The one key that a token may be signed with.
    pub(super) fn key_of(&self, unverified: &Unverified) -> Result<&SigningKey, IdTokenError> {
        let kid = unverified.kid.as_deref();
        self.keys
            .select(kid, unverified.algorithm_name, self.now)
            .map_err(|error| match error {
                SelectError::Ambiguous => IdTokenError::AmbiguousKey,
                SelectError::Unfit => IdTokenError::UnfitKey,
                SelectError::Unknown => IdTokenError::UnknownKey,
            })
    }

    /// The one issuer that this token may have; of a template, that of its own tenant.
    pub(super) fn issuer_of(&self, claims: &Map<String, Value>) -> Result<String, IdTokenError> {
        let found = text(claims, "iss")?;
        let expected = match self.issuer {
            IssuerRule::Exact(issuer) => issuer.clone(),
            IssuerRule::Entra { issuer, tenants } => {
                entra_issuer(claims, issuer, tenants)?.ok_or(IdTokenError::Issuer)?
            }
        };
        if found == expected {
            Ok(expected)
        } else {
            Err(IdTokenError::Issuer)
        }
    }

    /// Entra ID's keys say whose tokens they may sign (S-197).
    pub(super) fn check_key(
        &self,
        key: &SigningKey,
        claims: &Map<String, Value>,
        issuer: &str,
    ) -> Result<(), IdTokenError> {
        if matches!(self.issuer, IssuerRule::Exact(_)) {
            return Ok(());
        }
        let tenant = text(claims, "tid")?;
        let own = key
            .issuer
            .as_ref()
            .is_none_or(|own| own.replace(TENANT_PLACEHOLDER, tenant) == issuer);
        let same_cloud = match (key.cloud.as_deref(), self.cloud) {
            (Some(key), Some(metadata)) => key == metadata,
            _ => true,
        };
        if own && same_cloud {
            Ok(())
        } else {
            Err(IdTokenError::ForeignKey)
        }
    }

    fn verify_signature(
        &self,
        token: &str,
        unverified: &Unverified,
        key: CoreJsonWebKey,
        issuer: String,
        nonce: &Secret,
    ) -> Result<(), IdTokenError> {
        let parsed =
            CoreIdToken::from_str(token).map_err(|_| IdTokenError::Malformed("payload"))?;
        let now = self.now.wall.minus(SKEW);
        let elapsed = Duration::from_millis(u64::try_from(now.unix_millis()).unwrap_or(0));
        let verifier = IdTokenVerifier::new_public_client(
            ClientId::new(self.provider.client_id.clone()),
            IssuerUrl::new(issuer).map_err(|_| IdTokenError::Issuer)?,
            JsonWebKeySet::new(vec![key]),
        )
        .set_allowed_algs([unverified.algorithm.clone()])
        .set_time_fn(move || (UNIX_EPOCH + elapsed).into());
        let same_nonce = |found: Option<&Nonce>| match found {
            Some(found) if nonce.matches(found.secret()) => Ok(()),
            _ => Err(String::new()),
        };
        parsed
            .claims(&verifier, same_nonce)
            .map(|_| ())
            .map_err(|error| match error {
                ClaimsVerificationError::Expired(_) => IdTokenError::Expired,
                ClaimsVerificationError::InvalidAudience(_) => IdTokenError::Audience,
                ClaimsVerificationError::InvalidIssuer(_) => IdTokenError::Issuer,
                ClaimsVerificationError::InvalidNonce(_) => IdTokenError::Nonce,
                ClaimsVerificationError::SignatureVerification(_) => IdTokenError::Signature,
                _ => IdTokenError::Malformed("token"),
            })
    }
}

/// The issuer that `tid` makes of the metadata's; the tenant must be one that counts.
fn entra_issuer(
    claims: &Map<String, Value>,
    issuer: &str,
    tenants: &Tenants,
) -> Result<Option<String>, IdTokenError> {
    if text(claims, "ver")? != "2.0" {
        return Err(IdTokenError::Claim("ver"));
    }
    let tenant = text(claims, "tid")?;
    if !is_guid(tenant) {
        return Err(IdTokenError::Claim("tid"));
    }
    if !entra::is_admitted(tenants, tenant) {
        return Err(IdTokenError::Tenant);
    }
    Ok(entra::resolve_issuer(issuer, tenant))
}

/// Refuses claims that differ from a name of `deciding` in nothing but case, beside it or each other.
pub(super) fn check_spellings(
    claims: &Map<String, Value>,
    deciding: &[&'static str],
) -> Result<(), IdTokenError> {
    for name in deciding {
        if claims
            .keys()
            .filter(|key| key.eq_ignore_ascii_case(name))
            .count()
            > 1
        {
            return Err(IdTokenError::DuplicateClaim(name));
        }
    }
    Ok(())
}

fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    let ours = match claims.get("aud") {
        Some(Value::String(only)) => only == client_id,
        // A second audience could hand our token on, or is handed ours.
        Some(Value::Array(audiences)) => {
            matches!(audiences.as_slice(), [Value::String(only)] if only == client_id)
        }
        _ => false,
    };
    let party = claims.get("azp").is_none_or(|party| party == client_id);
    if ours && party {
        Ok(())
    } else {
        Err(IdTokenError::Audience)
    }
}

fn check_nonce(claims: &Map<String, Value>, nonce: &Secret) -> Result<(), IdTokenError> {
    // An empty nonce of ours would be a mistake that must not let anything pass.
    match claims.get("nonce").and_then(Value::as_str) {
        Some(found) if !nonce.is_empty() && nonce.matches(found) => Ok(()),
        _ => Err(IdTokenError::Nonce),
    }
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), IdTokenError> {
    let expires_at = numeric_date(claims, "exp")?.ok_or(IdTokenError::Claim("exp"))?;
    let issued_at = numeric_date(claims, "iat")?.ok_or(IdTokenError::Claim("iat"))?;
    let not_before = numeric_date(claims, "nbf")?;
    if now >= expires_at.plus(SKEW) {
        Err(IdTokenError::Expired)
    } else if not_before.is_some_and(|it| it > now.plus(SKEW)) {
        Err(IdTokenError::NotYetValid)
    } else if issued_at > now.plus(SKEW) {
        Err(IdTokenError::IssuedInFuture)
    } else if issued_at < now.minus(MAX_AGE).minus(SKEW) {
        Err(IdTokenError::IssuedTooLongAgo)
    } else {
        Ok(())
    }
}

/// A time as RFC 7519 2 defines it: a number, whole or not, of seconds (S-063).
pub(super) fn numeric_date(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, IdTokenError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value
        .as_f64()
        .filter(|seconds| (0.0..MAX_NUMERIC_DATE).contains(seconds))
        .ok_or(IdTokenError::Claim(name))?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range just checked fits, and a fraction of a millisecond does not matter"
    )]
    let millis = (seconds * 1000.0) as i64;
    Ok(Some(Timestamp::from_unix_millis(millis)))
}

fn check_access_token(
    claims: &Map<String, Value>,
    access_token: &AccessToken,
    unverified: &Unverified,
    key: &CoreJsonWebKey,
) -> Result<(), IdTokenError> {
    if !claims.contains_key("at_hash") {
        return Ok(());
    }
    let found = text(claims, "at_hash")?;
    let expected = AccessTokenHash::from_token(access_token, &unverified.algorithm, key)
        .map_err(|_| IdTokenError::AccessTokenHash)?;
    if equal_in_constant_time(expected.as_bytes(), found.as_bytes()) {
        Ok(())
    } else {
        Err(IdTokenError::AccessTokenHash)
    }
}

pub(super) fn text<'a>(
    claims: &'a Map<String, Value>,
    name: &'static str,
) -> Result<&'a str, IdTokenError> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
        .ok_or(IdTokenError::Claim(name))
}
