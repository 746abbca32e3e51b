//! The token request and what comes back.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    super::{
        error::Blame,
        http_client::HttpClient,
        relying_party::{ProviderStatus, RelyingParty, SignedIn},
    },
    support::*,
};
use crate::secret::Secret;

async fn ready(fake: &FakeProvider) -> Arc<RelyingParty> {
    let party = fake.relying_party(&clock());
    party.refresh().await.unwrap();
    party
}

fn form(body: &str) -> HashMap<String, String> {
    let pairs: Vec<_> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let count = pairs.len();
    let form: HashMap<_, _> = pairs.into_iter().collect();
    assert_eq!(form.len(), count, "each parameter stands there once");
    form
}

#[tokio::test]
async fn a_code_becomes_an_identity() {
    // S-129
    let fake = FakeProvider::start().await;
    let SignedIn {
        identity,
        id_token_hint,
    } = ready(&fake)
        .await
        .redeem(&code(), &expected())
        .await
        .unwrap();
    let person = identity.person().to_string();
    assert_eq!(person, format!("{}#ann", fake.issuer()));
    assert!(id_token_hint.is_some());
    assert!(fake.asked("/userinfo").is_empty());
    assert_eq!(fake.asked("/token").len(), 1);
}

#[tokio::test]
async fn the_client_authenticates_as_the_metadata_says() {
    // S-137 oidcc-client-test-client-secret-basic
    for (methods, basic) in [
        (json!("REMOVE"), true),
        (json!(["client_secret_basic"]), true),
        (json!(["client_secret_post", "client_secret_basic"]), true),
        (json!(["private_key_jwt", "client_secret_post"]), false),
    ] {
        let fake = FakeProvider::start().await;
        fake.say_metadata(&json!({"token_endpoint_auth_methods_supported": methods}));
        let party = ready(&fake).await;
        party.redeem(&code(), &expected()).await.unwrap();
        let asked = &fake.asked("/token")[0];
        let form = form(&asked.body);
        assert_eq!(form["grant_type"], "authorization_code");
        assert_eq!(form["code"], "the-code");
        assert_eq!(form["redirect_uri"], REDIRECT);
        assert_eq!(form["code_verifier"], expected().pkce_verifier.expose());
        assert_eq!(asked.headers["accept"], "application/json");
        assert!(!asked.headers.contains_key("origin"));
        if basic {
            let sent = asked.headers["authorization"].to_str().unwrap();
            let sent = BASE64_STANDARD
                .decode(sent.strip_prefix("Basic ").unwrap())
                .unwrap();
            // Form-encoded before it is joined: RFC 6749 2.3.1.
            let sent = String::from_utf8(sent).unwrap();
            assert_eq!(sent, "the+client:s%3Ae%25c%2Br+e%7Et%C3%BC");
            assert!(!form.contains_key("client_secret") && !form.contains_key("client_id"));
        } else {
            assert_eq!(form["client_id"], CLIENT);
            assert_eq!(form["client_secret"], "s:e%c+r e~tü");
            assert!(!asked.headers.contains_key("authorization"));
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_token_answer_is_refused_and_not_asked_for_again() {
    // S-193
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    let good = token(&fake.claims(&json!({})));
    let answer = json!({"token_type": "bEARER", "access_token": "at", "id_token": good});
    let changed = |changes: Value| Say::json(&with(answer.clone(), &changes));
    let body = answer.to_string();
    let text = |body: String| Say::text(200, "application/json", body);
    let deep = format!("{}{}{}", "[".repeat(10_000), 1, "]".repeat(10_000));
    let cases = [
        changed(json!({"token_type": "mac"})),
        changed(json!({"token_type": "REMOVE"})),
        changed(json!({"id_token": "REMOVE"})),
        changed(json!({"id_token": null})),
        changed(json!({"id_token": {"sub": "root"}})),
        changed(json!({"id_token": ""})),
        changed(json!({"access_token": "REMOVE"})),
        changed(json!({"error": "x"})),
        text(format!("[{body}]")),
        text(format!("{body}{body}")),
        text(format!("{body}x")),
        text(format!("\u{feff}{body}")),
        text(body.replacen('{', r#"{"id_token":"x","#, 1)),
        text(body.replacen('{', &format!(r#"{{"x":{deep},"#), 1)),
        text(body.replacen('{', &format!(r#"{{"x":"{}","#, "y".repeat(256 * 1024)), 1)),
        text(body[..body.len() - 1].to_owned()),
        text(String::new()),
        Say::text(200, "text/html", body.clone()),
        Say::text(201, "application/json", body.clone()),
        Say::text(302, "application/json", body.clone()),
        Say::text(400, "application/json", body.clone()),
    ];
    for (number, say) in cases.into_iter().enumerate() {
        let (status, start) = (say.status, say.body.chars().take(60).collect::<String>());
        fake.say("/token", say);
        let refused = party.redeem(&code(), &expected()).await.unwrap_err();
        assert_eq!(refused.reason(), "provider_bad_answer", "{status} {start}");
        assert_eq!(refused.blame(), Blame::Provider);
        assert_eq!(fake.asked("/token").len(), number + 1, "{status} {start}");
        let shown = format!("{refused:?} {refused}");
        assert!(!shown.contains(&good) && !shown.contains("the-code"));
    }
    fake.say("/token", text(body));
    assert!(party.redeem(&code(), &expected()).await.is_ok());
}

#[tokio::test]
async fn the_words_of_a_refusal_are_kept_and_its_text_is_not() {
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    let secret = "AADSTS7000215: hunter2";
    for (status, body, reason, blame, error, number) in [
        (
            401,
            json!({"error": "invalid_client", "error_description": secret, "error_codes": [7_000_215]}),
            "invalid_client",
            Blame::Operator,
            Some("invalid_client"),
            Some(7_000_215),
        ),
        (
            400,
            json!({"error": "invalid_grant", "error_description": "AADSTS54005: hunter2"}),
            "code_rejected",
            Blame::Undecided,
            Some("invalid_grant"),
            Some(54_005),
        ),
        (
            400,
            json!({"error": "<script>hunter2", "error_uri": "http://evil.example/hunter2"}),
            "token_request_refused",
            Blame::Operator,
            Some("other"),
            None,
        ),
        (
            400,
            json!({"error": {"x": "hunter2"}}),
            "provider_bad_answer",
            Blame::Provider,
            None,
            None,
        ),
        (
            503,
            json!({"error": "invalid_client"}),
            "provider_unavailable",
            Blame::Provider,
            None,
            None,
        ),
        (
            429,
            json!({}),
            "provider_unavailable",
            Blame::Provider,
            None,
            None,
        ),
    ] {
        fake.say(
            "/token",
            Say::text(status, "application/json", body.to_string()),
        );
        let refused = party.redeem(&code(), &expected()).await.unwrap_err();
        assert_eq!(refused.reason(), reason, "{body}");
        assert_eq!(refused.blame(), blame, "{body}");
        assert_eq!(refused.oauth_error(), error, "{body}");
        assert_eq!(refused.aadsts(), number, "{body}");
        assert!(
            !format!("{refused:?} {refused}").contains("hunter2"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_id_token_of_the_wire_is_judged_like_any_other() {
    // S-122, S-124, S-130, S-131, S-135 once through the whole exchange
    let fake = FakeProvider::start().await;
    let party = ready(&fake).await;
    for (changes, reason) in [
        (json!({"iss": "https://evil.example"}), "wrong_issuer"),
        (json!({"aud": "somebody else"}), "wrong_audience"),
        (json!({"nonce": "another"}), "nonce_mismatch"),
        (json!({"exp": NOW - 3600}), "expired_token"),
        (json!({"groups": "admins"}), "unusable_claims"),
    ] {
        fake.say_token(&token(&fake.claims(&changes)));
        let refused = party.redeem(&code(), &expected()).await.unwrap_err();
        assert_eq!(refused.reason(), reason);
    }
    let claims = fake.claims(&json!({})).to_string();
    for (header, which, reason) in [
        (r#"{"alg":"none"}"#, 0, "algorithm_not_allowed"),
        (r#"{"alg":"RS256","kid":"one"}"#, 1, "invalid_signature"),
    ] {
        fake.say_token(&sign_raw(header, &claims, "RS256", which));
        let refused = party.redeem(&code(), &expected()).await.unwrap_err();
        assert_eq!(refused.reason(), reason);
    }
}

#[tokio::test]
async fn a_new_secret_takes_over_without_a_new_discovery() {
    let fake = FakeProvider::start().await;
    fake.say_metadata(&json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
    let old = ready(&fake).await;
    let mut provider = fake.provider();
    provider.client_secret = Secret::new("the new one".to_owned());
    let new = relying_party_of(provider.clone(), &clock());
    new.inherit(&old);
    assert!(new.redeem(&code(), &expected()).await.is_ok());
    let sent = form(&fake.asked("/token")[0].body);
    assert_eq!(sent["client_secret"], "the new one");
    assert_eq!(fake.asked("/keys").len(), 1);
    // What another issuer said is not taken over.
    provider.kind = oidc("http://127.0.0.1:1");
    let foreign = relying_party_of(provider, &clock());
    foreign.inherit(&old);
    assert!(matches!(foreign.status(), ProviderStatus::Waiting { .. }));
}

#[tokio::test]
async fn nobody_is_asked_while_nothing_is_known() {
    let fake = FakeProvider::start().await;
    let party = fake.relying_party(&clock());
    let refused = party.redeem(&code(), &expected()).await.unwrap_err();
    assert_eq!(refused.reason(), "provider_unreachable");
    assert!(fake.asked("/token").is_empty() && fake.asked("/keys").is_empty());
    assert!(matches!(
        party.status(),
        ProviderStatus::Waiting { retry_after, .. } if retry_after >= Duration::from_secs(1)
    ));
}

#[tokio::test]
async fn a_token_endpoint_that_does_not_answer_is_given_up() {
    let fake = FakeProvider::start().await;
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let endpoint = format!("http://{}/token", silent.local_addr().unwrap());
    fake.say_metadata(&json!({"token_endpoint": endpoint}));
    let hurried = HttpClient::new(None, false)
        .unwrap()
        .with_timeouts(Duration::from_secs(5), Duration::from_millis(500));
    let party = RelyingParty::with_http(fake.provider(), clock().clock(), hurried).unwrap();
    party.refresh().await.unwrap();
    let refused = party.redeem(&code(), &expected()).await.unwrap_err();
    assert_eq!(refused.reason(), "provider_unreachable");
}

#[test]
fn every_future_can_be_spawned() {
    fn is_send<T: Send>(_: &T) {}
    let party = RelyingParty::with_http(
        provider(oidc(ISSUER)),
        clock().clock(),
        HttpClient::new(None, false).unwrap(),
    )
    .unwrap();
    let (code, expected) = (code(), expected());
    is_send(&party.redeem(&code, &expected));
    is_send(&Arc::clone(&party).keep_fresh());
}
