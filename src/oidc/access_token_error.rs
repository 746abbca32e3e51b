//! Why an access token lets nobody in, each with its word. No error quotes the token.

use thiserror::Error;

use super::{error::ProviderUnavailable, id_token::IdTokenError};
use crate::identity::IdentityError;

/// An access token that lets nobody in.
#[derive(Clone, Debug, Error)]
pub enum AccessTokenError {
    /// For somebody else, or not for us alone.
    #[error("the token is for another audience")]
    Audience,
    /// The client is none of those listed.
    #[error("the client of the token is none of those listed")]
    Client,
    /// A check that every token goes through.
    #[error(transparent)]
    Common(#[from] IdTokenError),
    /// The claims name nobody.
    #[error("failed to read an identity out of the token")]
    Identity(#[from] IdentityError),
    /// A token of another kind.
    #[error("the token has a claim that no access token has")]
    Kind,
    /// `exp` is too far behind `iat`.
    #[error("the token lives for more than a day")]
    Lifetime,
    /// Whoever holds it would have to prove a key, and there is no proof in a bearer's request.
    #[error("the token is bound to a key of its sender")]
    SenderConstrained,
    /// The keys are not known yet.
    #[error("failed to check the token")]
    Unavailable(#[from] ProviderUnavailable),
    /// Neither an app nor a person, or both.
    #[error("the token does not say whether a person stands behind it")]
    Unclear,
}

impl AccessTokenError {
    /// All of its words: those of its own, and those of every token that can be an access token's.
    pub const REASONS: [&str; 23] = [
        "algorithm_not_allowed",
        "ambiguous_key",
        "client_not_allowed",
        "duplicate_claim",
        "expired_token",
        "foreign_key",
        "holder_unclear",
        "invalid_signature",
        "issued_in_future",
        "keys_unavailable",
        "lives_too_long",
        "malformed_claim",
        "malformed_token",
        "not_an_access_token",
        "not_yet_valid",
        "sender_constrained",
        "tenant_not_allowed",
        "unacceptable_header",
        "unfit_key",
        "unknown_key",
        "unusable_claims",
        "wrong_audience",
        "wrong_issuer",
    ];

    /// A stable word for logs and answers.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Audience => IdTokenError::Audience.reason(),
            Self::Client => "client_not_allowed",
            Self::Common(error) => error.reason(),
            Self::Identity(_) => "unusable_claims",
            Self::Kind => "not_an_access_token",
            Self::Lifetime => "lives_too_long",
            Self::SenderConstrained => "sender_constrained",
            Self::Unavailable(_) => "keys_unavailable",
            Self::Unclear => "holder_unclear",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::words::{assert_explained, words_in};

    /// What only an ID token can be refused for.
    const OF_ID_TOKENS: [&str; 3] = ["at_hash_mismatch", "issued_too_long_ago", "nonce_mismatch"];

    #[test]
    fn every_word_is_listed_and_explained() {
        let own = include_str!("access_token_error.rs");
        let common = include_str!("id_token.rs");
        let mut known = words_in(own, "AccessTokenError", "reason");
        known.extend(words_in(common, "IdTokenError", "reason"));
        known.retain(|word| !OF_ID_TOKENS.contains(&word.as_str()));
        known.sort_unstable();
        assert_eq!(AccessTokenError::REASONS.as_slice(), known);
        assert_explained(AccessTokenError::REASONS);
    }
}
