//! The URLs that a browser is sent to: the authorization request, and the end of session.
//!
//! Built from the metadata and what the caller made; nothing that a request said gets in by itself,
//! and every parameter stands there exactly once. No I/O.
//! Source: OIDC Core 3.1.2.1, RFC 7636, RFC 9700 2.1, OIDC RP-Initiated Logout 2.

use std::borrow::Cow;

use openidconnect::{
    AuthUrl, AuthenticationFlow, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    IssuerUrl, JsonWebKeySet, LoginHint, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    Scope, TokenUrl,
    core::{CoreAuthPrompt, CoreClient, CoreResponseType},
};
use url::Url;

use super::provider::Metadata;
use crate::{
    config::provider::{Provider, ProviderKind},
    secret::Secret,
};

/// The library's client, with an authorization and a token endpoint.
pub(super) type OidcClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

/// What a sign-in starts with; all made by us, none taken from a request.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest<'a> {
    /// Where the answer goes: exactly as registered.
    pub redirect_uri: &'a str,
    /// Comes back with the answer.
    pub state: &'a Secret,
    /// Comes back in the ID token.
    pub nonce: &'a Secret,
    /// Only its SHA-256 is sent now (RFC 7636, S256).
    pub pkce_verifier: &'a Secret,
    /// Whom the provider may suggest.
    pub login_hint: Option<&'a str>,
    /// What the provider is to ask of the person.
    pub prompt: Option<Prompt>,
}

/// What the provider is to ask of the person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Prompt {
    /// Consent, again.
    Consent,
    /// Credentials, again.
    Login,
    /// Nothing at all: an error comes back instead.
    None,
    /// Which account to use.
    SelectAccount,
}

/// What a sign-out hands to the provider.
#[derive(Clone, Debug)]
pub struct LogoutRequest<'a> {
    /// Where the person ends up: exactly as registered.
    pub post_logout_redirect_uri: &'a str,
    /// Spares the account picker (Entra ID's `login_hint` claim).
    pub logout_hint: Option<&'a str>,
    /// The ID token of the session, where it was kept.
    pub id_token_hint: Option<&'a Secret>,
    /// Comes back with the person.
    pub state: Option<&'a Secret>,
}

/// The library's client for a provider whose metadata passed its checks.
pub(super) fn client(provider: &Provider, metadata: &Metadata) -> OidcClient {
    let issuer = IssuerUrl::from_url(metadata.token_endpoint.clone());
    // The library is handed issuer and key anew for each ID token, since a template issuer is none.
    CoreClient::new(
        ClientId::new(provider.client_id.clone()),
        issuer,
        JsonWebKeySet::new(Vec::new()),
    )
    .set_client_secret(ClientSecret::new(
        provider.client_secret.expose().to_owned(),
    ))
    .set_auth_uri(AuthUrl::from_url(metadata.authorization_endpoint.clone()))
    .set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()))
    .set_auth_type(metadata.client_authentication.clone())
    .disable_openid_scope()
}

/// The URL of the authorization request; `None` if the redirect URI is no URL or the verifier none.
pub(super) fn authorization_url(
    client: &OidcClient,
    provider: &Provider,
    request: &AuthorizationRequest<'_>,
) -> Option<Url> {
    let state = CsrfToken::new(request.state.expose().to_owned());
    let nonce = Nonce::new(request.nonce.expose().to_owned());
    let verifier = PkceCodeVerifier::new(request.pkce_verifier.expose().to_owned());
    // The library would panic over any other length (RFC 7636 4.1).
    if !(43..=128).contains(&verifier.secret().len()) {
        return None;
    }
    let redirect_url = RedirectUrl::new(request.redirect_uri.to_owned()).ok()?;
    let mut url = client
        .authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            move || state,
            move || nonce,
        )
        .add_scopes(provider.scopes.iter().cloned().map(Scope::new))
        .set_redirect_uri(Cow::Owned(redirect_url))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_extra_param("response_mode", "query");
    if let Some(prompt) = request.prompt {
        url = url.add_prompt(prompt.into());
    }
    if let Some(hint) = request.login_hint.filter(|_| may_hint(provider, request)) {
        url = url.set_login_hint(LoginHint::new(hint.to_owned()));
    }
    Some(url.url().0)
}

/// Entra ID refuses a hint together with the account picker (`entra.md` 2).
fn may_hint(provider: &Provider, request: &AuthorizationRequest<'_>) -> bool {
    !(matches!(provider.kind, ProviderKind::Entra { .. })
        && request.prompt == Some(Prompt::SelectAccount))
}

/// The URL that ends the provider's own session; `None` if it offers none.
pub(super) fn end_session_url(
    client_id: &str,
    metadata: &Metadata,
    request: &LogoutRequest<'_>,
) -> Option<Url> {
    let mut url = metadata.end_session_endpoint.clone()?;
    let optional = [
        ("logout_hint", request.logout_hint),
        ("id_token_hint", request.id_token_hint.map(Secret::expose)),
        ("state", request.state.map(Secret::expose)),
    ];
    url.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("post_logout_redirect_uri", request.post_logout_redirect_uri)
        .extend_pairs(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    Some(url)
}

impl From<Prompt> for CoreAuthPrompt {
    fn from(prompt: Prompt) -> Self {
        match prompt {
            Prompt::Consent => Self::Consent,
            Prompt::Login => Self::Login,
            Prompt::None => Self::None,
            Prompt::SelectAccount => Self::SelectAccount,
        }
    }
}
