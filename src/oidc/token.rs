//! Exchanges a code for tokens: one request, never repeated, whose answer counts only whole.
//!
//! The ID token stays text here: its checks come before anything parses it. Nothing of an error
//! answer is kept but its `error` word and Entra ID's number.
//! Source: OIDC Core 3.1.3, RFC 6749 4.1.3, 5.1, 5.2.

use std::{borrow::Cow, cell::RefCell, fmt};

use openidconnect::{AccessToken, AuthorizationCode, HttpRequest, PkceCodeVerifier, RedirectUrl};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    authorization::OidcClient,
    entra::aadsts_number,
    error::Blame,
    http_client::{Answer, AnswerError, HttpClient, HttpError, Reach},
    relying_party::Expected,
};
use crate::secret::Secret;

/// Most bytes of a token answer.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Most bytes of an OAuth `error` word.
const MAX_ERROR_WORD: usize = 64;

/// A token request that gave no tokens.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Status, type or JSON of the answer are not those of a token answer.
    #[error("the token endpoint gave an answer that cannot be read")]
    Answer(#[source] AnswerError),
    /// The provider is overloaded or broken.
    #[error("the token endpoint is out of order (status {0})")]
    OutOfOrder(u16),
    /// The answer is JSON, but lacks what a token answer has.
    #[error("the token endpoint gave an answer without a usable {0}")]
    Member(&'static str),
    /// The provider refused the request in the words of OAuth.
    #[error("the token endpoint refused the request: {error}")]
    Refused {
        /// The `error` word; `other` if it was none.
        error: String,
        /// Entra ID's number for it.
        aadsts: Option<u32>,
    },
    /// The request could not be written.
    #[error("failed to write the token request")]
    Request,
    /// No complete answer came.
    #[error("failed to reach the token endpoint")]
    Send(#[source] HttpError),
}

impl TokenError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::OutOfOrder(_) => "provider_unavailable",
            Self::Refused { error, .. } => match error.as_str() {
                "invalid_client" => "invalid_client",
                "unauthorized_client" => "unauthorized_client",
                "invalid_grant" => "code_rejected",
                "temporarily_unavailable" | "server_error" => "provider_unavailable",
                _ => "token_request_refused",
            },
            Self::Request => "token_request_unwritable",
            Self::Answer(_)
            | Self::Member(_)
            | Self::Send(
                HttpError::Body(_) | HttpError::Exchange(_) | HttpError::TooLarge { .. },
            ) => "provider_bad_answer",
            Self::Send(_) => "provider_unreachable",
        }
    }

    pub(super) fn blame(&self) -> Blame {
        match self.reason() {
            "code_rejected" => Blame::Undecided,
            "provider_bad_answer" | "provider_unavailable" | "provider_unreachable" => {
                Blame::Provider
            }
            _ => Blame::Operator,
        }
    }
}

/// What is used of a token answer.
pub(super) struct Tokens {
    /// Only its hash is looked at.
    pub(super) access_token: AccessToken,
    pub(super) id_token: Secret,
}

/// Sends the code.
pub(super) async fn exchange(
    client: &OidcClient,
    http: &HttpClient,
    reach: Reach,
    code: &Secret,
    expected: &Expected,
) -> Result<Tokens, TokenError> {
    let request = token_request(client, code, expected)?;
    let answer = http
        .send(request, reach, MAX_ANSWER_BYTES)
        .await
        .map_err(TokenError::Send)?;
    read(&answer)
}

/// The request as the library writes it: client authentication, PKCE verifier, form.
///
/// The library hands what it wrote to a function that is to send it. Ours keeps it instead: what
/// comes back has to pass stricter checks than the library's before anything parses it.
fn token_request(
    client: &OidcClient,
    code: &Secret,
    expected: &Expected,
) -> Result<HttpRequest, TokenError> {
    let redirect_url =
        RedirectUrl::new(expected.redirect_uri.clone()).map_err(|_| TokenError::Request)?;
    let verifier = PkceCodeVerifier::new(expected.pkce_verifier.expose().to_owned());
    let written = RefCell::new(None);
    let keep = |request: HttpRequest| {
        written.replace(Some(request));
        Err(fmt::Error)
    };
    let unsent = client
        .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
        .set_redirect_uri(Cow::Owned(redirect_url))
        .set_pkce_verifier(verifier)
        .request(&keep);
    debug_assert!(
        unsent.is_err(),
        "nothing was sent, so nothing can have come"
    );
    written.into_inner().ok_or(TokenError::Request)
}

fn read(answer: &Answer) -> Result<Tokens, TokenError> {
    let status = answer.status.as_u16();
    match status {
        200 => {}
        400 | 401 => {
            let body = answer.json().map_err(TokenError::Answer)?;
            return Err(refused(&body).unwrap_or(TokenError::Answer(AnswerError::Status(status))));
        }
        429 | 500.. => return Err(TokenError::OutOfOrder(status)),
        _ => return Err(TokenError::Answer(AnswerError::Status(status))),
    }
    let body = answer.json().map_err(TokenError::Answer)?;
    if body.contains_key("error") {
        return Err(TokenError::Member("success: it names an error"));
    }
    let text = |name: &'static str| {
        body.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .ok_or(TokenError::Member(name))
    };
    if !text("token_type")?.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Member("token_type"));
    }
    Ok(Tokens {
        access_token: AccessToken::new(text("access_token")?.to_owned()),
        id_token: Secret::new(text("id_token")?.to_owned()),
    })
}

fn refused(body: &Map<String, Value>) -> Option<TokenError> {
    let word = body.get("error")?.as_str()?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_word = !word.is_empty() && word.len() <= MAX_ERROR_WORD && word.bytes().all(plain);
    let listed = body
        .get("error_codes")
        .and_then(|codes| codes.get(0)?.as_u64())
        .and_then(|code| u32::try_from(code).ok());
    let described = || aadsts_number(body.get("error_description")?.as_str()?);
    Some(TokenError::Refused {
        error: if is_word { word } else { "other" }.to_owned(),
        aadsts: listed.or_else(described),
    })
}
