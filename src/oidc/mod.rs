//! The relying party's side of OpenID Connect: authorization code flow with PKCE, one provider each.
//!
//! Knows no server, cookie or session, and must never call anybody signed in whose ID token did not
//! pass every check of OIDC Core 3.1.3.7 and, for Entra ID, of `entra.md` 4; nor anybody else who sent
//! an access token that did not pass all of `access_token`. No URL that stands in a
//! token, an error or an answer is ever fetched; userinfo is not asked.
//!
//! | file | its part |
//! |---|---|
//! | [`relying_party`](RelyingParty) | what the rest of the crate uses |
//! | `freshness` | discovery, keeping metadata and keys fresh |
//! | `provider`, `entra` | which metadata and issuers count |
//! | `jwks`, `fetch_budget` | signing keys; how often an unknown one may be asked for |
//! | `authorization` | the URLs a browser is sent to |
//! | `token` | a code for tokens |
//! | `jws`, `id_token` | the checks of an ID token |
//! | `access_token`, `access_token_error` | the checks of an access token that a program sends us |
//! | `http_client`, `address`, `strict_json` | the wire |

mod access_token;
mod access_token_error;
mod address;
mod authorization;
mod entra;
mod error;
mod fetch_budget;
mod freshness;
mod http_client;
mod id_token;
mod jwks;
mod jws;
mod provider;
mod relying_party;
mod strict_json;
mod token;

#[cfg(test)]
mod tests;

pub use self::{
    access_token::{AccessTokens, Holder, VerifiedToken},
    access_token_error::AccessTokenError,
    authorization::{AuthorizationRequest, LogoutRequest, Prompt},
    entra::aadsts_number,
    error::{AnswerIssuerError, Blame, ProviderUnavailable, SignInError},
    http_client::{AnswerError, HttpError},
    id_token::IdTokenError,
    jwks::KeySetError,
    provider::DiscoveryError,
    relying_party::{Expected, ProviderStatus, RelyingParty, SetupError, SignedIn},
    token::TokenError,
};
