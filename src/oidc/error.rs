//! What can go wrong between a browser's return and an identity, and who has to act.
//!
//! No text here carries a token, code, nonce or secret, nor what a provider wrote for people.

use std::time::Duration;

use thiserror::Error;

use super::{id_token::IdTokenError, token::TokenError};
use crate::identity::IdentityError;

/// Who has to act.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// We, or what the operator configured here or registered there.
    Operator,
    /// The provider, or the way to it.
    Provider,
    /// Somewhere in between: an old page, a replayed answer, a clock, an account of elsewhere.
    Undecided,
}

/// The provider is not known yet: its metadata and keys have not been fetched so far.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the provider's metadata and keys have not been fetched yet")]
pub struct ProviderUnavailable {
    /// When it makes sense to come back; at least a second.
    pub retry_after: Duration,
}

/// An authorization answer whose `iss` parameter does not fit (RFC 9207).
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum AnswerIssuerError {
    /// It names another issuer: somebody mixes up providers.
    #[error("the answer comes from another issuer")]
    Foreign,
    /// The provider announces that it is always there, and it is not.
    #[error("the answer does not name its issuer although the provider announces that it does")]
    Missing,
    /// Nothing is known yet to compare with.
    #[error("failed to check the issuer of the answer")]
    Unavailable(#[from] ProviderUnavailable),
}

impl AnswerIssuerError {
    /// A stable word for logs and pages.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "answer_issuer_mismatch",
            Self::Missing => "answer_issuer_missing",
            Self::Unavailable(_) => "provider_unreachable",
        }
    }
}

/// A sign-in that did not come to an identity.
#[derive(Debug, Error)]
pub enum SignInError {
    /// The ID token must not be believed.
    #[error("refused the ID token")]
    IdToken(#[from] IdTokenError),
    /// The claims name nobody.
    #[error("failed to read a person out of the ID token")]
    Identity(#[from] IdentityError),
    /// It took longer than a browser should wait.
    #[error("gave up the sign-in: the provider takes too long")]
    TooSlow,
    /// The token request gave no tokens.
    #[error("failed to exchange the code for tokens")]
    Token(#[from] TokenError),
    /// The provider is not known yet.
    #[error("failed to begin the token request")]
    Unavailable(#[from] ProviderUnavailable),
}

impl SignInError {
    /// A stable word for logs and pages.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::IdToken(error) => error.reason(),
            Self::Identity(_) => "unusable_claims",
            Self::TooSlow | Self::Unavailable(_) => "provider_unreachable",
            Self::Token(error) => error.reason(),
        }
    }

    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::IdToken(error) => error.blame(),
            Self::Identity(_) => Blame::Operator,
            Self::TooSlow | Self::Unavailable(_) => Blame::Provider,
            Self::Token(error) => error.blame(),
        }
    }

    /// The OAuth `error` word of the token endpoint, if it answered with one.
    #[must_use]
    pub fn oauth_error(&self) -> Option<&str> {
        match self {
            Self::Token(TokenError::Refused { error, .. }) => Some(error),
            _ => None,
        }
    }

    /// Entra ID's number for what happened, if it gave one; for logs and help texts only.
    #[must_use]
    pub fn aadsts(&self) -> Option<u32> {
        match self {
            Self::Token(TokenError::Refused { aadsts, .. }) => *aadsts,
            _ => None,
        }
    }
}
