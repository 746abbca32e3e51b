//! The URLs a browser is sent to, and the issuer it comes back from.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;
use url::Url;

use super::{
    super::{
        authorization::{AuthorizationRequest, LogoutRequest, Prompt},
        error::AnswerIssuerError,
        relying_party::RelyingParty,
    },
    support::*,
};
use crate::secret::Secret;

fn parameters(url: &Url) -> HashMap<String, String> {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let count = pairs.len();
    let parameters: HashMap<_, _> = pairs.into_iter().collect();
    assert_eq!(parameters.len(), count, "each parameter stands there once");
    parameters
}

async fn ready(fake: &FakeProvider) -> Arc<RelyingParty> {
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    party
}

struct Secrets(Secret, Secret, Secret);

impl Secrets {
    fn new() -> Self {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        Self(
            Secret::new("the-state".to_owned()),
            Secret::new(NONCE.to_owned()),
            Secret::new(verifier.to_owned()),
        )
    }

    fn request(&self) -> AuthorizationRequest<'_> {
        AuthorizationRequest {
            redirect_uri: REDIRECT,
            state: &self.0,
            nonce: &self.1,
            pkce_verifier: &self.2,
            login_hint: None,
            prompt: None,
        }
    }
}

#[tokio::test]
async fn an_authorization_request_has_each_parameter_once() {
    // S-078, S-136, S-147, S-185; the challenge is that of RFC 7636 appendix B
    let fake = FakeProvider::start().await;
    let endpoint = format!("{}/authorize?policy=x", fake.issuer());
    fake.say_metadata(&json!({"authorization_endpoint": endpoint}));
    let party = ready(&fake).await;
    let asked = fake.asked("/authorize").len() + fake.asked("/keys").len();
    let secrets = Secrets::new();
    let url = party.authorization_request(&secrets.request()).unwrap();
    let expected: HashMap<String, String> = [
        ("policy", "x"),
        ("response_type", "code"),
        ("response_mode", "query"),
        ("client_id", CLIENT),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile"),
        ("state", "the-state"),
        ("nonce", NONCE),
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(parameters(&url), expected);
    assert_eq!(
        fake.asked("/authorize").len() + fake.asked("/keys").len(),
        asked
    );
}

#[tokio::test]
async fn hints_and_prompts_are_sent_where_they_may_be() {
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    let secrets = Secrets::new();
    let request = AuthorizationRequest {
        login_hint: Some("ann@corp.example&prompt=none"),
        prompt: Some(Prompt::SelectAccount),
        ..secrets.request()
    };
    let sent = parameters(&party.authorization_request(&request).unwrap());
    assert_eq!(sent["login_hint"], "ann@corp.example&prompt=none");
    assert_eq!(sent["prompt"], "select_account");

    let base = fake.issuer();
    let issuer = format!("{base}/{TENANT}/v2.0");
    let place = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
    fake.say(
        &place,
        Say::json(&with(fake.metadata(), &json!({"issuer": issuer}))),
    );
    let entra = relying_party_of(provider(entra(&issuer, &[])), &clock());
    entra.refresh().await.unwrap();
    let sent = parameters(&entra.authorization_request(&request).unwrap());
    assert!(!sent.contains_key("login_hint"));
}

#[tokio::test]
async fn an_unknown_provider_says_when_to_come_back() {
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    let secrets = Secrets::new();
    let refused = party.authorization_request(&secrets.request()).unwrap_err();
    assert_eq!(refused.retry_after.as_secs(), 1);
    assert!(party.answer_issuer(None).is_err());
    let logout = LogoutRequest {
        post_logout_redirect_uri: REDIRECT,
        logout_hint: None,
        id_token_hint: None,
        state: None,
    };
    assert!(party.end_session_url(&logout).is_none());
}

#[tokio::test]
async fn an_odd_verifier_or_redirect_uri_starts_nothing() {
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    let secrets = Secrets::new();
    for verifier in ["", "short", &"x".repeat(129)] {
        let verifier = Secret::new(verifier.to_owned());
        let request = AuthorizationRequest {
            pkce_verifier: &verifier,
            ..secrets.request()
        };
        assert!(party.authorization_request(&request).is_err());
    }
    let request = AuthorizationRequest {
        redirect_uri: "/callback",
        ..secrets.request()
    };
    assert!(party.authorization_request(&request).is_err());
}

#[tokio::test]
async fn the_issuer_of_an_answer_is_compared_whenever_it_is_there() {
    // S-178, RFC 9207
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    let own = fake.issuer();
    assert_eq!(party.answer_issuer(None), Ok(()));
    assert_eq!(party.answer_issuer(Some(&own)), Ok(()));
    let slash = format!("{own}/");
    for foreign in ["", "https://evil.example", slash.as_str()] {
        assert_eq!(
            party.answer_issuer(Some(foreign)),
            Err(AnswerIssuerError::Foreign)
        );
    }
    fake.say_metadata(&json!({"authorization_response_iss_parameter_supported": true}));
    party.refresh().await.unwrap();
    assert_eq!(party.answer_issuer(None), Err(AnswerIssuerError::Missing));
    assert_eq!(party.answer_issuer(Some(&own)), Ok(()));
}

#[tokio::test]
async fn of_a_template_the_listed_tenants_may_answer() {
    let fake = FakeProvider::start().await;
    let base = fake.issuer();
    let template = format!("{base}/{{tenantid}}/v2.0");
    let place = "/common/v2.0/.well-known/openid-configuration";
    fake.say(
        place,
        Say::json(&with(fake.metadata(), &json!({"issuer": template}))),
    );
    let kind = entra(&format!("{base}/common/v2.0"), &[TENANT]);
    let party = relying_party_of(provider(kind), &clock());
    party.refresh().await.unwrap();
    let own = format!("{base}/{TENANT}/v2.0");
    assert_eq!(party.answer_issuer(Some(&own)), Ok(()));
    let other = format!("{base}/{OTHER_TENANT}/v2.0");
    for foreign in [other, template, format!("{own}/")] {
        let refused = party.answer_issuer(Some(&foreign));
        assert_eq!(refused, Err(AnswerIssuerError::Foreign), "{foreign}");
    }
}

#[tokio::test]
async fn the_end_of_session_has_each_parameter_once() {
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    let (token, state) = (Secret::new("a.b.c".to_owned()), Secret::new("s".to_owned()));
    let url = party
        .end_session_url(&LogoutRequest {
            post_logout_redirect_uri: "https://app.example/.vestibule/signed-out",
            logout_hint: Some("hint"),
            id_token_hint: Some(&token),
            state: Some(&state),
        })
        .unwrap();
    let expected: HashMap<String, String> = [
        ("brand", "x"),
        ("client_id", CLIENT),
        (
            "post_logout_redirect_uri",
            "https://app.example/.vestibule/signed-out",
        ),
        ("logout_hint", "hint"),
        ("id_token_hint", "a.b.c"),
        ("state", "s"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(parameters(&url), expected);
}
